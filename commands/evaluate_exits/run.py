"""Run `tradebot evaluate-exits`: close positions whose exit rules are met, and cancel old orders; also while halted."""

from typing import TYPE_CHECKING

from commands.flatten.run import fills_left_open
from commands.shared.notes import left_by_earlier_orders, notes, unlike_the_broker
from commands.shared.pass_recording import record_exits
from commands.shared.pass_reports import (
    LEFT_ALONE_RIGHTLY,
    UNSENT,
    PassData,
    begin,
    both_clocks,
    pass_data,
    pass_exit_code,
    positions_to_close,
    record_begun_pass,
    render_rows,
    venue_clock,
)
from commands.shared.skipped_passes import refused_report, render_not_run
from commands.shared.times import slot_for_reader, when
from commands.shared.verb_options import Report
from jobs.slot_claims import SlotRefused
from tradebot.adapters.state import halt_switch
from tradebot.desk.prepare_desk import desk_for_exits
from tradebot.errors import ExitCode, TradebotError, one_line
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState
from tradebot.orders.working_orders import cancel_working_entries
from tradebot.ports.world import Call
from tradebot.timetable.sessions import last_session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from rich.console import Console

    from tradebot.app.wiring import App


def run(
    app: "App",
    *,
    by: str,
    force_slot: bool = False,
    dry_run: bool = False,
    entries_first: bool = False,
    noted: bool = False,
) -> Report:
    """Run one exit pass; exit 3 if permission was closed.

    With `entries_first`, which a halt uses, the bot's entries are canceled before the books are checked. With `noted`,
    the report also lists positions that exits ignore, or handle differently than configured; this reads the books
    again. Exit 10 if the books lack fills of an order, or if a position that should be closed stays open.
    """
    ended = dict[str, CandidateRecord]()

    def end_entries() -> None:
        if entries_first:
            ended.update(_cancel_entries(app, by))

    with app.exit_lock("evaluate-exits", end_entries):
        clocks = both_clocks(app, Job.EVALUATE_EXITS, dry_run=dry_run)
        # Built before the slot is claimed, so that a failure here doesn't use up the slot.
        world = app.world(dry_run=dry_run, proposing=False)
        call, clocks = begin(app, Job.EVALUATE_EXITS, by, clocks=clocks, force=force_slot, dry_run=dry_run)
        if isinstance(call, SlotRefused):
            return refused_report(app, "evaluate-exits", call)
        with record_begun_pass(app, call, clocks.now, dry_run=dry_run):
            done = record_exits(app, world, call, desk_for_exits(world, clocks), ended)
            data = pass_data(app, done)
        lacking = False
        if noted:
            data, lacking = _add_notes(app, data, done, clocks.now)
    code = pass_exit_code(data) or (ExitCode.FINDINGS if lacking else ExitCode.DONE)
    return Report("evaluate-exits", data, _render, code)


def describe_left_open(app: "App", data: "PassData") -> tuple[str, ...]:
    """Describe positions that the account may hold but this pass couldn't close, because the books don't have them."""
    try:
        unbooked, cycles = fills_left_open(app, data), app.facts.cycles(job=Job.EVALUATE_EXITS, last=1)
    except TradebotError as error:
        return (f"perhaps more than the books show ({one_line(error)})",)
    explained = {fill.order.symbol for fill in unbooked}
    differing = (each for cycle in cycles for each in cycle.differing)
    unexplained = (difference.words for difference in differing if difference.symbol not in explained)
    return (*(fill.words for fill in unbooked), *unexplained)


def _add_notes(app: "App", data: "PassData", done: "CycleRecord", now: "datetime") -> "tuple[PassData, bool]":
    """Return the report of a pass with notes, and whether anything in it needs a person."""
    held_symbols = {position.symbol for position in app.ledger_view.totals().own_positions()}
    unbooked = {gap.symbol for gap in done.gaps or ()} - held_symbols
    differences = unlike_the_broker(app, now, (done,))
    lacking = bool(unbooked or done.differing or differences)
    if halt_switch.read(app.folder.path).state is TradingState.FLATTEN:
        lacking |= any(row.reason not in (*LEFT_ALONE_RIGHTLY, *UNSENT) for row in positions_to_close(data.rows))
    lines = (*notes(app, left_by_earlier_orders(app, now)), *differences)
    return replace(data, notes=lines), lacking


def _cancel_entries(app: "App", by: str) -> "Mapping[str, CandidateRecord]":
    """Cancel our working entries at once. This claims no slot, because no exit has been evaluated yet."""
    clock = venue_clock(app, Job.EVALUATE_EXITS, dry_run=False)
    world = app.world(proposing=False)
    call = Call(Job.EVALUATE_EXITS, last_session(world.ledger, clock.now, app.day), f"halt {clock.now:%H:%M:%SZ}", by)
    return cancel_working_entries(world, call, clock)


def _render(console: "Console", data: "PassData") -> None:
    if data.not_run:
        render_not_run(console, data.not_run)
    if data.rows or not data.not_run:
        console.print(f"Exits at {when(data.at)}, slot {slot_for_reader(data.slot, data.at)}")
        render_rows(console, data)
    for line in data.notes:
        console.print(line, markup=False)
