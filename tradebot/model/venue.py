"""What a venue can do, and what its adapter can prove about an order. The core asks for these, never for a name."""

from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from tradebot.model.intent import Operation
from tradebot.model.order import Order, OrderStatus, OrderType, TimeInForce
from tradebot.model.series import PriceKind
from tradebot.model.venue_day import VenueDay


class Settlement(StrEnum):
    """How trading moves cash. PAID: by the value of each fill. MARGINED: only by realized profit, fees and funding."""

    PAID = "paid"
    MARGINED = "margined"


class ClientIds(StrEnum):
    """How long the venue refuses a second order under one of our ids.

    UNIQUE: for ever, so a request may be sent again: both together make one order. WHILE_OPEN: until the first order
    has ended. FREE: never. With these two, an order whose answer was lost is only looked up, because a second request
    could make a second order.
    """

    UNIQUE = "unique"
    WHILE_OPEN = "while_open"
    FREE = "free"


class Edit(StrEnum):
    """What becomes of an order whose price we change.

    NEW_ID: another order takes its place, under the id of our request. IN_PLACE: it keeps its ids and has the new
    price, so a request that arrives twice does no harm. NONE: we have to cancel it and send another.
    """

    NEW_ID = "new_id"
    IN_PLACE = "in_place"
    NONE = "none"


class Pairs(StrEnum):
    """How a target and a stop rest at the venue for the same shares. This is the one place that says so.

    NATIVE: as one order with two halves (one cancels the other), of which the venue lets only one fill.
    TWO_ORDERS: as two orders that know nothing of each other; each may only reduce the position, and what one of them
    fills is to be taken off the other. BRACKET: the stop hangs on the entry, is sent with it, and works once that has
    filled; targets rest apart, and what the entry's stop doesn't cover is protected as by two orders. How these are
    fitted to what is held is in `orders.separate_protection`.
    """

    NATIVE = "native"
    TWO_ORDERS = "two_orders"
    BRACKET = "bracket"


class Capabilities(Struct, frozen=True):
    """What one venue can do; `name` is for the configuration and `title` for people.

    `calendar` names its usual sessions ("XNYS", "24/7", "CMES"), and `day` says which date a moment counts for. A short
    sale reserves `short_reserve` times its ask. With `reduce_only`, an order can be kept from opening a position.
    Quantities count a `unit`: "share" or "contract". What an order did is told within `tells_ends_after`: until then, a
    list of open orders without it is nothing unusual. A venue that `forgets` tells ended orders and executions of today
    only. With `ends_in_history`, only a history tells how an order ended; it may be far behind the list of open orders,
    which then says what is over. `bar_prices` are the prices that its bars can be made of. With `hours_win`, its own
    hours are what counts, and where they differ from a published calendar people are told; elsewhere nothing is opened
    until both agree. With `exits_join`, an exit can be sent into the group of the stop that rests for the same shares:
    what one of them fills makes the other smaller, or ends it, and both together never fill more than one of them is
    for. The stop of a pair has to be `pair_distance` (USD) away from its limit and from the market.
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
        """Return the time in force of an order that should fill soon: the day where there is one, since it then ends by
        itself.
        """
        return TimeInForce.DAY if TimeInForce.DAY in self.lives else TimeInForce.GTC

    @property
    def resting_life(self) -> TimeInForce:
        """Return the life of an order that is to rest: until it is canceled, if the venue has that."""
        return TimeInForce.GTC if TimeInForce.GTC in self.lives else TimeInForce.DAY

    def may_repeat(self, operation: Operation) -> bool:
        """Return True if a request whose answer was lost may be sent again, because both together do what one does."""
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
    """What a venue's adapter can prove about one of our orders, with its evidence in words and the order if it has it.

    OVER without an order means that the request never arrived, and can't arrive any more.
    """

    end: End
    evidence: str
    order: Order | None = None

    @classmethod
    def of(cls, order: Order) -> "Proof":
        """Return what a report of an order proves."""
        end = End.OVER if order.status.terminal else End.WORKING
        end = End.UNKNOWN if order.status is OrderStatus.UNKNOWN else end
        return cls(end, f"the venue says {order.status}", order)
