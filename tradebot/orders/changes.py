"""Change or cancel one of our working orders: promised, sent once, and repeated while its outcome isn't known."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from tradebot.gates.common import permission
from tradebot.model.candidate import Candidate, Purpose
from tradebot.model.decision import Decision, Gate, Verdict, first_failure
from tradebot.model.desk import Desk
from tradebot.model.intent import Intent, IntentRecord, Operation, mark_of
from tradebot.model.order import Order, OrderStatus
from tradebot.model.position import ADOPTED
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.orders.sending import cancel_intent, refuse_late, send, send_again
from tradebot.ports.world import Call, World

AGAIN = Decision(Gate.UNRESOLVED, Verdict.PASS, None, "sent again under its own id")
"""Why a request is resent although we don't know what became of it."""


def cancel_order(
    world: World, call: Call, desk: Desk, order: Order, record: IntentRecord, why: Reason
) -> CandidateRecord:
    """Cancel a working order, or repeat an unresolved cancel of it: a cancel may safely arrive twice."""
    new_intent = cancel_intent(call, desk, order, record.intent.key.strategy, record.intent.purpose)
    return send_change(world, desk, order, new_intent, why)


def taken_back(
    world: World, desk: Desk, record: CandidateRecord, before: Iterable[Order], now: Iterable[Order]
) -> CandidateRecord:
    """Return the record of a cancel, as refused if the orders that it was to end are all as they were before it.

    A venue may accept a cancel and reject it a moment later.
    """
    asked = {order.venue_id: order.status for order in before}
    left = {order.venue_id: order.status for order in now if order.venue_id in asked}
    if record.terminal is not None or left != asked or OrderStatus.PENDING_CANCEL in left.values():
        return record
    assert record.client_order_id, "a cancel that was sent has an id"
    refused = refuse_late(world, desk, record.client_order_id, "the broker accepted the cancel, then rejected it")
    return replace(record, decisions=(*record.decisions[:-1], refused))


def cancel_forgotten(world: World, call: Call, desk: Desk, order: Order, why: Reason) -> CandidateRecord:
    """Cancel a working order that carries our mark, although the books don't know it."""
    mark = mark_of(order.client_order_id)
    purpose = mark.purpose if mark and mark.purpose else Purpose.PROTECT
    return send_change(world, desk, order, cancel_intent(call, desk, order, ADOPTED, purpose), why)


def send_change(world: World, desk: Desk, order: Order, new_intent: Intent, why: Reason) -> CandidateRecord:
    """Send a change of a working order if permission allows; an unresolved earlier change is sent instead."""
    earlier = change_of(order, desk.books.unresolved, new_intent.operation)
    intent = earlier or new_intent
    candidate = reducing(intent, order, desk.now)
    allowed = permission(desk)
    decisions = (allowed, Decision(Gate.EXIT, allowed.verdict, why), *((AGAIN,) if earlier else ()))
    if first_failure(decisions):
        return CandidateRecord(candidate, decisions)
    sent = send_again(world, desk, intent) if earlier else send(world, desk, intent, decisions)
    price = intent.limit_price if intent.makes_order else None
    return CandidateRecord(candidate, (*decisions, sent), intent.client_order_id, price)


def reducing(intent: Intent, order: Order, at: datetime) -> Candidate:
    """Return the candidate under which a change of a working order is recorded."""
    return Candidate(
        strategy=intent.key.strategy,
        instrument=intent.instrument,
        side=intent.side,
        purpose=Purpose.REDUCE,
        at=at,
        quantity=order.open_quantity,
        source=intent.operation,
    )


def change_of(order: Order, unresolved: Iterable[IntentRecord], operation: Operation) -> Intent | None:
    """Return the promised but unresolved change of an order, or None."""
    unknown = (record.intent for record in unresolved)
    return next((i for i in unknown if i.operation is operation and i.target_venue_id == order.venue_id), None)
