"""Orders and fills as the venue reports them, its replies to our requests, and how an entry is priced."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.candidate import Side
from tradebot.model.instrument import CURRENCY, ONE, AssetClass, notional
from tradebot.model.struct_tools import VenueWord, replace


class OrderType(VenueWord):
    """Order types that we send or may encounter."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    UNKNOWN = "unknown"


class OrderClass(StrEnum):
    """Whether an order is single, part of a pair, or an entry with an attached stop.

    A pair is a limit and a stop, of which only one closes the shares. An entry's attached stop works once the entry has
    filled.
    """

    SIMPLE = "simple"
    OCO = "oco"
    BRACKET = "bracket"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> "OrderClass":
        return cls.UNKNOWN if value else cls.SIMPLE


class TimeInForce(VenueWord):
    """Times in force that we send or may encounter."""

    DAY = "day"
    GTC = "gtc"
    UNKNOWN = "unknown"


class OrderStatus(VenueWord):
    """The states of an order, whatever its venue calls them; the adapter translates the venue's words into these.

    On its way: PENDING_NEW (the venue has the request, and may still refuse it), ACCEPTED (it will go to the market,
    but isn't there yet). Working: NEW (nothing filled), PARTIALLY_FILLED, HELD (half of a pair that waits while the
    other works), PENDING_CANCEL and PENDING_REPLACE (the venue is processing our request, and the order works until
    then), STOPPED (its fill is certain, but not yet reported). Neither working nor over: SUSPENDED (it can't trade
    now), CALCULATED (its final figures are being computed), DONE_FOR_DAY (it can't trade again today). Over: FILLED
    (completely), CANCELED, EXPIRED, REJECTED (refused by the venue), REPLACED (by another order), ENDED (the venue
    doesn't list it any more and can't say how it ended). UNKNOWN is any word that we don't know: neither working nor
    over.
    """

    PENDING_NEW = "pending_new"
    NEW = "new"
    ACCEPTED = "accepted"
    HELD = "held"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    STOPPED = "stopped"
    SUSPENDED = "suspended"
    CALCULATED = "calculated"
    DONE_FOR_DAY = "done_for_day"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REPLACED = "replaced"
    ENDED = "ended"
    UNKNOWN = "unknown"

    @property
    def terminal(self) -> bool:
        return self in _TERMINAL

    @property
    def can_trigger(self) -> bool:
        """Return True if a stop in this state acts once its price is reached."""
        return self in _CAN_TRIGGER

    @property
    def is_arriving(self) -> bool:
        """Return True if the order will soon be at the market, so that we only have to wait."""
        return self in _ARRIVING


_TERMINAL = frozenset(
    {
        OrderStatus.FILLED,
        OrderStatus.CANCELED,
        OrderStatus.EXPIRED,
        OrderStatus.REJECTED,
        OrderStatus.REPLACED,
        OrderStatus.ENDED,
    }
)
_CAN_TRIGGER = frozenset(
    {
        OrderStatus.NEW,
        OrderStatus.PARTIALLY_FILLED,
        # The stop of a pair may be shown as held while the pair's limit works; whichever price is reached first
        # triggers.
        OrderStatus.HELD,
        # The order works until its replacement is accepted.
        OrderStatus.PENDING_REPLACE,
        # The venue has guaranteed the fill.
        OrderStatus.STOPPED,
    }
)
"""Not included: an order that is `suspended`, `calculated` or `done_for_day` doesn't trade, one that is
`pending_cancel` may be gone at any moment, and an unknown state promises nothing.
"""
_ARRIVING = frozenset({OrderStatus.PENDING_NEW, OrderStatus.ACCEPTED})


class Order(Struct, frozen=True):
    """One order as the venue reports it; quantities are unsigned, `limit_price` is None for market orders.

    `replaced_by` is the venue's id of the order that replaced this one, if any. If this order is a leg of another
    order, `parent` is the other order's venue id: the stop of a pair is a leg of its limit order. The bot adds two
    fields: `arrival_mid` is the midpoint of bid and ask in USD when a pass first saw the order at the venue, and
    `fill_mid` the midpoint when a pass first saw an entry's fill; None without a quote.
    """

    venue_id: str
    client_order_id: str
    symbol: str
    asset_class: AssetClass
    side: Side
    quantity: Decimal | None
    filled_quantity: Decimal
    filled_average_price: Decimal | None
    order_type: OrderType
    limit_price: Decimal | None
    time_in_force: TimeInForce
    status: OrderStatus
    submitted_at: datetime | None
    updated_at: datetime | None
    replaced_by: str | None = None
    stop_price: Decimal | None = None
    parent: str | None = None
    order_class: OrderClass = OrderClass.SIMPLE
    arrival_mid: Decimal | None = None
    fill_mid: Decimal | None = None

    @property
    def open_quantity(self) -> Decimal:
        """Return the quantity that may still fill, unsigned; zero once the order is terminal."""
        if self.status.terminal or self.quantity is None:
            return Decimal(0)
        return self.quantity - self.filled_quantity

    @property
    def leads_pair(self) -> bool:
        """Return True for the limit order of a pair; its stop is a leg of this order."""
        return self.order_class is OrderClass.OCO and self.parent is None and self.stop_price is None

    @property
    def has_legs(self) -> bool:
        """Return True if a stop is a leg of this order: it leads a pair, or is an entry with a stop."""
        return self.leads_pair or (self.order_class is OrderClass.BRACKET and self.parent is None)

    def with_known(self, other: "Order | None") -> "Order":
        """Return the order with missing fields filled in from an earlier report, because some replies lack its size or
        parent.
        """
        if other is None:
            return self
        if self.quantity is None is not other.quantity:
            return replace(self, quantity=other.quantity).with_known(other)
        parent, mid = self.parent or other.parent, other.arrival_mid if self.arrival_mid is None else self.arrival_mid
        filled = other.fill_mid if self.fill_mid is None else self.fill_mid
        unchanged = (parent, mid, filled) == (self.parent, self.arrival_mid, self.fill_mid)
        return self if unchanged else replace(self, parent=parent, arrival_mid=mid, fill_mid=filled)

    @property
    def first_gain(self) -> Decimal | None:
        """Return the gain from the fills' average price to `fill_mid`, as a fraction of that price; None if either is
        unknown.
        """
        if self.fill_mid is None or not self.filled_average_price:
            return None
        return (self.fill_mid / self.filled_average_price - 1) * self.side.sign

    def supersedes(self, older: "Order") -> bool:
        """Return True if this report of an order replaces `older`, an earlier report of the same order.

        Usually the later time wins. But an order never reopens. So a report of its end wins whatever its time, because
        the other report may come from a server whose clock is fast. The exception is a report of the end that lacks
        shares which have filled. ENDED is only inferred, so any later report from the venue replaces it.
        """
        if OrderStatus.ENDED in (self.status, older.status):
            return not older.status.terminal or (older.status is OrderStatus.ENDED and self.status is not older.status)
        is_older = bool(self.updated_at and older.updated_at and self.updated_at < older.updated_at)
        if self.status.terminal != older.status.terminal:
            return self.status.terminal and (not is_older or self.filled_quantity >= older.filled_quantity)
        return self != older and not is_older


def chain(venue_id: str, links: Mapping[str, str]) -> Iterator[str]:
    """Follow `links` from one order and yield the venue ids on the way, nearest first; a cycle is followed once.

    The links lead from each order to its replacement, or from each replacement to the order it replaced.
    """
    visited, linked = {venue_id}, links.get(venue_id)
    while linked is not None and linked not in visited:
        visited.add(linked)
        yield linked
        linked = links.get(linked)


def lineages(venue_ids: Iterable[str], orders: Mapping[str, Order]) -> dict[str, tuple[Order, ...]]:
    """Return the known ancestry of each order: itself, the orders it replaced, its parent, and the orders its parent
    replaced.

    Orders without a known report are left out.
    """
    before = {order.replaced_by: order.venue_id for order in orders.values() if order.replaced_by}
    parents = {order.venue_id: order.parent for order in orders.values() if order.parent}
    linked = before.keys() | parents.keys()
    names = {name: lineage(name, before, parents) if name in linked else (name,) for name in venue_ids}
    lines = {venue_id: tuple(orders[name] for name in line if name in orders) for venue_id, line in names.items()}
    return {venue_id: line for venue_id, line in lines.items() if line}


def lineage(venue_id: str, before: Mapping[str, str], parents: Mapping[str, str]) -> tuple[str, ...]:
    """Return the venue ids of an order, the orders it replaced, its parent, and the orders its parent replaced.

    `before` maps each order to the one it replaced, and `parents` each leg to its parent.
    """
    own = (venue_id, *chain(venue_id, before))
    parent = next((parents[name] for name in own if name in parents), None)
    return own if parent is None else (*own, parent, *chain(parent, before))


class OrdersReported(NamedTuple):
    """The orders of one reply without repeats, and the number of rows we couldn't parse."""

    orders: tuple[Order, ...]
    unreadable: int = 0


class Fee(Struct, frozen=True):
    """A venue's fee for a fill, negative for a rebate; `amount` is None until the venue reports it."""

    amount: Decimal | None
    currency: str = CURRENCY

    @property
    def usd(self) -> Decimal:
        """Return the fee's effect on cash in USD; zero while it is unknown, or if it is in another currency."""
        return self.amount if self.amount is not None and self.currency == CURRENCY else Decimal(0)


def fee_id(activity_id: str) -> str:
    """Return the id of the activity that books a fill's fee if the venue reports the fee apart from the fill."""
    return f"fee:{activity_id}"


class Fill(Struct, frozen=True, omit_defaults=True):
    """One execution, identified by the venue's activity id; the quantity is unsigned, `side` gives its direction.

    `multiplier` is the instrument's; all fills of a position have the same one. `fee` is None at a venue that reports
    fees apart from fills. A fee that isn't known yet is booked later, as an activity with the id `fee_id`. A
    `liquidation` is the venue closing a position because margin ran out. A `settlement` is the venue
    closing one for another reason, such as the end of a contract or the socialization of losses.
    """

    activity_id: str
    venue_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    at: datetime
    multiplier: Decimal = ONE
    fee: Fee | None = None
    liquidation: bool = False
    settlement: bool = False

    @property
    def by_venue(self) -> str:
        """Return why the venue made this fill on its own, without anyone's order; empty if an order was filled."""
        return "liquidation" if self.liquidation else "settlement" if self.settlement else ""

    @property
    def signed_quantity(self) -> Decimal:
        """Return the change in the position: positive for a buy, negative for a sell."""
        return self.quantity * self.side.sign

    @property
    def notional(self) -> Decimal:
        """Return the signed notional in USD: positive for a buy, negative for a sell."""
        return notional(self.signed_quantity, self.price, self.multiplier)


class Executed(NamedTuple):
    """An execution from an account statement, and the client order id of its order, if it had one."""

    fill: Fill
    order_ref: str


class Style(StrEnum):
    """How an entry is priced.

    A marketable limit can fill at once, up to its collar. A passive limit begins on its own side of the spread and
    moves toward the opposite side in steps. A market order has no limit.
    """

    MARKETABLE = "marketable"
    PASSIVE = "passive"
    MARKET = "market"


class LastStep(StrEnum):
    """What happens to a passive entry after its last step."""

    MARKETABLE = "marketable"
    CANCEL = "cancel"


class Execution(Struct, frozen=True):
    """How a strategy's entries are sent.

    A passive entry waits `patience_s` seconds for a fill at its first price and at each of the `steps` after it; then
    `last_step` applies. With any style, an entry may have at most `max_quote_share` times the shares quoted on the
    opposite side; None means no limit. With `fit_to_room`, an entry that exceeds its symbol's room or the buying power
    is made smaller; otherwise it is refused.
    """

    style: Style = Style.MARKETABLE
    patience_s: int = 60
    steps: int = 3
    last_step: LastStep = LastStep.MARKETABLE
    max_quote_share: Decimal | None = None
    fit_to_room: bool = False

    @property
    def only_rests(self) -> bool:
        """Return True if an entry never takes liquidity."""
        return self.style is Style.PASSIVE and self.last_step is LastStep.CANCEL

    @property
    def patient_s(self) -> int:
        """Return how many seconds a passive entry has before its last step."""
        return (self.steps + 1) * self.patience_s


MARKETABLE = Execution()


class Approach(Struct, frozen=True):
    """What stays the same about a passive entry while its price moves.

    `collar` is its worst price: the limit that a marketable entry would have had when it was decided on. `begun` is
    when its first order was sent, in aware UTC.
    """

    collar: Decimal
    begun: datetime


class WriteOutcome(StrEnum):
    """What we know of the result of a submit, replace or cancel. An UNKNOWN one is looked up, never resent blindly."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class Reply(Struct, frozen=True):
    """The venue's reply to one write request. An error has a `code` and a `message`, from the venue or from the bot
    itself.

    `legs` are the orders created together with the order, such as the stop of a pair.
    """

    outcome: WriteOutcome
    order: Order | None = None
    code: str | None = None
    message: str | None = None
    legs: tuple[Order, ...] = ()
