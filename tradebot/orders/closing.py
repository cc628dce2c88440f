"""Close positions, or parts of them: for an exit rule, for a strategy that wants it, or for a person."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal

from tradebot.gates.common import (
    candidate_fresh,
    closable,
    permission,
    still_held,
    unresolved_for_exit,
    working_for_exit,
)
from tradebot.gates.sizing import marketable_limit
from tradebot.model.candidate import Candidate, Purpose
from tradebot.model.decision import Decision, Gate, Verdict, first_failure
from tradebot.model.desk import Desk
from tradebot.model.instrument import Instrument, whole_lots
from tradebot.model.intent import Intent, IntentState, Operation
from tradebot.model.position import Position
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.orders.sending import EXIT_LOOKUP, MOST_LEGS, closing_side, send, send_again, submit_intent, wanted_key
from tradebot.orders.working_orders import AGAIN
from tradebot.ports.world import Call, World

NEVER_FILLS = frozenset({Reason.VENUE_REJECTED, Reason.HALTED, Reason.DESK_STALE, Reason.MARKET_CLOSED})
"""Reasons at SEND that rule out a fill, so the next candidate sees the same book. A lost reply may still be a fill."""


def close_one_by_one(
    desk: Desk, positions: Iterable[Position], close: Callable[[Desk, Position], CandidateRecord]
) -> tuple[CandidateRecord, ...]:
    """Close positions one after another, each based on what the previous orders leave at the broker.

    Two owners may hold the same symbol while the broker holds less than their sum, so two orders must not close the
    same shares.
    """
    records = []
    for position in positions:
        record = close(desk, position)
        records.append(record)
        desk = after_closing(desk, record)
    return tuple(records)


def after_closing(desk: Desk, record: CandidateRecord) -> Desk:
    """Return the desk as if this record's order were filled, if an order may have gone out."""
    candidate, last = record.candidate, record.decisions[-1]
    if last.gate is not Gate.SEND or last.reason in NEVER_FILLS:
        return desk
    assert candidate.quantity is not None, "an exit knows its quantity"
    return desk.with_filled(candidate.symbol, candidate.quantity * candidate.side.sign)


def close(world: World, call: Call, desk: Desk, position: Position, why: Decision, source: str) -> CandidateRecord:
    """Send the order that closes a position if `why` and the exit gates pass."""
    candidate = Candidate(
        strategy=position.strategy,
        instrument=Instrument(position.symbol),
        side=closing_side(position.quantity),
        purpose=Purpose.CLOSE,
        at=desk.now,
        quantity=closable(desk, position.symbol, position.quantity),
        source=source,
    )
    return _send_closing(world, call, desk, position, candidate, (why,))


def close_as_wanted(world: World, call: Call, desk: Desk, candidate: Candidate) -> CandidateRecord:
    """Send the order that closes or reduces a position because its strategy wants that, if the exit gates pass."""
    whose = (candidate.strategy, candidate.symbol)
    position = next((p for p in desk.positions if (p.strategy, p.symbol) == whose), None)
    if position is None or closing_side(position.quantity) is not candidate.side:
        held = position.quantity if position else Decimal(0)
        closed = Decision(Gate.POSITIONED, Verdict.FAIL, Reason.ALREADY_CLOSED, held, candidate.quantity)
        return CandidateRecord(candidate, (*candidate.decisions, closed))
    assert candidate.quantity is not None, "a strategy that closes knows its quantity"
    if not candidate.quantity:
        none = Decision(Gate.SIZE, Verdict.FAIL, Reason.SIZE_BELOW_ONE, candidate.quantity, candidate.instrument.lot)
        return CandidateRecord(candidate, (*candidate.decisions, none))
    quantity = min(candidate.quantity, closable(desk, position.symbol, position.quantity))
    asked = Decision(Gate.STRATEGY, Verdict.PASS, Reason.STRATEGY_CLOSES, candidate.why or None)
    fresh = candidate_fresh(candidate, desk.now, world.rules.of(candidate.strategy).limits)
    wanted = replace(candidate, quantity=quantity)
    return _send_closing(world, call, desk, position, wanted, (fresh, *candidate.decisions, asked))


def _send_closing(
    world: World, call: Call, desk: Desk, position: Position, candidate: Candidate, asked: tuple[Decision, ...]
) -> CandidateRecord:
    """Send a closing order if everything asked so far and the exit gates pass.

    A fraction of a share goes out with the whole shares. If the venue refuses it, the whole shares go out alone, and
    the fraction stays for the rest of the session.
    """
    lost = _lost_exit(desk, position)
    candidate, fraction = _without_refused_fraction(call, desk, candidate)
    decisions = (
        permission(desk),
        *asked,
        still_held(desk, position.symbol, position.quantity),
        *fraction,
        working_for_exit(desk.book, position.strategy, position.symbol, candidate.side),
        AGAIN if lost else unresolved_for_exit(desk.books, position.strategy, position.symbol),
    )
    if first_failure(decisions):
        return CandidateRecord(candidate, decisions)
    if lost:
        again = replace(candidate, quantity=lost.quantity)
        sent = send_again(world, desk, lost)
        return CandidateRecord(again, (*decisions, sent), lost.client_order_id, lost.limit_price)
    leg, whole = wanted_key(world, call, desk, candidate).leg, _whole(candidate)
    record = _submit(world, call, desk, candidate, decisions, leg)
    if record.decisions[-1].reason is Reason.VENUE_REJECTED and 0 < whole < _quantity(candidate):
        return _submit(world, call, desk, replace(candidate, quantity=whole), decisions, leg + MOST_LEGS)
    return record


def _submit(
    world: World, call: Call, desk: Desk, candidate: Candidate, decisions: tuple[Decision, ...], leg: int
) -> CandidateRecord:
    """Send a closing order past the best bid or ask, or a market order if there is no quote."""
    quote, offset = desk.quotes.get(candidate.symbol), world.rules.exits.limit_offset_fraction
    price = marketable_limit(candidate.instrument, candidate.side, quote, offset) if quote else None
    intent = submit_intent(call, desk, candidate, _quantity(candidate), price, leg)
    return CandidateRecord(candidate, (*decisions, send(world, desk, intent, decisions)), intent.client_order_id, price)


def _without_refused_fraction(call: Call, desk: Desk, candidate: Candidate) -> tuple[Candidate, tuple[Decision, ...]]:
    """Return the candidate in whole shares if the venue refused a fraction today, and a refusal if that leaves none."""
    quantity, whole = _quantity(candidate), _whole(candidate)
    rejected = (r.intent for r in desk.books.promised_in(call.session) if r.state is IntentState.REJECTED)
    closing = (i for i in rejected if i.purpose is not Purpose.OPEN and i.instrument == candidate.instrument)
    if whole == quantity or not any(intent.quantity % intent.instrument.lot for intent in closing):
        return candidate, ()
    none = Decision(Gate.SIZE, Verdict.FAIL, Reason.FRACTION_REFUSED, quantity, candidate.instrument.lot)
    return replace(candidate, quantity=whole or quantity), () if whole else (none,)


def _quantity(candidate: Candidate) -> Decimal:
    assert candidate.quantity is not None, "an exit knows its quantity"
    return candidate.quantity


def _whole(candidate: Candidate) -> Decimal:
    return whole_lots(candidate.instrument, _quantity(candidate))


def _lost_exit(desk: Desk, position: Position) -> Intent | None:
    """Return an exit the venue has not known for a while, if its whole quantity is still there to close."""
    for record in desk.books.unresolved:
        intent = record.intent
        closes = intent.operation is Operation.SUBMIT and intent.purpose is not Purpose.OPEN
        same = (intent.key.strategy, intent.key.symbol) == (position.strategy, position.symbol)
        # A date in the future means the venue's clock was ahead then; that doesn't make the order younger.
        if closes and same and abs(desk.now - intent.at) >= EXIT_LOOKUP:
            still_closable = closable(desk, position.symbol, position.quantity) >= intent.quantity
            return intent if still_closable else None
    return None
