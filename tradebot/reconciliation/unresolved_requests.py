"""Resolve requests with an unknown outcome: query the venue, and abandon those that can't arrive any more."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from tradebot.errors import TemporaryError
from tradebot.model.bar import Session
from tradebot.model.intent import ID_CONFLICT, TARGET_DONE, Intent, IntentRecord, IntentState, Operation, outcome_of
from tradebot.model.order import Order, OrderStatus, Reply, WriteOutcome
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Edit, End, Proof
from tradebot.ports.broker import BrokerReader
from tradebot.ports.stores import Ledger, Orders
from tradebot.reconciliation.new_fills import WATCHED, known_orders
from tradebot.timetable.sessions import CALENDAR_REACH


def look_up(reader: BrokerReader, ledger: Ledger, now: datetime, passed: datetime) -> Sequence[IntentRecord]:
    """Look up unresolved and abandoned intents at the venue, and record the outcomes that it knows.

    Return the intents that still have no outcome.
    """
    watched = (now - WATCHED).date()
    unsettled = ledger.unsettled_intents(watched)
    settled = _resolve(reader, ledger, [record for record in unsettled if record.state.is_unresolved], now, passed)
    # Intents that were just abandoned are queried once more.
    unsettled = ledger.unsettled_intents(watched) if settled else unsettled
    back = _restore_arrived(reader, ledger, unsettled, now)
    return ledger.unsettled_intents(watched) if back else unsettled


def _resolve(
    reader: BrokerReader, ledger: Ledger, unknown: Sequence[IntentRecord], now: datetime, passed: datetime
) -> bool:
    """Record the known outcome of each unresolved intent, and abandon those that can't arrive.

    Return True if any was resolved.
    """
    if not unknown:
        return False
    written = False
    # Read these before looking up the ids: an order that had ended by then can't be replaced any more.
    targets, first = _targets(ledger, unknown), min(now, *(record.intent.at for record in unknown)) - timedelta(days=1)
    sessions = ledger.sessions(first.date(), (now + CALENDAR_REACH).date())
    for record in unknown:
        name = record.intent.client_order_id
        try:
            outcome = _outcome(reader, record, targets, sessions, passed)
        except TemporaryError:
            # A lookup without a reply proves nothing, so the next pass queries again.
            continue
        if isinstance(outcome, Reply):
            written = _settle(reader, ledger, name, outcome, now) or written
        elif outcome.end is End.OVER:
            ledger.abandon(name, outcome.evidence, now)
            written = True
    return written


def _targets(ledger: Ledger, unknown: Iterable[IntentRecord]) -> Mapping[str, Order]:
    """Return the orders that these intents change, and those that replaced them, by venue id."""
    targets = known_orders(ledger, {r.intent.target_venue_id for r in unknown if r.intent.target_venue_id})
    followers = known_orders(ledger, {order.replaced_by for order in targets.values() if order.replaced_by})
    return {**targets, **followers}


def _outcome(
    reader: BrokerReader,
    record: IntentRecord,
    orders: Mapping[str, Order],
    sessions: Sequence[Session],
    passed: datetime,
) -> Reply | Proof:
    """Return the outcome of an unresolved intent, or what is proven about it if the outcome isn't known.

    `orders` are the orders that it may change, by venue id; one that is missing has ended.
    """
    # It may have been resent since it was recorded.
    intent = replace(record.intent, at=max(record.intent.at, record.updated_at))
    target = orders.get(intent.target_venue_id or "")
    in_place = reader.capabilities.edit is Edit.IN_PLACE
    if intent.operation is Operation.CANCEL:
        ending = target is None or target.status.terminal or target.status is OrderStatus.PENDING_CANCEL
        if ending:
            return Reply(WriteOutcome.ACCEPTED, message="the order has ended, or is being canceled")
    if intent.operation is Operation.REPLACE and in_place and target and intent.is_shown_by(target):
        return Reply(WriteOutcome.ACCEPTED, message="the order already has the new terms")
    proof = reader.end_of(intent, sessions, passed)
    if proof.order is not None and not (in_place and intent.operation is Operation.REPLACE):
        return _outcome_if_ours(proof.order, intent)
    if intent.operation is Operation.REPLACE and _ended_otherwise(target, orders):
        return Reply(WriteOutcome.REJECTED, code=TARGET_DONE, message="the order that it was to replace has ended")
    return proof


def _ended_otherwise(target: Order | None, orders: Mapping[str, Order]) -> bool:
    """Return True if an order has ended, but not by a replacement that the books don't know.

    Such a replacement may be the order that the unresolved intent requested.
    """
    if target is None or target.status is not OrderStatus.REPLACED:
        return target is None or target.status.terminal
    return target.replaced_by in orders


def _restore_arrived(reader: BrokerReader, ledger: Orders, unsettled: Iterable[IntentRecord], now: datetime) -> bool:
    """Restore an abandoned intent whose order arrived after all, so that its fills count as ours; True if any did."""
    written = False
    for record in unsettled:
        if record.state is IntentState.ABANDONED and record.intent.makes_order:
            order = reader.order(record.intent.client_order_id)
            if order is not None:
                reply = _outcome_if_ours(order, record.intent)
                written = _settle(reader, ledger, record.intent.client_order_id, reply, now) or written
    return written


def _settle(reader: BrokerReader, ledger: Orders, name: str, reply: Reply, now: datetime) -> bool:
    """Record a reply with its order's legs; return False if the order has ended and its legs couldn't be read."""
    order = reply.order
    if order is not None and order.has_legs and reply.outcome is WriteOutcome.ACCEPTED:
        legs = legs_of(reader, order.venue_id)
        if legs is None and order.status.terminal:
            return False
        reply = replace(reply, legs=tuple(legs or ()))
    ledger.record_outcome(name, reply, now)
    return True


def _outcome_if_ours(order: Order, intent: Intent) -> Reply:
    """Return the outcome if the venue has an order with an intent's id: it is ours if it matches the intent."""
    if intent.matches_order(order):
        return outcome_of(order)
    return Reply(WriteOutcome.REJECTED, order, ID_CONFLICT, "another order has this client order id")


def legs_of(reader: BrokerReader, venue_id: str) -> Sequence[Order] | None:
    """Return an order's legs, or None if the venue doesn't answer; then the order's end isn't known either.

    Without its legs, an order mustn't be recorded as ended: it would never be queried again, so its legs would stay
    unknown and their fills would count as foreign.
    """
    try:
        return reader.legs(venue_id)
    except TemporaryError:
        return None
