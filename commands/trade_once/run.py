"""Run `tradebot trade-once`: check every candidate at every gate, and send an order for each one that passes."""

import sys
from collections.abc import Container, Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import IO

from msgspec import Struct
from msgspec.structs import asdict
from rich.console import Console

from commands.shared.ask_strategies import ask_if_due, asking_world, under_pass_lock
from commands.shared.calendar import entry_grace_s
from commands.shared.light_helpers import clean
from commands.shared.pass_recording import record_entries
from commands.shared.pass_reports import (
    PassData,
    begin,
    both_clocks,
    pass_data,
    pass_exit_code,
    record_begun_pass,
    render_rows,
)
from commands.shared.skipped_passes import refused_report, render_not_run
from commands.shared.times import slot_for_reader, when
from commands.shared.verb_options import Report
from jobs.slot_claims import SlotRefused
from tradebot.adapters.flow.candidate_jsonl import read as read_lines
from tradebot.adapters.plugins.plugin import PluginStrategy
from tradebot.app.wiring import App
from tradebot.desk.prepare_desk import desk_for_entries
from tradebot.errors import OperatorError
from tradebot.model.candidate import BadLine, Submission
from tradebot.model.event import EventKind
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, Job
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Request, RungReached
from tradebot.ports.stores import Approvals
from tradebot.ports.strategy import Strategy
from tradebot.ports.world import World
from tradebot.strategies.external_candidates import strategies_of

STANDARD_INPUT = "-"
SHOWN = 10
"""How many bad lines a screen shows; the JSON document has all of them."""


class LinesRead(Struct, frozen=True):
    """The lines of a file: how many there are, and how many are candidates, duplicates, or bad lines."""

    origin: str
    lines: int
    candidates: int
    duplicates: int
    bad: "tuple[BadLine, ...]"


class EntriesData(PassData, frozen=True):
    """One entry pass; `submitted` is None if the strategies proposed the candidates."""

    submitted: LinesRead | None


def read(app: "App", origin: str) -> "Submission":
    """Read candidates from a file, or from standard input for "-".

    Raises OperatorError if it can't be read, or if it has bad lines and not a single candidate.
    """
    in_use = app.settings.strategies.in_use()
    try:
        with _open(origin) as stream:
            submission = read_lines(stream, origin, in_use)
    except OSError as error:
        name = "standard input" if origin == STANDARD_INPUT else origin
        why = error.strerror or str(error)
        raise OperatorError(f"{name} can't be read: {why}", "name a file, or - for standard input") from error
    if submission.bad and not submission.candidates:
        first = submission.bad[0]
        raise OperatorError(
            f"none of the {submission.lines} lines of {origin} is a candidate; "
            f"line {first.line}: {first.reason} ({clean(first.detail)})",
            """a line is {"symbol": "AAPL", "side": "buy", "score": 0.6}, or an alert with ticker and action""",
        )
    return submission


def _open(origin: str) -> IO[bytes]:
    return sys.stdin.buffer if origin == STANDARD_INPUT else Path(origin).open("rb")


class ApprovalsWithCandidate:
    """Stores the candidate in each approval request, so that an approval from anywhere can submit it again."""

    def __init__(self, approvals: "Approvals", submission: "Submission") -> None:
        self._approvals = approvals
        self._given = {(candidate.strategy, candidate.symbol): candidate for candidate in submission.candidates}

    def last(self, strategy: str, symbol: str) -> "Request | None":
        """Return the last request about a strategy and symbol, or None."""
        return self._approvals.last(strategy, symbol)

    def ask(self, request: "Request") -> None:
        """Write a new request. The opening half of a contract roll isn't among the submitted candidates."""
        self._approvals.ask(replace(request, given=self._given.get((request.strategy, request.symbol))))


def world_of(world: "World", submission: "Submission | None", only: str | None = None) -> "World":
    """Return the world with the submitted candidates only, and with their symbols as its universe.

    Without a submission, `only` names the one strategy that the world keeps.
    """
    if submission is None:
        chosen = [strategy for strategy in world.strategies if only in (None, strategy.name)]
        return world if only is None else replace(world, strategies=chosen)
    symbols = tuple(dict.fromkeys(wanted.symbol for wanted in submission.candidates))
    strategies = strategies_of(submission.candidates, world.rules.limits)
    rules = replace(world.rules, universe=symbols)
    return replace(
        world,
        strategies=strategies,
        rules=rules,
        approvals=lambda: ApprovalsWithCandidate(world.approvals(), submission),
    )


def note_bad_lines(world: "World", origin: str, submission: "Submission", now: datetime) -> None:
    """Record the bad lines as one event, because the person who sent them may never see this screen."""
    if world.dry_run or not submission.bad:
        return
    lines = "; ".join(f"{bad.line}: {bad.reason} ({bad.detail})" for bad in submission.bad[:SHOWN])
    details = {"origin": origin, "lines": str(submission.lines), "bad": str(len(submission.bad)), "first": lines}
    world.events.emit(EventKind.LINES_REFUSED.at(now, details))


def entries(data: PassData, origin: str | None, submission: "Submission | None") -> EntriesData:
    """Return a pass together with the lines read for it."""
    read_in = None
    if submission is not None:
        counts = (submission.lines, len(submission.candidates), submission.duplicates)
        read_in = LinesRead(origin or "", *counts, submission.bad)
    return EntriesData(**asdict(data), submitted=read_in)


def render_read(console: "Console", lines: LinesRead) -> None:
    """Print the number of lines read, and why some were refused."""
    candidates, duplicates = pluralize(lines.candidates, "candidate"), pluralize(lines.duplicates, "duplicate")
    counts = f"{candidates} + {duplicates} + {pluralize(len(lines.bad), 'bad line')}"
    console.print(f"Read {pluralize(lines.lines, 'line')} of {clean(lines.origin)} = {counts}", markup=False)
    for bad in lines.bad[:SHOWN]:
        console.print(f"  line {bad.line}: {bad.reason}: {clean(bad.detail)}", markup=False)
    if len(lines.bad) > SHOWN:
        console.print(f"  {len(lines.bad) - SHOWN:,} more; --json lists them all")


def run(
    app: "App", *, by: str, force_slot: bool = False, dry_run: bool = False, candidates: str | None = None,
    only: str | None = None, given_submission: "Submission | None" = None,
) -> Report:  # fmt: skip
    """Run one entry pass; exit 3 if permission or the trading state blocked entries.

    `candidates` is a file or "-"; its lines then replace the strategies' candidates, once per slot. If `only` names a
    strategy, no other one runs. `given_submission` has candidates that were already read.
    """
    submission = given_submission if candidates is None else read(app, candidates)
    part = f"candidates-{submission.digest}" if submission else ""
    sent = dict[str, CandidateRecord]()
    asked_at = both_clocks(app, Job.TRADE_ONCE, dry_run=dry_run)
    # Built before the slot is claimed, so that a missing strategy doesn't use up the slot.
    asking = world_of(asking_world(app, "trade-once", dry_run=dry_run, proposing=submission is None), submission, only)
    strategy_replies = ask_if_due(app, asking, asked_at.clock, force=force_slot, dry_run=dry_run, part=part)

    def enter() -> "EntriesData | SlotRefused":
        # Without an answer, the time is still that at which nothing was due.
        clocks = None if strategy_replies else asked_at
        world = world_of(app.world(dry_run=dry_run, proposing=False), submission)
        world = refuse_changed_code(world, asking.strategies, app.bound_to_promotions)
        grace_s = None if strategy_replies else entry_grace_s(app)
        call, clocks = begin(
            app, Job.TRADE_ONCE, by, clocks=clocks, force=force_slot, dry_run=dry_run, part=part, grace_s=grace_s
        )
        if isinstance(call, SlotRefused):
            return call
        if candidates is not None and submission is not None:
            note_bad_lines(world, candidates, submission, clocks.now)
        with record_begun_pass(app, call, clocks.now, dry_run=dry_run):
            answer = strategy_replies.answer()
            cycle = record_entries(app, world, call, desk_for_entries(world, answer, clocks), answer, sent)
            return entries(pass_data(app, cycle), candidates, submission)

    data = under_pass_lock(app, "trade-once", enter)
    if isinstance(data, SlotRefused):
        return refused_report(app, "trade-once", data)
    code = pass_exit_code(data)
    return Report("trade-once", data, render, code)


def refuse_changed_code(world: World, strategies: Iterable[Strategy], names: Container[str]) -> World:
    """Return the world in which a named plug-in may not enter if its files changed since it was asked.

    Permission is judged by the files as they are now, but the entries come from the code that was asked.
    """
    allowed = world.permission
    changed = {
        plugin.name: RungReached(
            Decimal(0), "its code changed while it answered", "the same code", Reason.PROMOTION_LAPSED
        )
        for plugin in strategies
        if isinstance(plugin, PluginStrategy) and plugin.name in names and plugin.runs_other_code()
    }
    if not changed:
        return world
    return replace(world, permission=replace(allowed, awaiting_promotion={**allowed.awaiting_promotion, **changed}))


def render(console: "Console", data: "EntriesData") -> None:
    if data.submitted:
        render_read(console, data.submitted)
    if data.not_run:
        render_not_run(console, data.not_run)
        if not data.rows:
            return
    console.print(f"Entries at {when(data.at)}, slot {slot_for_reader(data.slot, data.at)}")
    render_rows(console, data)
    for note in data.notes:
        console.print(note, style="yellow", markup=False)
    if data.dry_run:
        console.print("Nothing was sent, and the books are unchanged.")
        console.print("Next: tradebot why-no-orders --dry explains this dry run; add a SYMBOL to see one symbol")
        return
    console.print("Next: tradebot why-no-orders SYMBOL shows every gate's answer for one symbol")
