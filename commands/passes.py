"""What the verbs of the timetable share: claiming their slot, and reporting a pass with all its decisions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from commands.surface import Report
from tradebot.errors import ExitCode
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import REASONS, Reason

if TYPE_CHECKING:
    from rich.console import Console

    from jobs.claims import Refused
    from tradebot.model.bar import VenueClock
    from tradebot.model.candidate import Component
    from tradebot.model.record import CandidateRecord, CycleRecord, Job
    from tradebot.wiring import App
    from tradebot.world import Call

SHUT = frozenset({Gate.PERMISSION, Gate.TRADING_STATE})
VERDICT_STYLE: Mapping[Verdict, str] = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.UNKNOWN: "yellow"}


def begin(
    app: "App", job: "Job", by: str, *, force: bool = False, dry_run: bool = False
) -> "tuple[Call | Refused, VenueClock]":
    """Return the call that fills the slot of now, or why there is none, with the venue's clock."""
    from jobs.claims import claim

    clock = app.reader.clock()
    if not dry_run:
        app.ensure_calendar(clock.now)
    call = claim(app.ledger, app.settings.timetable, job, clock.now, by, force=force, dry_run=dry_run)
    return call, clock


@dataclass(frozen=True, slots=True)
class NotRun:
    """A pass that did not run, and why."""

    reason: Reason
    meaning: str
    found: str | None
    remedy: str


def refused_report(app: "App", verb: str, refused: "Refused") -> Report:
    """Report a pass that has no slot: a normal end, because nothing was left undone."""
    data = _not_run(refused.decision)
    return Report(verb, data, lambda console: render_not_run(console, data), ExitCode.DONE, app.mode, app.account_tail)


def _not_run(decision: Decision) -> NotRun:
    assert decision.reason is not None, "a refusal has a reason"
    row = REASONS[decision.reason]
    found = decision.observed if decision.observed is None else str(decision.observed)
    return NotRun(decision.reason, row.meaning, found, row.remedy)


def render_not_run(console: "Console", data: NotRun) -> None:
    """Print why a pass did not run."""
    console.print(f"{data.reason}: {data.meaning}" + (f" ({data.found})" if data.found else ""))
    console.print(f"Next: {data.remedy}", markup=False)


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """One candidate as the pass left it; quantity in shares, price in USD."""

    symbol: str
    side: str
    purpose: str
    source: str
    score: float | None
    coverage: float | None
    quantity: Decimal | None
    price: Decimal | None
    client_order_id: str | None
    ended_at: Gate | None
    reason: Reason | None
    decisions: tuple[Decision, ...]
    components: "tuple[Component, ...]"


@dataclass(frozen=True, slots=True)
class PassData:
    """One pass: candidates = orders + sum of `refused` by reason; `not_run` where the pass itself was refused."""

    id: str
    at: datetime
    slot: str
    dry_run: bool
    candidates: int
    orders: int
    refused: dict[Reason, int]
    rows: tuple[CandidateRow, ...]
    not_run: NotRun | None


def pass_data(cycle: "CycleRecord") -> PassData:
    """Return a pass as it is reported."""
    from collections import Counter

    rows = tuple(_row(record) for record in cycle.candidates)
    ended = Counter(row.reason for row in rows if row.reason is not None)
    return PassData(
        id=cycle.id,
        at=cycle.at,
        slot=cycle.slot,
        dry_run=cycle.dry_run,
        candidates=len(rows),
        orders=sum(row.reason is None for row in rows),
        refused=dict(ended.most_common()),
        rows=rows,
        not_run=_not_run(cycle.job_decision) if cycle.job_decision else None,
    )


def _row(record: "CandidateRecord") -> CandidateRow:
    candidate, terminal = record.candidate, record.terminal
    return CandidateRow(
        symbol=candidate.symbol,
        side=candidate.side.value,
        purpose=candidate.purpose.value,
        source=candidate.source,
        score=candidate.score,
        coverage=candidate.coverage,
        quantity=candidate.quantity,
        price=record.reference_price,
        client_order_id=record.client_order_id,
        ended_at=terminal.gate if terminal else None,
        reason=terminal.reason if terminal else None,
        decisions=record.decisions,
        components=candidate.components,
    )


def pass_exit_code(data: PassData) -> ExitCode:
    """Return 3 where a closed permission or the trading state stopped a candidate, 0 for everything else."""
    stopped = any(decision.gate in SHUT and not decision.passed for row in data.rows for decision in row.decisions)
    return ExitCode.REFUSED if stopped else ExitCode.DONE


def render_rows(console: "Console", data: PassData, what: str) -> None:
    """Print what passed, then what ended where, with the numbers of the decision that ended it."""
    from rich.table import Table

    from tradebot.explain import plain

    would = data.refused.get(Reason.DRY_RUN, 0) if data.dry_run else 0
    sent = data.orders + would
    console.print(f"  {data.candidates} = {sent} {what} + {data.candidates - sent} refused")
    table = Table(box=None, pad_edge=False)
    for name in ("symbol", "side", "score", "ended at", "observed", "limit"):
        table.add_column(name, justify="right" if name in ("score", "observed", "limit") else "left")
    table.add_column("reason", no_wrap=True)
    for row in data.rows:
        ended = next((decision for decision in row.decisions if not decision.passed), None)
        gate = f"[{VERDICT_STYLE[ended.verdict]}]{ended.gate}[/]" if ended else "[green]sent[/green]"
        numbers = (plain(ended.observed), plain(ended.limit)) if ended else (_quantity(row), plain(row.price))
        score = "" if row.score is None else f"{row.score:+.3f}"
        table.add_row(row.symbol, row.side, score, gate, *numbers, str(row.reason or _why_sent(row)))
    if data.rows:
        console.print(table)
    legend(console, data)


def legend(console: "Console", data: PassData) -> None:
    """Print what each reason in the table means, once."""
    for reason in data.refused:
        console.print(f"  {reason}: {REASONS[reason].meaning}", style="dim", markup=False, soft_wrap=True)


def _why_sent(row: CandidateRow) -> str:
    """Return the rule that an exit or a cancel was sent for; an entry has none but its passes."""
    return next((str(d.reason) for d in row.decisions if d.gate is Gate.EXIT and d.reason), "")


def _quantity(row: CandidateRow) -> str:
    return "" if row.quantity is None else f"{row.quantity:f}"
