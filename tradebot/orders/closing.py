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
from tradebot.model.instrument import Instrument
from tradebot.model.intent import Intent, Operation
from tradebot.model.position import Position
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.orders.sending import EXIT_LOOKUP, closing_side, send, send_again, submit_intent, wanted_key
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


def close(
    world: World, call: Call, desk: Desk, position: Position, why: Decision, source: str, displaced_by: str = ""
) -> CandidateRecord:
    """Send the order that closes a position if `why` and the exit gates pass.

    `displaced_by` is the symbol that it makes room for, if any.
    """
    candidate = Candidate(
        strategy=position.strategy,
        instrument=Instrument(position.symbol),
        side=closing_side(position.quantity),
        purpose=Purpose.CLOSE,
        at=desk.now,
        quantity=closable(desk, position.symbol, position.quantity),
        source=source,
        displaced_by=displaced_by,
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
    """Send a closing order if everything asked so far and the exit gates pass."""
    lost = _lost_exit(desk, position)
    decisions = (
        permission(desk),
        *asked,
        still_held(desk, position.symbol, position.quantity),
        working_for_exit(desk.book, position.strategy, position.symbol, candidate.side),
        AGAIN if lost else unresolved_for_exit(desk.books, position.strategy, position.symbol),
    )
    if first_failure(decisions):
        return CandidateRecord(candidate, decisions)
    if lost:
        again = replace(candidate, quantity=lost.quantity)
        sent = send_again(world, desk, lost)
        return CandidateRecord(again, (*decisions, sent), lost.client_order_id, lost.limit_price)
    quote, offset = desk.quotes.get(position.symbol), world.rules.exits.limit_offset_fraction
    price = marketable_limit(candidate.instrument, candidate.side, quote, offset) if quote else None
    assert candidate.quantity is not None, "an exit knows its quantity"
    leg = wanted_key(world, call, desk, candidate).leg
    intent = submit_intent(call, desk, candidate, candidate.quantity, price, leg)
    return CandidateRecord(candidate, (*decisions, send(world, desk, intent, decisions)), intent.client_order_id, price)


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
