"""Explain from the records why the bot did or didn't buy; no gate is asked again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from commands.shared.plain import clean, did_you_mean
from commands.shared.spans import UNITS, Span
from tradebot.errors import OperatorError, word

if TYPE_CHECKING:
    from tradebot.app.wiring import App
    from tradebot.explain import Explanation, Way
    from tradebot.model.candidate import Component
    from tradebot.model.decision import Decision
    from tradebot.model.record import CycleRecord


JOB = "trade-once"
MANY_MISSED = 3
SEARCHED = 20
"""A symbol's last way is looked for in so many passes."""


@dataclass(frozen=True, slots=True)
class Why:
    """The answer over passes from `first_at` to `last_at` in trading time; `now` says what changed since."""

    explanation: "Explanation"
    first_at: datetime | None
    last_at: datetime | None
    last_slot: str | None
    now: str | None


@dataclass(frozen=True, slots=True)
class SymbolWhy:
    """One symbol's way through the last pass that looked at it; `passes` counts those in the span that did.

    Quantities are shares, prices USD; `sentence` says where it ended, `remedy` what would change that, `then` what
    would refuse it next.
    """

    symbol: str
    at: datetime | None
    slot: str | None
    passes: int
    side: str | None
    score: float | None
    coverage: float | None
    price: Decimal | None
    components: "tuple[Component, ...]"
    decisions: "tuple[Decision, ...]"
    reason: str | None
    sentence: str
    remedy: str
    then: str | None
    now: str | None


def cycles_of(app: "App", span: Span) -> "Sequence[CycleRecord]":
    """Return the passes of a span; an order whose outcome has become known since counts by that outcome."""
    from tradebot.explain import with_fates
    from tradebot.model.intent import IntentState

    def found(client_order_id: str) -> bool:
        record = app.ledger_view.intent(client_order_id)
        return record is not None and record.state is IntentState.ACKED

    return with_fates(_recorded_cycles(app, span), found)


def _recorded_cycles(app: "App", span: Span) -> "Sequence[CycleRecord]":
    facts = app.recorded
    if facts is None:
        return ()
    if span.since_s is None and not span.session:
        return facts.cycles(job=JOB, last=span.last)
    newest = facts.cycles(job=JOB, last=1)
    if not newest:
        return ()
    reach_s = UNITS["d"] if span.since_s is None else span.since_s
    found = facts.cycles(job=JOB, since=newest[0].at - timedelta(seconds=reach_s))
    return [cycle for cycle in found if not span.session or cycle.session == newest[0].session]


def explained(app: "App", cycles: "Sequence[CycleRecord]") -> Why:
    """Return the answer over these passes."""
    from tradebot.explain import why_no_orders

    last = cycles[-1] if cycles else None
    return Why(
        explanation=_remedied(app, why_no_orders(cycles), last),
        first_at=cycles[0].at if cycles else None,
        last_at=last.at if last else None,
        last_slot=last.slot if last else None,
        now=_changed_since(app, last),
    )


def _remedied(app: "App", answer: "Explanation", last: "CycleRecord | None") -> "Explanation":
    """Return the answer with a remedy that helps now: an ended market doesn't reopen, and a halt has a cause."""
    from dataclasses import replace

    from commands.shared.passes import remedy_of
    from tradebot.model.reasons import REASONS, Reason

    if last is not None and answer.remedy == REASONS[Reason.HALTED].remedy:
        more, remedy = _why_halted(app, last.at)
        return replace(answer, sentence=f"{answer.sentence}{more}", remedy=remedy)
    refused = last.job_decision if last else None
    if last is None or refused is None or refused.reason is None or answer.remedy != REASONS[refused.reason].remedy:
        return answer
    return replace(answer, remedy=remedy_of(app, refused.reason, last.at))


def _why_halted(app: "App", at: datetime) -> tuple[str, str]:
    """Return a sentence with the cause of the halt and what clears it; ending the halt doesn't clear its cause."""
    from commands.shared.notes import cause_of_halt
    from tradebot.model.reasons import REASONS, Reason

    cause = cause_of_halt(app, at)
    said = f" {cause}: {REASONS[cause].meaning}" if cause else ""
    return said, REASONS[cause or Reason.HALTED].remedy


def _changed_since(app: "App", last: "CycleRecord | None") -> str | None:
    """Return what has changed in the switch and the configuration since the last recorded pass."""
    from tradebot.adapters.state import switch
    from tradebot.model.reasons import Reason
    from tradebot.model.trading import TradingState

    then = _reasons(last) if last else frozenset[Reason]()
    # A pass records the first closed door alone.
    for reason, found in app.permission.closed_to_entries(datetime.now(UTC))[:1]:
        if reason not in then:
            return f"Permission is closed now: {reason} ({clean(found)})."
    state = switch.read(app.folder.path)
    was_halted = bool(then & {Reason.HALTED, Reason.STATE_UNREADABLE})
    if state.state is not TradingState.ACTIVE and not was_halted:
        who = f" by {clean(state.who)}" if state.who else ""
        return f"Trading is halted now: {state.state}{who}: {clean(state.why)}. Next: tradebot unhalt"
    if state.state is TradingState.ACTIVE and was_halted:
        return "That halt has ended: trading is ACTIVE now. Next: tradebot trade-once"
    return _silent_since(app, last.at) if last else None


def _silent_since(app: "App", last: datetime) -> str | None:
    """Say that no pass has run for a while in an open session; in the sandbox time stands still, so none is late."""
    from tradebot.model.record import Job
    from tradebot.model.trading import Mode
    from tradebot.timetable.sessions import session_of

    now = datetime.now(UTC)
    session = None if app.mode is Mode.SANDBOX else session_of(app.ledger_view, now)
    if session is None or not session.contains(now):
        return None
    missed = [due for due in app.settings.timetable[Job.TRADE_ONCE].in_session(session) if last < due.start <= now]
    if len(missed) < MANY_MISSED:
        return None
    return f"{len(missed)} slots of this session have passed without a pass since. Next: tradebot doctor"


def _reasons(cycle: "CycleRecord") -> frozenset[object]:
    return frozenset(decision.reason for record in cycle.candidates for decision in record.decisions)


def known_symbol(app: "App", symbol: str) -> str:
    """Return a symbol as the universe spells it; otherwise raise OperatorError naming the closest ones."""
    name, universe = symbol.strip().upper(), app.settings.universe
    if name in universe or _recorded(app, name):
        return name
    near = did_you_mean(name, universe)
    meant = f"{near}?" if near else f"it looks at {', '.join(universe[:5])} …"
    raise OperatorError(
        f"{word(name)} is not a symbol that this bot looks at",
        f"{meant} (universe: in the configuration names them all)",
    )


def _recorded(app: "App", symbol: str) -> bool:
    """Return True if the last passes looked at the symbol: one that has left the universe can still be shown."""
    from tradebot.explain import way_of

    return bool(way_of(symbol, cycles_of(app, Span(last=SEARCHED))))


def way_of_symbol(app: "App", symbol: str, span: Span) -> SymbolWhy:
    """Return what happened to one symbol in the last pass of the span that looked at it."""
    from tradebot.explain import way_of

    cycles = cycles_of(app, span)
    ways = way_of(symbol, cycles)
    if not ways and span == Span():
        ways = way_of(symbol, cycles_of(app, Span(last=SEARCHED)))[-1:]
    now = _changed_since(app, cycles[-1] if cycles else None)
    return _seen(app, ways, now) if ways else _unseen(app, symbol, cycles, now)


def _seen(app: "App", ways: "Sequence[Way]", now: str | None) -> SymbolWhy:
    from tradebot.explain import remedy_for
    from tradebot.model.reasons import REASONS, Reason

    way = ways[-1]
    candidate, terminal = way.record.candidate, way.record.terminal
    row = REASONS[terminal.reason] if terminal and terminal.reason else None
    more, remedy = "", "tradebot status"
    if terminal and terminal.reason:
        remedy = remedy_for(terminal.reason, terminal.observed)
    if terminal and terminal.reason is Reason.HALTED:
        more, remedy = _why_halted(app, way.at)
    return SymbolWhy(
        symbol=candidate.symbol,
        at=way.at,
        slot=way.slot,
        passes=len(ways),
        side=candidate.side.value,
        score=candidate.score,
        coverage=candidate.coverage,
        price=way.record.reference_price,
        components=candidate.components,
        decisions=way.record.decisions,
        reason=terminal.reason.value if terminal and terminal.reason else None,
        sentence=f"It ended at {terminal.gate}: {row.meaning}{more}"
        if terminal and row
        else "The order was sent and accepted.",
        remedy=remedy,
        then=_then(way),
        now=now,
    )


def _then(way: "Way") -> str | None:
    """Return what would refuse the candidate next; every gate was asked, so it is on record."""
    from tradebot.explain import next_refusal, remedy_for

    following = next_refusal(way.record)
    if following is None or following.reason is None:
        return None
    return (
        f"{following.gate} would refuse it next, {following.reason}: {remedy_for(following.reason, following.observed)}"
    )


def _unseen(app: "App", symbol: str, cycles: "Sequence[CycleRecord]", now: str | None) -> SymbolWhy:
    """Return why there is nothing to show: no pass, a pass refused as a whole, or no proposal."""
    from tradebot.explain import why_no_orders

    refused = cycles[-1].job_decision if cycles else None
    answer = _remedied(app, why_no_orders(cycles), cycles[-1] if cycles else None)
    sentence, remedy = answer.sentence, answer.remedy
    if cycles and refused is None and not cycles[-1].refused_strategies:
        sentence, remedy = "The strategy proposed nothing for it: no flow is known of it.", "tradebot score"
    last = cycles[-1] if cycles else None
    return SymbolWhy(
        symbol=symbol,
        at=None,
        slot=last.slot if last else None,
        passes=0,
        side=None,
        score=None,
        coverage=None,
        price=None,
        components=(),
        decisions=(refused,) if refused else (),
        reason=refused.reason.value if refused and refused.reason else None,
        sentence=sentence,
        remedy=remedy,
        then=None,
        now=now,
    )
