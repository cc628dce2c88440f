"""Run `tradebot trade-once`: check every candidate at every gate, and send an order for each one that passes."""

from typing import TYPE_CHECKING

from commands.shared.ask_strategies import ask_if_due, asking_world, in_turn
from commands.shared.missed_slots import entry_grace_s
from commands.shared.pass_recording import record_entries
from commands.shared.pass_reports import begin, both_clocks, pass_data, pass_exit_code, record_begun_pass, render_rows
from commands.shared.skipped_passes import refused_report, render_not_run
from commands.shared.times import slot_for_reader, when
from commands.shared.verb_options import Report
from commands.trade_once.submitted_candidates import entries, note_bad_lines, read, render_read, world_of
from jobs.slot_claims import SlotRefused
from tradebot.desk.prepare_desk import for_entries
from tradebot.model.record import CandidateRecord, Job

if TYPE_CHECKING:
    from rich.console import Console

    from commands.trade_once.submitted_candidates import EntriesData
    from tradebot.app.wiring import App
    from tradebot.model.candidate import Submission


def run(
    app: "App", *, by: str, force_slot: bool = False, dry_run: bool = False, candidates: str | None = None,
    only: str | None = None, given: "Submission | None" = None,
) -> Report:  # fmt: skip
    """Run one pass of entries; exit 3 if permission or the trading state kept entries closed.

    With `candidates`, a file or "-", its lines are used instead of the strategies' candidates, once per slot. With
    `only`, no strategy but that one is asked. `given` are candidates that were read before.
    """
    submission = given if candidates is None else read(app, candidates)
    part = f"candidates-{submission.digest}" if submission else ""
    sent = dict[str, CandidateRecord]()
    asked_at = both_clocks(app, Job.TRADE_ONCE, dry_run=dry_run)
    # Built before the slot is claimed, so that a missing strategy doesn't use up the slot.
    asking = world_of(asking_world(app, "trade-once", dry_run=dry_run, proposing=submission is None), submission, only)
    asked = ask_if_due(app, asking, asked_at.clock, force=force_slot, dry_run=dry_run, part=part)

    def enter() -> "EntriesData | SlotRefused":
        # Without an answer, the time is still that at which nothing was due.
        clocks = None if asked else asked_at
        world = world_of(app.world(dry_run=dry_run, proposing=False), submission)
        grace_s = None if asked else entry_grace_s(app)
        call, clocks = begin(
            app, Job.TRADE_ONCE, by, clocks=clocks, force=force_slot, dry_run=dry_run, part=part, grace_s=grace_s
        )
        if isinstance(call, SlotRefused):
            return call
        if candidates is not None and submission is not None:
            note_bad_lines(world, candidates, submission, clocks.now)
        with record_begun_pass(app, call, clocks.now, dry_run=dry_run):
            answer = asked.answer()
            cycle = record_entries(app, world, call, for_entries(world, answer, clocks), answer, sent)
            return entries(pass_data(app, cycle), candidates, submission)

    data = in_turn(app, "trade-once", enter)
    if isinstance(data, SlotRefused):
        return refused_report(app, "trade-once", data)
    code = pass_exit_code(data)
    return Report("trade-once", data, render, code)


def render(console: "Console", data: "EntriesData") -> None:
    if data.submitted:
        render_read(console, data.submitted)
    if data.not_run:
        render_not_run(console, data.not_run)
        return
    console.print(f"Entries at {when(data.at)}, slot {slot_for_reader(data.slot, data.at)}")
    render_rows(console, data)
    for note in data.notes:
        console.print(note, style="yellow", markup=False)
    if data.dry_run:
        console.print("Nothing was sent, and nothing of it is in the books.")
        console.print("Next: tradebot why-no-orders --dry explains it, for one SYMBOL too")
        return
    console.print("Next: tradebot why-no-orders SYMBOL shows every gate's answer for one symbol")
