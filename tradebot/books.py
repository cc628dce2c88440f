"""Facts apply by themselves: what the venue has done to our orders, written into the ledger before anyone decides."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from tradebot.model.intent import ID_CONFLICT, Intent, IntentRecord, IntentState, Operation
from tradebot.model.order import Fill, Order, Outcome, Reply
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.ports import BrokerReader, Ledger

FILL_OVERLAP = timedelta(minutes=1)
"""Fills are asked for again from a little before the last known one: the venue may list one late."""

WATCHED = timedelta(days=4)
"""For so long after its session a given-up order is still looked up: a late arrival is unlikely, and legal."""


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """What catching up changed: counts, and the intents whose fate is still unknown."""

    orders: int
    fills: int
    unresolved: tuple[IntentRecord, ...]


def catch_up(
    reader: BrokerReader, ledger: Ledger, open_orders: Sequence[Order], session: date, now: datetime
) -> CaughtUp:
    """Apply the venue's facts to the ledger; it only reads the venue and only appends what the venue said."""
    _resolve(reader, ledger, session, now)
    _watch(reader, ledger, session, now)
    changed = ledger.apply_orders(_latest_orders(reader, ledger, open_orders), now)
    new = ledger.apply_fills(_owned(ledger, reader.fills(_fills_since(ledger))), now)
    return CaughtUp(changed, new, tuple(ledger.intents(unresolved=True)))


def _resolve(reader: BrokerReader, ledger: Ledger, session: date, now: datetime) -> None:
    """Look up each intent of unknown fate by its id.

    Not finding it proves nothing while it may still arrive; a DAY order of an earlier session is given up, and watched.
    """
    for record in ledger.intents(unresolved=True):
        intent = record.intent
        if intent.operation is Operation.CANCEL:
            ledger.settle(intent.client_order_id, Reply(Outcome.ACCEPTED, message="the order itself tells"), now)
            continue
        order = reader.order(intent.client_order_id)
        if order is not None:
            ledger.settle(intent.client_order_id, _found(order, intent), now)
        elif intent.key.session < session:
            ledger.abandon(intent.client_order_id, "the venue does not know it and its session is over", now)


def _watch(reader: BrokerReader, ledger: Ledger, session: date, now: datetime) -> None:
    """Take back an order that was given up and has arrived after all, so that its fills are known as ours."""
    for record in ledger.intents():
        if record.state is IntentState.ABANDONED and record.intent.key.session >= session - WATCHED:
            order = reader.order(record.intent.client_order_id)
            if order is not None:
                ledger.settle(record.intent.client_order_id, _found(order, record.intent), now)


def _found(order: Order, intent: Intent) -> Reply:
    """Return what finding an order under an intent's id proves: ours where it is what we asked for."""
    if intent.asked_for(order):
        return Reply(Outcome.ACCEPTED, order)
    return Reply(Outcome.REJECTED, order, ID_CONFLICT, "another order holds this client order id")


def _latest_orders(reader: BrokerReader, ledger: Ledger, open_orders: Sequence[Order]) -> Iterator[Order]:
    """Yield the venue's open orders, then those that we think are working and the venue no longer lists as open."""
    yield from open_orders
    listed = {order.venue_id for order in open_orders}
    for order in ledger.orders(working=True):
        if order.venue_id not in listed:
            latest = reader.order(order.client_order_id)
            if latest is not None:
                yield latest


def unapplied(reader: BrokerReader, ledger: Ledger) -> tuple[OwnedFill, ...]:
    """Return the venue's fills that the books do not hold yet, for those who look and write nothing."""
    known = {owned.fill.activity_id for owned in ledger.fills()}
    new = [fill for fill in reader.fills(_fills_since(ledger)) if fill.activity_id not in known]
    return tuple(_owned(ledger, new)) if new else ()


def _fills_since(ledger: Ledger) -> datetime | None:
    fills = ledger.fills()
    opened = ledger.books_opened_at()
    if not fills or opened is None:
        return opened
    return max(opened, max(owned.fill.at for owned in fills) - FILL_OVERLAP)


def _owned(ledger: Ledger, fills: Iterable[Fill]) -> Iterator[OwnedFill]:
    """Name the owner of each fill through its order and the intent behind it; others' fills are foreign."""
    strategies = owners(ledger)
    for fill in fills:
        yield OwnedFill(strategies.get(fill.venue_order_id, FOREIGN), fill)


def owners(ledger: Ledger) -> Mapping[str, str]:
    """Return the strategy of each of our orders by the venue's order id."""
    by_client_id = {
        record.intent.client_order_id: record.intent.key.strategy
        for record in ledger.intents()
        if record.intent.operation is Operation.SUBMIT
    }
    return {
        order.venue_id: by_client_id[order.client_order_id]
        for order in ledger.orders()
        if order.client_order_id in by_client_id
    }
