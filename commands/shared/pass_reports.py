"""Code shared by the verbs of the timetable: claim a slot, and report a pass with all its decisions."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from commands.backup import backup_after_session
from commands.shared.calendar import account_for_missed, disagreement, keep_calendar, lacks_flow
from commands.shared.light_helpers import clean
from commands.shared.number_format import format_signed, format_with_unit, in_units, usd
from commands.shared.skipped_passes import NotRun, not_due, not_run, render_refusals, with_evidence
from commands.shared.tables import LONGEST_NUMBER, Table, number
from jobs.slot_claims import SlotRefused, claim
from tradebot.adapters.time.machine_clock import stopwatch
from tradebot.app.wiring import App
from tradebot.desk.auto_halt import halt_for
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.gates.shared_gates import clocks_agree
from tradebot.model.bar import ClockReading, VenueClock, WaitingStrategy
from tradebot.model.candidate import Component, Purpose
from tradebot.model.decision import Decision, Gate, Verdict, first_failure
from tradebot.model.intent import Operation
from tradebot.model.reason_codes import Unit
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job, StrategyRefusal
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.ports.world import Call
from tradebot.timetable.sessions import CALENDAR_KNOWN, last_session, session_date
from tradebot.views.explain import limits_blocking_entries, row_of, sentence_of


class HaltOnFault(Struct, frozen=True):
    """Halts the bot if a bug (in a gate, for example) ends the block; the exception is raised again.

    Errors that tradebot raises on purpose, system errors and signals don't count as bugs.
    """

    app: "App"
    at: datetime

    def __enter__(self) -> None:
        """Enter the block; nothing is halted yet."""

    def __exit__(self, _kind: object, fault: BaseException | None, _trace: object) -> None:
        """Halt the bot if a bug ended the block. A failure to write the halt's history doesn't hide the bug."""
        if isinstance(fault, Exception) and not isinstance(fault, TradebotError | OSError):
            with suppress(TradebotError):
                why = f"{type(fault).__name__}: {fault}"
                halt_for(self.app.ledger, self.app.events, Reason.PASS_FAULT, why, self.at)


IN_NO_HURRY = frozenset(Job) - {Job.EVALUATE_EXITS}
"""The jobs that record missed slots. Exits don't wait for a check of past days."""
BEGIN_ON_RECORD = frozenset({Job.EVALUATE_EXITS, Job.TRADE_ONCE})
"""Jobs that record their pass before it begins; without such a record, a claimed slot has done nothing yet."""
SHUT = frozenset({Gate.PERMISSION, Gate.TRADING_STATE, Gate.PROMOTION})
VERDICT_STYLE: Mapping[Verdict, str] = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.UNKNOWN: "yellow"}


def begin(
    app: "App",
    job: Job,
    by: str,
    *,
    clocks: "ClockReading | None" = None,
    force: bool = False,
    dry_run: bool = False,
    part: str = "",
    grace_s: int | None = None,
) -> "tuple[Call | SlotRefused, ClockReading]":
    """Claim the current slot; return the call, or why it was refused, and the clocks.

    The clocks are read unless passed in, and read again after slow work. `grace_s` is as for `claim`.
    """
    clocks = clocks or both_clocks(app, job, dry_run=dry_run)
    if not (dry_run or (apart := clocks_agree(clocks.ahead_s, app.settings.limits)).passed):
        return _without_slot(app, job, clocks.clock, by, apart), clocks
    _calendar(app, job, clocks.clock, by, dry_run=dry_run)
    if app.turns.resumed_call is not None:
        return app.turns.resumed_call, clocks
    # A forced pass must not wait, least of all a halt that has entries to cancel.
    if not dry_run and not force and backup_after_session(app, clocks.now):
        clocks = both_clocks(app, job, dry_run=dry_run)
    if job is Job.TRADE_ONCE and not (dry_run or force) and lacks_flow(app, job, clocks.now):
        return _refuse_slot(app, job, Decision(Gate.JOB, Verdict.FAIL, Reason.STAGE_FAILED), by, clocks.now), clocks
    call = claim(
        app.ledger,
        app.settings.timetable,
        job,
        clocks.now,
        app.day,
        by,
        force=force,
        dry_run=dry_run,
        part=part,
        grace_s=grace_s,
        unfinished=lambda taken: is_pass_unfinished(app, taken, clocks.now),
    )
    if isinstance(call, SlotRefused) and (call.missed or call.decision.reason is Reason.OUTSIDE_TIMETABLE):
        call = _refuse_slot(app, job, call.decision, by, clocks.now, call.missed)
    if not isinstance(call, SlotRefused):
        app.turns.keep(call)
    if not (dry_run or force) and job in IN_NO_HURRY:
        account_for_missed(app, by, clocks.now)
    return call, clocks


def _calendar(app: "App", job: Job, clock: "VenueClock", by: str, *, dry_run: bool) -> None:
    """Update the stored calendar from the broker's.

    A dry run stores nothing; raise OperatorError if entries need the calendar and it isn't stored yet.
    """
    if not dry_run:
        keep_calendar(app, job, clock, by)
        return
    today, needed = app.day.date_of(clock.now), job is Job.TRADE_ONCE and clock.is_open
    if needed and not app.ledger.sessions(today - CALENDAR_KNOWN, today + CALENDAR_KNOWN):
        message = "the calendar isn't stored yet, and a dry run stores nothing"
        raise OperatorError(message, "tradebot reconcile, which stores it; then try the dry run again")


def _refuse_slot(
    app: "App", job: Job, decision: Decision, by: str, now: datetime, missed: Call | None = None
) -> "SlotRefused":
    refused = missed or Call(job, session_date(app.ledger, now, app.day), f"at {now:%H:%M:%SZ}", by)
    app.facts.record(replace(_begun_cycle(app, refused, now), job_decision=decision))
    return SlotRefused(decision)


def _without_slot(app: "App", job: Job, clock: "VenueClock", by: str, apart: Decision) -> Call:
    """Return the call for an exit pass without a slot, because the clocks disagree and the date is unknown.

    Its orders carry the later of the two dates, so that they don't count as orders of an earlier day. For any other
    job, record the refusal and raise ClocksDisagreeError.
    """
    second = app.second_time() or clock.now
    if job is Job.EVALUATE_EXITS:
        session = max(last_session(app.ledger, now, app.day) for now in (clock.now, second))
        return Call(job, session, f"at {clock.now:%H:%M:%SZ}", by)
    # Dated by the earlier clock, but not before the last recorded pass, so that it counts as the newest.
    at = max((min(clock.now, second), *(cycle.at for cycle in app.facts.cycles(job=job, last=1))))
    refused = Call(job, session_date(app.ledger, at, app.day), f"clocks apart at {at:%H:%M:%SZ}", by)
    app.facts.record(replace(_begun_cycle(app, refused, at), job_decision=replace(apart, gate=Gate.JOB)))
    raise disagreement(apart)


def is_pass_unfinished(app: "App", call: Call, now: datetime) -> bool:
    """Return True if a claimed slot's pass was interrupted or is still running; the pass lock shows which."""
    return call.job in BEGIN_ON_RECORD and app.facts.unfinished(_begun_cycle(app, call, now))


def both_clocks(app: "App", job: Job, *, dry_run: bool) -> "ClockReading":
    """Read the broker's clock and the second one; if they disagree, read both once more.

    In the sandbox, another process may have advanced the time between the two readings.
    """
    clocks = _clocks(app, job, dry_run)
    return clocks if clocks_agree(clocks.ahead_s, app.settings.limits).passed else _clocks(app, job, dry_run)


def _clocks(app: "App", job: Job, dry_run: bool) -> "ClockReading":
    stopwatch_s = stopwatch()
    return ClockReading(venue_clock(app, job, dry_run=dry_run), app.second_time(), stopwatch_s)


def venue_clock(app: "App", job: Job, *, dry_run: bool) -> "VenueClock":
    """Return the broker's time; if it doesn't respond, record that as the reason why the pass didn't trade."""
    try:
        return app.reader.clock()
    except TradebotError as failed:
        if not dry_run:
            last = app.facts.cycles(job=job, last=1)
            at = max(last[-1].at, app.folder.created_at) if last else app.folder.created_at
            lost = Call(job, app.day.date_of(at), f"unreachable after {at:%H:%M:%SZ}", "")
            app.facts.record(replace(_begun_cycle(app, lost, at), job_decision=_failure(failed)))
        raise


@contextmanager
def record_begun_pass(app: "App", call: "Call", at: datetime, *, dry_run: bool) -> "Iterator[None]":
    """Record a pass as interrupted before it begins, so that a kill leaves a trace; its own record replaces this one.

    If an error ends the pass, it is recorded as the reason and raised. If nothing can be recorded, nothing is sent. A
    pass that yields stays recorded as interrupted until it continues.
    """
    if dry_run:
        yield
        return
    begun = _begun_cycle(app, call, at)
    app.facts.record(begun)
    try:
        with HaltOnFault(app, at):
            yield
    except TradebotError as failed:
        # Report the error that ended the pass even if it can't be recorded.
        with suppress(TradebotError):
            app.facts.record(replace(begun, job_decision=_failure(failed)))
        raise


def _begun_cycle(app: "App", call: "Call", at: datetime) -> "CycleRecord":
    cut_short = Decision(Gate.JOB, Verdict.UNKNOWN, Reason.CUT_SHORT)
    return CycleRecord(call.cycle_id, call.job, call.session, call.slot, at, app.mode_name, job_decision=cut_short)


def _failure(failed: TradebotError) -> Decision:
    by_code = {ExitCode.UNAVAILABLE: Reason.VENUE_UNREACHABLE, ExitCode.AUTHENTICATION: Reason.KEYS_REFUSED}
    return Decision(Gate.JOB, Verdict.UNKNOWN, by_code.get(failed.code, Reason.PASS_FAILED), clean(failed.message))


class CandidateRow(Struct, frozen=True):
    """The result for one candidate; quantity in shares, price in USD."""

    symbol: str
    strategy: str
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


class PassData(Struct, frozen=True):
    """One pass; `not_run` is set if the pass itself was refused.

    The number of candidates is the number of orders plus all counts in `refused`. Candidates counted under
    APPROVAL_WAITING aren't refused yet: they wait for approval.

    `notes` are warnings about exits, or say why entries are blocked. `waiting` are the strategies that didn't run,
    because they weren't due.
    """

    id: str
    at: datetime
    slot: str
    dry_run: bool
    candidates: int
    orders: int
    refused: dict[Reason, int]
    rows: tuple[CandidateRow, ...]
    not_run: NotRun | None
    refused_strategies: "tuple[StrategyRefusal, ...]"
    notes: tuple[str, ...]
    waiting: "tuple[WaitingStrategy, ...]"


def pass_data(app: "App", cycle: "CycleRecord") -> PassData:
    """Return the report of a pass."""
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
        not_run=not_run(app, cycle.job_decision, cycle.at) if cycle.job_decision else None,
        refused_strategies=cycle.refused_strategies,
        notes=tuple(map(_shut, limits_blocking_entries([cycle]))),
        waiting=cycle.waiting,
    )


def _shut(decision: "Decision") -> str:
    """Return a sentence about a limit that refuses every entry, and what would change that."""
    row = row_of(decision)
    return f"{row.cause.capitalize()}: {sentence_of(decision)} Next: {row.remedy}"


def _row(record: "CandidateRecord") -> CandidateRow:
    candidate, terminal = record.candidate, record.terminal
    return CandidateRow(
        symbol=candidate.symbol,
        strategy=candidate.strategy,
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
    """Return 3 if a candidate was stopped by missing permission or by the trading state, otherwise 0."""
    stopped = any(decision.gate in SHUT and not decision.passed for row in data.rows for decision in row.decisions)
    return ExitCode.REFUSED if stopped else ExitCode.DONE


LEFT_ALONE_RIGHTLY = frozenset({Reason.HOLD, Reason.ORDER_WORKING})
"""Reasons for which an exit pass intentionally leaves a position open."""

UNSENT = frozenset({Reason.DRY_RUN, Reason.SHADOW})
"""Reasons for which no order is sent at all."""


def positions_to_close(rows: Iterable[CandidateRow]) -> list[CandidateRow]:
    """Return a row, with the reason, for each position that should be closed but has no working exit.

    Only a position's last order counts, because an order refused in one form may be sent in another. A cancel doesn't
    count, because it closes nothing.
    """
    rows = [row for row in rows if row.purpose in (Purpose.REDUCE, Purpose.CLOSE)]
    # The sort is stable, so each position's last order that closes comes after its cancels.
    last = {(row.strategy, row.symbol): row for row in sorted(rows, key=lambda row: row.source != Operation.CANCEL)}
    return [row for row in last.values() if row.reason]


def render_rows(console: "Console", data: PassData) -> None:
    """Print the candidates that passed, then the refused ones with the figures of the deciding gate."""
    unsent = {reason: data.refused.get(reason, 0) for reason in UNSENT}
    passed = data.orders + sum(unsent.values())
    what = "would be sent" if data.dry_run else "in shadow mode, not sent" if unsent[Reason.SHADOW] else "sent"
    count_text = pluralize(data.candidates, "candidate")
    waits = data.refused.get(Reason.APPROVAL_WAITING, 0)
    waiting = f" + {waits:,} waiting for approval" if waits else ""
    # A position that no rule closes isn't refused.
    holds = data.refused.get(Reason.HOLD, 0)
    lost = data.candidates - passed - waits - holds
    parts = [f"{passed:,} {what}{waiting}", *([f"{holds:,} {Reason.HOLD}"] if holds else [])]
    parts += [f"{lost:,} refused"] if lost or not holds else []
    console.print(f"  {count_text} = {' + '.join(parts)}")
    several = len({row.strategy for row in data.rows}) > 1
    common = _common_evidence(data.rows)
    who = ("symbol", "strategy") if several else ("symbol",)
    table = Table(*who, "side", number("score"), "ended at", number("observed"), number("limit"), "reason")
    for row in data.rows:
        ended = first_failure(row.decisions)
        gate = f"[{VERDICT_STYLE[ended.verdict]}]{ended.gate}[/]" if ended else "[green]sent[/green]"
        numbers = (
            _compared_texts(ended)
            if ended
            else (_quantity(row), f"{usd(row.price, row.symbol)} USD" if row.price else "")
        )
        if row.reason in common:
            numbers = "", ""
        score = "" if row.score is None else format_signed(row.score, 3)
        who = (row.symbol, row.strategy) if several else (row.symbol,)
        table.row(*map(escape, who), row.side, score, gate, *numbers, str(row.reason or _why_sent(row)))
    if data.rows:
        console.print(table)
    legend(console, data, common)


def _common_evidence(rows: Sequence["CandidateRow"]) -> Mapping[Reason, str]:
    """Return a sentence that all rows of a reason observed, by reason: it is shown once instead of in each row."""
    observed_by_reason: dict[Reason, list[str]] = {}
    for row in rows:
        ended = first_failure(row.decisions)
        if row.reason is not None and ended is not None:
            observed_by_reason.setdefault(row.reason, []).append(
                clean(format_with_unit(ended.observed, ended.units[0]))
            )
    return {
        reason: texts[0]
        for reason, texts in observed_by_reason.items()
        if len(texts) > 1 and len(set(texts)) == 1 and len(texts[0]) > LONGEST_NUMBER
    }


def legend(console: "Console", data: PassData, common: Mapping[Reason, str] = MappingProxyType({})) -> None:
    """Print what each reason in the table means, with the evidence that all its rows have in common."""
    for reason in data.refused:
        meaning = with_evidence(in_units(REASONS[reason].meaning), common.get(reason))
        console.print(f"  {reason}: {meaning}", style="dim", markup=False)
    render_refusals(console, data.refused_strategies)
    for waiting in data.waiting:
        console.print(not_due(waiting), style="dim", markup=False)


def _why_sent(row: CandidateRow) -> str:
    return next((str(d.reason) for d in row.decisions if d.gate is Gate.EXIT and d.reason), "")


def _quantity(row: CandidateRow) -> str:
    return "" if row.quantity is None else format_with_unit(row.quantity, Unit.SHARES)


def _compared_texts(ended: "Decision") -> tuple[str, str]:
    texts = (
        format_with_unit(value, unit) for value, unit in zip((ended.observed, ended.limit), ended.units, strict=True)
    )
    observed, limit = (escape(clean(text)) for text in texts)
    return observed, limit
