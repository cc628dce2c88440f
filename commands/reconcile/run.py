"""Run `tradebot reconcile`: record the broker's executions, compare the books with it, and apply an accepted plan.

Nothing here can send an order, because no OrderPort is ever created.
"""

from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from rich.markup import escape

from commands.shared.ask_strategies import under_pass_lock
from commands.shared.light_helpers import clean
from commands.shared.number_format import in_units
from commands.shared.pass_reports import begin
from commands.shared.tables import Table, last_folded_column, number, sentence
from commands.shared.times import when
from commands.shared.verb_options import Report
from tradebot.adapters.state import approvals
from tradebot.desk.pass_events import tell_caught_up
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.record import AT_CLOSE, CycleRecord, ExitPrice, Job
from tradebot.model.sentences import pluralize
from tradebot.model.venue import Settlement
from tradebot.ports.world import Call
from tradebot.reconciliation.protection import ProtectionWatch
from tradebot.reconciliation.reconcile import Reconciled, apply_plan, reconcile
from tradebot.reconciliation.statements import FromStatement, book_statement
from tradebot.timetable.sessions import session_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.model.finding import AdjustmentPlan, Finding
    from tradebot.model.order import Executed


def note_worth(app: "App", compared: "Reconciled", by: str, *, in_session: bool = False) -> None:
    """Record the account's equity and prices at the first comparison after the close.

    With `in_session`, also record them in an open session.
    """
    session, view, at = session_of(app.ledger, compared.at, app.day), compared.view, compared.at
    if session is None or at < session.open or not (in_session or at >= session.close):
        return
    session_end = next(iter(app.facts.session_ends(session.date, session.date)), None)
    if session_end and session_end.equity_at and session_end.equity_at >= session.close:
        return
    before = session_end.marks if session_end else {}
    priced = ((position.symbol, position.current_price or before.get(position.symbol)) for position in view.positions)
    marks = tuple(ExitPrice(symbol, price) for symbol, price in priced if price is not None)
    slot = AT_CLOSE if at >= session.close else f"at {at:%H:%M:%SZ}"
    call = Call(Job.RECONCILE, session.date, slot, by)
    app.facts.record(
        CycleRecord(
            call.cycle_id, call.job, call.session, call.slot, at, app.mode_name,
            equity=view.account.equity,
            marks=marks,
            last_close=session_end.last_close if session_end else None,
        )
    )  # fmt: skip


class FindingRow(Struct, frozen=True):
    """One reported difference. If a plan can settle it (`applicable`), `writes` is what the plan would write.

    `evidence` comes from the broker's activities or the exit rules.
    """

    kind: str
    subject: str
    meaning: str
    ours: Decimal | None
    broker: Decimal | None
    blocking: bool
    applicable: bool
    evidence: tuple[str, ...]
    writes: str


class Unstopped(Struct, frozen=True):
    """An open position of the bot that no configured exit rule closes at a fixed loss."""

    symbol: str
    strategy: str


class Compared(Struct, frozen=True):
    """One comparison: how much was compared, what changed, which differences remain, and the plan that settles them.

    `applied` names the plan that was applied to the books first. `from_statement` counts the executions that a
    statement proved. `doubtful_in_statement` counts those that were left out, because with them the books would differ
    from the broker's.
    """

    at: datetime
    positions: int
    open_orders: int
    orders_changed: int
    fills_added: int
    activities_booked: int
    findings: tuple[FindingRow, ...]
    plan: str | None
    plan_file: str | None
    applied: str | None
    from_statement: int
    doubtful_in_statement: int
    without_stop: tuple[Unstopped, ...]


def run(
    app: "App", *, by: str, apply: str | None = None, statement: Path | None = None, is_last: bool = False
) -> Report:
    """Compare, or book a statement or an accepted plan and compare again; exit 10 while there are differences.

    The account's value is recorded after a session's close and, if the comparison `is_last`, also in an open session.
    Raises OperatorError: exit 2 for a plan that can't be read or belongs to another account, 3 if the broker's state
    has changed since the plan was made.
    """
    plan = approvals.read(app.folder, apply) if apply else None
    executed = _read_executions(app, statement) if statement else ()

    def work() -> "tuple[Reconciled, FromStatement, Path | None]":
        result, booked = compare(app, by, plan), FromStatement()
        if executed:
            booked = book_statement(app.ledger, executed, result.view, result.at, app.day)
            result = compare(app, by)
        note_worth(app, result, by, in_session=is_last)
        path = approvals.write(app.folder, result.plan, app.settings.storage.plans) if result.plan else None
        return result, booked, path

    result, booked, plan_file = under_pass_lock(app, "reconcile", work)
    data = Compared(
        at=result.at,
        positions=len(result.view.positions),
        open_orders=len(result.view.orders),
        orders_changed=result.applied.orders,
        fills_added=result.applied.fills,
        activities_booked=result.bookings,
        findings=tuple(_row(finding) for finding in result.findings),
        plan=result.plan.id if result.plan else None,
        plan_file=str(plan_file) if plan_file else None,
        applied=plan.id if plan else None,
        from_statement=booked.booked,
        doubtful_in_statement=booked.doubtful,
        without_stop=tuple(Unstopped(position.symbol, position.strategy) for position in result.without_stop),
    )
    code = ExitCode.FINDINGS if data.findings else ExitCode.DONE
    return Report("reconcile", data, partial(_render, kinds_booked(app.settings.capabilities.settlement)), code)


def _read_executions(app: "App", path: "Path") -> "Sequence[Executed]":
    """Return the executions of a statement's file; raise OperatorError if it can't be read, or the venue has none."""
    if app.driver.statement is None:
        raise OperatorError(
            f"{app.settings.capabilities.title} reports everything itself, so no statement is needed",
            "tradebot reconcile",
        )
    try:
        return app.driver.statement(path.read_bytes(), app.ledger.account_number)
    except OSError as error:
        raise OperatorError(f"{path} can't be read: {error.strerror}", "tradebot reconcile --statement FILE") from error


def compare(app: "App", by: str, plan: "AdjustmentPlan | None" = None) -> "Reconciled":
    """Claim the slot, apply the plan if there is one, then compare. The caller holds the pass lock."""
    begin(app, Job.RECONCILE, by)
    watch = ProtectionWatch(app.reader, app.rules.exits_of, app.settings.limits.exit_life_s, app.rules.exits)
    if plan is None:
        compared = reconcile(app.reader, app.ledger, watch, app.second_time)
    else:
        compared = apply_plan(app.reader, app.ledger, plan, by, watch, app.turns.without_yielding, app.second_time)
    tell_caught_up(app.events, app.ledger, compared.applied, compared.at)
    return compared


def kinds_booked(settlement: "Settlement") -> str:
    """Name the main kinds of account activities that are booked at this venue."""
    return "dividends, splits, renames, cash" if settlement is Settlement.PAID else "fees, funding, cash"


def _row(finding: "Finding") -> FindingRow:
    return FindingRow(
        kind=finding.kind.value,
        subject=clean(finding.subject),
        meaning=finding.meaning,
        ours=finding.ours,
        broker=finding.broker,
        blocking=finding.blocking,
        applicable=finding.applicable,
        evidence=tuple(map(clean, finding.evidence)),
        writes=finding.kind.writes,
    )


def _render(kinds: str, console: "Console", data: Compared) -> None:
    console.print(f"Books and broker at {when(data.at)}")
    if data.applied:
        console.print(f"  {data.applied} was applied to the books")
    positions, orders = pluralize(data.positions, "position"), pluralize(data.open_orders, "open order")
    changed, fills = pluralize(data.orders_changed, "changed order"), pluralize(data.fills_added, "new fill")
    console.print(f"  the broker has {positions} and {orders}")
    console.print(f"  recorded {changed} and {fills}")
    if data.from_statement:
        console.print(f"  recorded {pluralize(data.from_statement, 'execution')} of the statement")
    if data.doubtful_in_statement:
        rows = pluralize(data.doubtful_in_statement, "execution")
        console.print(f"  left out {rows} of the statement: with them, the books wouldn't match the broker")
    if data.activities_booked:
        booked = pluralize(data.activities_booked, "activity", "activities")
        console.print(f"  recorded {booked} of the account: {kinds}")
    if data.without_stop:
        named = ", ".join(f"{clean(row.symbol)} ({row.strategy})" for row in data.without_stop)
        console.print(f"  no stop protects {named}, as configured", markup=False)
    if not data.findings:
        console.print("[green]They agree[/green]: nothing differs.")
        return
    _render_findings(console, data.findings)
    _render_evidence(console, data.findings)
    if data.plan:
        console.print(
            f"Next: tradebot reconcile --apply {data.plan} accepts this plan ({data.plan_file})", markup=False
        )
        for row in data.findings:
            if row.applicable:
                console.print(f"  {row.subject}: {row.writes}", markup=False)
    next_steps = list(_next(data.findings))
    for step in next_steps:
        console.print(f"Next: {step}", markup=False)
    if not data.plan and not next_steps:
        console.print("No plan can resolve this; each finding says what happens next.")


def _next(findings: tuple[FindingRow, ...]) -> "Iterator[str]":
    """Yield the steps other than a plan: positions of others can be adopted, and another account needs other books."""
    others = ("by_hand", "another_copy", "expiry_or_assignment")
    for symbol in sorted({row.subject for row in findings if row.kind in others}):
        yield f"tradebot adopt {symbol} --manage lets the exit rules close it"
    if any(row.kind == "account_reset" for row in findings):
        yield "use the keys of the account in these books, or create new books: tradebot init --state-dir NEW"
    if any(row.kind == "order_twice" for row in findings):
        yield "cancel those orders at the broker; the bot's own orders keep working"
    if any(row.kind in ("unreadable", "view_unsteady", "missing_fill") for row in findings):
        yield "once the broker's answers are complete, run tradebot reconcile again"
    if any(row.kind == "missing_stop" for row in findings):
        yield "tradebot evaluate-exits"


def _render_evidence(console: "Console", findings: tuple[FindingRow, ...]) -> None:
    for row in findings:
        for evidence in row.evidence:
            console.print(f"  {row.subject}: {in_units(evidence)}", markup=False)


def _render_findings(console: "Console", findings: tuple[FindingRow, ...]) -> None:
    blocking = sum(row.blocking for row in findings)
    keep = "keeps" if blocking == 1 else "keep"
    console.print(f"[red]{pluralize(len(findings), 'difference')}[/red]; {blocking:,} {keep} entries blocked:")
    numbers = number("books"), number("broker")
    table = Table("what", last_folded_column("subject"), *numbers, "entries", sentence("meaning"))
    for row in findings:
        entries = "[red]closed[/red]" if row.blocking else "open"
        table.row(row.kind, escape(row.subject), _number(row.ours), _number(row.broker), entries, in_units(row.meaning))
    console.print(table)


def _number(value: Decimal | None) -> str:
    return "" if value is None else f"{value:,f}"
