"""What a venue can do, and what its adapter can prove about an order.

The core checks these and never the venue's name.
"""

from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from tradebot.model.intent import Operation
from tradebot.model.order import Order, OrderStatus, OrderType, TimeInForce
from tradebot.model.series import PriceKind
from tradebot.model.venue_day import VenueDay


class Settlement(StrEnum):
    """How trading changes cash.

    PAID: by the value of each fill. MARGINED: only by realized profit, fees and funding.
    """

    PAID = "paid"
    MARGINED = "margined"


class ClientIds(StrEnum):
    """How long the venue refuses a second order with the same client order id.

    UNIQUE: forever, so a request may be sent again and still creates only one order. WHILE_OPEN: until the first order
    has ended. FREE: it never refuses one. With WHILE_OPEN and FREE, an order whose reply was lost is only looked up,
    because a second request could create a second order.
    """

    UNIQUE = "unique"
    WHILE_OPEN = "while_open"
    FREE = "free"


class Edit(StrEnum):
    """How the venue changes an order's price.

    NEW_ID: another order replaces it, under the id of our request. IN_PLACE: it keeps its ids and has the new price, so
    a repeated request does no harm. NONE: we have to cancel it and send another.
    """

    NEW_ID = "new_id"
    IN_PLACE = "in_place"
    NONE = "none"


class Pairs(StrEnum):
    """How a target and a stop rest at the venue for the same shares.

    NATIVE: as one order with two halves (one cancels the other), of which the venue lets only one fill. TWO_ORDERS: as
    two independent orders; each may only reduce the position, and when one fills, we have to reduce the other by the
    same quantity. BRACKET: the stop is attached to the entry, is sent with it, and works once the entry has filled.
    Targets rest apart, and shares that the entry's stop doesn't cover are protected as with TWO_ORDERS.
    `orders.separate_protection` fits these to the position.
    """

    NATIVE = "native"
    TWO_ORDERS = "two_orders"
    BRACKET = "bracket"


class Capabilities(Struct, frozen=True):
    """What one venue can do; `name` is for the configuration and `title` for people.

    `calendar` names its usual sessions ("XNYS", "24/7", "CMES"), and `day` maps a moment to its date. A short sale
    reserves `short_reserve` times its ask. With `reduce_only`, the venue can keep an order from opening a position.
    Quantities are in `unit`s: "share" or "contract". The venue reports a change of an order within `tells_ends_after`.
    Until then, an order's absence from a list of open orders proves nothing. A venue that `forgets` reports only
    today's ended orders and executions. With `ends_in_history`, only the order history says how an order ended; it may
    lag far behind the list of open orders, so that list decides which orders are over. `bar_prices` are the prices that
    its bars can be made of. With `hours_win`, the venue's own hours count, and differences from a published calendar
    are only reported; elsewhere no position is opened until both agree. With `exits_join`, an exit can join the group
    of the stop that rests for the same shares: a fill of one shrinks or ends the other, and together they never fill
    more than the quantity of one. The stop of a pair has to be `pair_distance` (USD) away from its limit and from the
    market.
    """

    name: str
    title: str
    settlement: Settlement
    order_types: frozenset[OrderType]
    lives: frozenset[TimeInForce]
    client_ids: ClientIds
    edit: Edit
    pairs: Pairs
    calendar: str
    day: VenueDay
    currency: str
    short_reserve: Decimal
    reduce_only: bool
    unit: str
    tells_ends_after: timedelta = timedelta(0)
    forgets: bool = False
    ends_in_history: bool = False
    bar_prices: frozenset[PriceKind] = frozenset({PriceKind.TRADE})
    hours_win: bool = False
    exits_join: bool = False
    pair_distance: Decimal = Decimal(0)

    @property
    def passing_life(self) -> TimeInForce:
        """Return the time in force of an order that should fill soon: DAY if available, which expires at the close."""
        return TimeInForce.DAY if TimeInForce.DAY in self.lives else TimeInForce.GTC

    @property
    def resting_life(self) -> TimeInForce:
        """Return the time in force of a resting order: until canceled, if the venue has that."""
        return TimeInForce.GTC if TimeInForce.GTC in self.lives else TimeInForce.DAY

    def may_repeat(self, operation: Operation) -> bool:
        """Return True if a request whose reply was lost may be sent again without acting twice."""
        if operation is Operation.SUBMIT:
            return self.client_ids is ClientIds.UNIQUE
        # An order is canceled only once, and changed in place to the same price or replaced under a unique id.
        in_place = self.edit is Edit.IN_PLACE
        return operation is Operation.CANCEL or in_place or self.client_ids is ClientIds.UNIQUE

    @property
    def rests_stops(self) -> bool:
        """Return True if a stop can rest at the venue from one session to the next."""
        return OrderType.STOP in self.order_types and TimeInForce.GTC in self.lives


class End(StrEnum):
    """What is proven about an order: it can't fill any more, it may fill at any moment, or neither."""

    OVER = "over"
    WORKING = "working"
    UNKNOWN = "unknown"


class Proof(Struct, frozen=True):
    """What a venue's adapter can prove about one of our orders, with the evidence in words and the order if available.

    OVER without an order means that the request never arrived, and can't arrive any more.
    """

    end: End
    evidence: str
    order: Order | None = None

    @classmethod
    def of(cls, order: Order) -> "Proof":
        """Return the proof that a report of an order provides."""
        end = End.OVER if order.status.terminal else End.WORKING
        end = End.UNKNOWN if order.status is OrderStatus.UNKNOWN else end
        return cls(end, f"the venue says {order.status}", order)
