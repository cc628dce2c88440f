"""Resting orders for our positions: pairs of a limit and a stop, or separate orders, each for the shares of one
strategy.

A pair's stop has an id assigned by the venue, so it belongs to the strategy that sent its limit (`Order.parent`,
`Books.intent_behind`).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from msgspec import Struct

from tradebot.model.books import Books
from tradebot.model.intent import IntentRecord, Operation
from tradebot.model.lifecycle import can_trigger, release_stop, waits_for_entry
from tradebot.model.order import Order, OrderClass, OrderStatus, chain

HoldingKey = tuple[str, str]
"""A strategy and a symbol."""


class Resting(Struct, frozen=True):
    """The resting orders for some shares of a position: the working halves of a pair, a single stop, or a target.

    `record` is the intent behind its first order. The stop of a pair is None until the venue has reported it, and after
    it has ended. `can_trigger` is True if the stop acts once its price is reached; a limit alone protects nothing. Once
    an exit has taken over the limit, the pair is `exiting`, and its stop stays until the shares are gone. It is
    `doubted` while the venue's sources disagree about whether it works; its stop then doesn't count as protection.
    """

    record: IntentRecord
    limit: Order | None
    stop: Order | None
    can_trigger: bool
    doubted: bool = False

    @property
    def is_target(self) -> bool:
        """Return True for a target that rests apart from the stops and protects nothing."""
        return self.stop is None and self.record.intent.is_target

    @property
    def first(self) -> Order:
        """Return the order that represents these orders: the limit order of a pair, the single stop, or the target."""
        first = self.limit or self.stop
        assert first is not None, "something rests"
        return first

    @property
    def quantity(self) -> Decimal:
        """Return how many shares these orders cover, unsigned; the shares are protected if the stop `can_trigger`."""
        return max(order.open_quantity for order in (self.limit, self.stop) if order)

    @property
    def is_lapsed(self) -> bool:
        """Return True if the stop can't trigger, and waiting won't change that."""
        waits = self.doubted or self.is_target or (self.stop is not None and self.stop.status in _WAITS)
        return not (self.exiting or self.ending or self.can_trigger or waits)

    @property
    def arrives(self) -> bool:
        """Return True if the orders were newly sent and no report shows the stop as resting yet.

        A venue may report a pair's stop as held before the pair has arrived. During a replace, the old pair works until
        the new one has arrived.
        """
        is_new = self.record.intent.protects and self.record.intent.operation is Operation.SUBMIT and not self.is_target
        either = (self.limit, self.stop)
        return is_new and (self.stop is None or any(order.status.is_arriving for order in either if order))

    @property
    def exiting(self) -> bool:
        """Return True if the limit has become an exit."""
        return not self.record.intent.protects

    @property
    def ending(self) -> bool:
        """Return True if the venue is about to cancel these orders."""
        return any(order.status is OrderStatus.PENDING_CANCEL for order in (self.limit, self.stop) if order)


_WAITS = frozenset(status for status in OrderStatus if status.is_arriving) | {OrderStatus.UNKNOWN}


def resting_among(books: Books, orders: Iterable[Order]) -> Mapping[HoldingKey, tuple[Resting, ...]]:
    """Return the resting orders among these working orders by strategy and symbol, oldest first."""
    behind = ((order, books.intent_behind(order)) for order in orders)
    released = (
        (release_stop(order, record.intent, entered=books.has_entered(order)), record)
        for order, record in behind
        if record and record.intent.rests
    )
    pairs = [(order, record) for order, record in released if not waits_for_entry(order, record.intent)]
    # A leg may still name the parent that another order has replaced.
    first = [order for order, _ in pairs if not order.parent]
    latest = {
        member.venue_id: order.venue_id for order in first for member in books.chains.get(order.venue_id, (order,))
    }
    follows, halves = dict(_replacements(pairs)), defaultdict[str, list[tuple[Order, IntentRecord]]](list)
    for order, record in pairs:
        halves[_name(order, record, latest, follows)].append((order, record))
    groups = defaultdict[HoldingKey, list[Resting]](list)
    for group in halves.values():
        limits = [order for order, record in group if order.leads_pair or record.intent.is_target]
        limit = min(limits, key=lambda order: (order.venue_id in follows, order.open_quantity), default=None)
        # While a stop is being replaced, both may be listed, and one of them works; it may be the smaller one.
        stops = [(can_trigger(order, record.intent), order) for order, record in group if order not in limits]
        works, stop = max(stops, key=lambda pair: (pair[0], -pair[1].open_quantity), default=(False, None))
        record = next((record for order, record in group if order is limit), group[0][1])
        doubted = any(order.venue_id in books.doubted for order, _ in group)
        rest = Resting(record, limit, stop, works and not doubted, doubted)
        groups[record.intent.key.strategy, record.intent.key.symbol].append(rest)
    return {holding: tuple(rests) for holding, rests in groups.items()}


def _name(order: Order, record: IntentRecord, latest: Mapping[str, str], follows: Mapping[str, str]) -> str:
    """Return the venue's id of the order that identifies the group; the stop of an entry rests apart."""
    if order.parent and record.intent.order_class is not OrderClass.BRACKET:
        order_id = latest.get(order.parent, order.parent)
        return (order_id, *chain(order_id, follows))[-1] if follows else order_id
    return (order.venue_id, *chain(order.venue_id, follows))[-1] if follows else order.venue_id


def _replacements(pairs: Iterable[tuple[Order, IntentRecord]]) -> Iterator[tuple[str, str]]:
    """Yield the venue ids of each replaced order and its replacement: while both are listed, only one works."""
    for order, record in pairs:
        before = record.intent.target_venue_id if record.intent.client_order_id == order.client_order_id else None
        if before:
            yield before, order.venue_id


def is_protection(order: Order, record: IntentRecord) -> bool:
    """Return True if a position loses a stop when this order of ours ends.

    Such an order is a stop, or the limit that leads a pair.
    """
    return order.stop_price is not None or order.leads_pair or (record.intent.rests and not record.intent.is_target)
