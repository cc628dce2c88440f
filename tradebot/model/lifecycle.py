"""The life of a position: its states, the allowed transitions, and how a state is derived from the records.

Reports arrive late, twice and out of order, so a state is never advanced from one event to the next. `Records` collects
everything known, without repeats, and the state is computed from it. The result doesn't depend on the order of arrival.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct, field

from tradebot.model.candidate import Purpose
from tradebot.model.instrument import Instrument, whole_lots
from tradebot.model.intent import Intent, IntentRecord, IntentState, Operation, behind_leg
from tradebot.model.order import Order, OrderClass, OrderStatus, lineages
from tradebot.model.position import ADOPTED, FOREIGN
from tradebot.model.struct_tools import replace


class State(StrEnum):
    """The state of a position between the first intent and its end.

    INTENDED: an entry is recorded, and no order is known yet. WORKING: an entry works, and nothing is filled. OPEN:
    there are shares. PROTECTED: a stop rests at the venue for every whole lot. REDUCING: orders that close part of the
    position are on their way. CLOSING: orders that close all of it are on their way. CLOSED: no shares are left, or the
    entry ended without a fill. ADOPTED: a person assigned the position to the bot. QUARANTINED: the position isn't
    ours, and a person has to decide about it.
    """

    INTENDED = "intended"
    WORKING = "working"
    OPEN = "open"
    PROTECTED = "protected"
    REDUCING = "reducing"
    CLOSING = "closing"
    CLOSED = "closed"
    ADOPTED = "adopted"
    QUARANTINED = "quarantined"


_OURS = frozenset({State.PROTECTED, State.REDUCING, State.CLOSING, State.CLOSED})
NEXT: Mapping[State, frozenset[State]] = {
    State.INTENDED: _OURS | {State.WORKING, State.OPEN},
    State.WORKING: _OURS | {State.OPEN},
    State.OPEN: _OURS,
    State.PROTECTED: _OURS - {State.PROTECTED} | {State.OPEN, State.ADOPTED},
    State.REDUCING: _OURS - {State.REDUCING} | {State.OPEN, State.ADOPTED},
    State.CLOSING: _OURS - {State.CLOSING} | {State.OPEN, State.ADOPTED},
    State.CLOSED: frozenset(),
    State.ADOPTED: _OURS,
    State.QUARANTINED: frozenset({State.ADOPTED, State.OPEN, State.CLOSED}),
}
"""Which states may follow a state from one look at the books to the next.

Several things may happen between two looks: an entry that was only recorded may be filled, protected and closed. But an
open position never returns to its entry, a closed one never comes back, and found shares become the bot's own only if
a person adopts them, or if it turns out that one of our orders bought them. A closed position's symbol may be bought
again; that is another position.
"""


def may_follow(state: State, before: State) -> bool:
    """Return True if a position in the state `before` may be in `state` next."""
    return state is before or state in NEXT[before]


class RestingPrice(Struct, frozen=True):
    """The price in USD at which an order at the venue closes `quantity` shares (unsigned): a stop or a target.

    A stop that can't trigger, such as a suspended one, is left out.
    """

    price: Decimal
    quantity: Decimal
    is_stop: bool


class PendingWork(Struct, frozen=True):
    """The orders of one strategy in one symbol that may still change its position, or whose end is unknown.

    `entering` is INTENDED or WORKING, or None without such an entry. `leaving` is how many shares pending exits close,
    unsigned. `resting` are the protecting orders at the venue, `refused` is the last protecting order if the venue
    refused it, and `arriving` is True if a stop is on its way. `instrument` is that of the newest resting order, or
    None if there is no such order. `coming` are the stops of new pairs that no report shows as resting yet.
    """

    entering: State | None = None
    leaving: Decimal = Decimal(0)
    resting: tuple[RestingPrice, ...] = ()
    refused: IntentRecord | None = None
    arriving: bool = False
    instrument: Instrument | None = None
    coming: tuple[RestingPrice, ...] = ()

    def covered_quantity(self, quantity: Decimal) -> Decimal:
        """Return how many shares of a position are covered by stops that can trigger, unsigned, at most `quantity`."""
        stops = (each.quantity for each in self.resting if each.is_stop)
        return min(sum(stops, Decimal(0)), abs(quantity))


NOTHING = PendingWork()


def state_of(owner: str, quantity: Decimal, work: PendingWork, *, traded: bool = True) -> State:
    """Return the state of a position of `quantity` signed shares.

    `traded` is False if an entry is pending. If there are no shares, the state is then the entry's state instead of
    CLOSED.
    """
    if not quantity:
        return State.CLOSED if traded or work.entering is None else work.entering
    if owner == FOREIGN:
        return State.QUARANTINED
    if work.leaving:
        return State.CLOSING if work.leaving >= abs(quantity) else State.REDUCING
    whole = whole_lots(work.instrument, abs(quantity)) if work.instrument else abs(quantity)
    if whole and work.covered_quantity(quantity) >= whole:
        return State.PROTECTED
    return State.ADOPTED if owner == ADOPTED else State.OPEN


Event = IntentRecord | Order
"""What the ledger records about a position's orders: an intent or its outcome, or a report of an order."""


class Records(Struct, frozen=True):
    """All known intents by client order id and orders by venue id, without repeats."""

    intents: Mapping[str, IntentRecord] = field(default_factory=dict)
    orders: Mapping[str, Order] = field(default_factory=dict)

    def after(self, events: Iterable[Event]) -> "Records":
        """Return the records with these events added, in any order; known events change nothing."""
        intents, orders = dict(self.intents), dict(self.orders)
        for event in events:
            if isinstance(event, Order):
                orders[event.venue_id] = max(event, orders.get(event.venue_id, event), key=_order_progress)
            else:
                name = event.intent.client_order_id
                intents[name] = max(event, intents.get(name, event), key=_intent_progress)
        return Records(intents, orders)

    def work(self, booked: Mapping[str, Decimal]) -> dict[tuple[str, str], PendingWork]:
        """Return pending and resting orders by strategy and symbol; orders that aren't ours are left out.

        `booked` is how many shares of each order are in the books, by venue id. Shares that the venue reports as filled
        stay pending until they are booked.
        """
        by_key: dict[tuple[str, str], tuple[list[_Sent], list[IntentRecord]]] = {}
        orders_by_client_id = {order.client_order_id: order for order in self.orders.values()}
        replaced, parents = (
            set(self._replaced_orders(orders_by_client_id)),
            {order.parent for order in self.orders.values()},
        )
        for venue_id, lineage in lineages(self.orders, self.orders).items():
            order = self.orders[venue_id]
            intent = self._intent_behind(lineage, order)
            if intent is not None:
                order = release_stop(order, intent, entered=self._has_entered(order, booked))
            if intent is not None and venue_id not in replaced and not waits_for_entry(order, intent):
                is_untold = order.leads_pair and venue_id not in parents
                unbooked = max(order.filled_quantity - booked.get(venue_id, Decimal(0)), Decimal(0))
                sent = _Sent(order, intent, order.open_quantity + unbooked, is_untold)
                by_key.setdefault((intent.key.strategy, order.symbol), ([], []))[0].append(sent)
        for record in self.intents.values():
            intent = record.intent
            if intent.makes_order and intent.client_order_id not in orders_by_client_id:
                by_key.setdefault((intent.key.strategy, intent.instrument.symbol), ([], []))[1].append(record)
        return {key: _work(orders, unreported) for key, (orders, unreported) in by_key.items()}

    def _replaced_orders(self, orders_by_client_id: Mapping[str, Order]) -> Iterator[str]:
        """Yield the orders that the venue replaced on our request, even if it hasn't reported their end yet."""
        for name, record in self.intents.items():
            order, intent = orders_by_client_id.get(name), record.intent
            replaces = order is not None and order.status is not OrderStatus.REJECTED
            if intent.operation is Operation.REPLACE and intent.target_venue_id is not None and replaces:
                yield intent.target_venue_id

    def _has_entered(self, order: Order, booked: Mapping[str, Decimal]) -> bool:
        entry = self.orders.get(order.parent or "")
        return has_entered(entry, booked.get(order.parent or "", Decimal(0)))

    def _intent_behind(self, lineage: Iterable[Order], order: Order) -> Intent | None:
        """Return the intent that made the nearest of these orders, or None if none is ours."""
        intents = (self.intents.get(order.client_order_id) for order in lineage)
        return next(
            (behind_leg(record, order).intent for record in intents if record and record.intent.makes_order),
            None,
        )


class _Sent(NamedTuple):
    """An order with the intent behind it, and how many of its shares may still change a position.

    `is_untold` is True for the limit of a pair whose stop the venue hasn't reported yet.
    """

    order: Order
    intent: Intent
    left: Decimal
    is_untold: bool


def _work(sent: Sequence[_Sent], unreported: Iterable[IntentRecord]) -> PendingWork:
    """Summarize the orders of one strategy in one symbol, and the intents of which no order has been reported."""
    entering, leaving, resting, protecting = None, Decimal(0), list[RestingPrice](), list[Intent]()
    pairs, coming = (
        {order.order.venue_id for order in sent if _is_new_pair(order.order, order.intent)},
        list[RestingPrice](),
    )
    failed = (IntentState.REJECTED, IntentState.ABANDONED)
    for intent in (record.intent for record in unreported if record.state not in failed):
        if intent.purpose is Purpose.OPEN:
            entering = State.INTENDED
        elif not intent.protects and intent.target_venue_id is None:
            leaving += intent.quantity
    for order, intent, remaining, _ in sent:
        if intent.purpose is Purpose.OPEN:
            entering = State.WORKING if remaining else entering
        elif order.stop_price is not None or intent.protects:
            resting += (prices := [*_resting(order, intent)])
            coming += prices if order.parent in pairs else ()
            protecting.append(intent)
        else:
            leaving += remaining
    resting.sort(key=lambda price: (not price.is_stop, price.price, price.quantity))
    refused = _last_refused_protection(unreported, [sent_order.intent for sent_order in sent])
    arriving = any(
        (order.order.stop_price is not None and order.order.status.is_arriving)
        or (order.is_untold and order.intent.protects)
        for order in sent
    )
    newest = max(protecting, key=lambda intent: (intent.at, intent.client_order_id), default=None)
    instrument = newest.instrument if newest else None
    return PendingWork(entering, leaving, tuple(resting), refused, arriving, instrument, tuple(coming))


def _last_refused_protection(unreported: Iterable[IntentRecord], accepted: Iterable[Intent]) -> IntentRecord | None:
    """Return the last protecting order if the venue refused it; None otherwise."""
    last = max((r for r in unreported if r.intent.protects), key=lambda record: record.intent.at, default=None)
    if last is None or last.state is not IntentState.REJECTED:
        return None
    return None if any(intent.protects and intent.at > last.intent.at for intent in accepted) else last


def _resting(order: Order, intent: Intent) -> Iterator[RestingPrice]:
    """Yield where a working order closes shares: a stop that can trigger, or the limit of a pair."""
    if not order.open_quantity:
        return
    if order.stop_price is not None:
        if can_trigger(order, intent):
            yield RestingPrice(order.stop_price, order.open_quantity, is_stop=True)
    elif order.limit_price is not None:
        yield RestingPrice(order.limit_price, order.open_quantity, is_stop=False)


def _is_new_pair(order: Order, intent: Intent) -> bool:
    return order.status.is_arriving and intent.protects and intent.operation is Operation.SUBMIT


def waits_for_entry(order: Order, intent: Intent) -> bool:
    """Return True if an order is the attached stop of an entry that hasn't filled yet, and so protects nothing."""
    return order.status is OrderStatus.HELD and intent.order_class is OrderClass.BRACKET


def has_entered(entry: Order | None, booked: Decimal) -> bool:
    """Return True if an entry has filled completely; until then, its attached stop waits at the venue.

    `booked` are the entry's shares in the books.
    """
    if entry is None:
        return False
    filled = max(entry.filled_quantity, booked)
    return entry.status is OrderStatus.FILLED or (entry.quantity is not None and filled >= entry.quantity)


def release_stop(order: Order, intent: Intent, *, entered: bool) -> Order:
    """Return an order with its status set to NEW if it is the stop of an entry that has `entered`; unchanged otherwise.

    The stop's own report may be older than the entry's fill. If a list of open orders lacks the stop, it still counts
    as working, because a second stop could reverse the position.
    """
    return replace(order, status=OrderStatus.NEW) if entered and waits_for_entry(order, intent) else order


def can_trigger(order: Order, intent: Intent) -> bool:
    """Return True if a stop will act once its price is reached.

    During a replace, the old stop works until the new one arrives.
    """
    if waits_for_entry(order, intent):
        return False
    return order.status.can_trigger or (order.status.is_arriving and intent.operation is Operation.REPLACE)


_INTENT_PROGRESS = (
    IntentState.SENT,
    IntentState.UNKNOWN,
    IntentState.ABANDONED,
    IntentState.REJECTED,
    IntentState.ACKED,
)


def _intent_progress(record: IntentRecord) -> tuple[object, ...]:
    """Return the key that orders the records of one intent: knowledge of its outcome never decreases."""
    return _INTENT_PROGRESS.index(record.state), record.updated_at, record.code or "", record.message or ""


def _order_progress(order: Order) -> tuple[object, ...]:
    """Return the key that orders the reports of one order: shares never unfill and an end is final; then time decides.

    Unlike `Order.supersedes`, this puts any reports in one order, so it doesn't matter which of them arrived last.
    """
    updated = order.updated_at.timestamp() if order.updated_at else 0.0
    return order.filled_quantity, order.status.terminal, updated, repr(order)
