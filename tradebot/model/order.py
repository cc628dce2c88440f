"""What the venue holds of ours: orders and fills, and how it answers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from tradebot.model.candidate import Side
from tradebot.model.instrument import AssetClass


class OrderType(StrEnum):
    """Order types that we send or may meet."""

    MARKET = "market"
    LIMIT = "limit"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> "OrderType":
        return cls.UNKNOWN


class TimeInForce(StrEnum):
    """Lives of an order that we send or may meet."""

    DAY = "day"
    GTC = "gtc"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> "TimeInForce":
        return cls.UNKNOWN


class OrderStatus(StrEnum):
    """The venue's order states; what it may add later becomes UNKNOWN, which is neither working nor done."""

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
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> "OrderStatus":
        return cls.UNKNOWN

    @property
    def terminal(self) -> bool:
        """Tell whether nothing more can fill."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {
        OrderStatus.FILLED,
        OrderStatus.CANCELED,
        OrderStatus.EXPIRED,
        OrderStatus.REJECTED,
        OrderStatus.REPLACED,
    }
)


@dataclass(frozen=True, slots=True)
class Order:
    """One order as the venue tells it; quantities unsigned, `limit_price` None for market orders.

    `replaced_by` is the venue's id of the order that has taken the place of a replaced one.
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

    @property
    def open_quantity(self) -> Decimal:
        """Return what may still fill, unsigned; zero once terminal."""
        if self.status.terminal or self.quantity is None:
            return Decimal(0)
        return self.quantity - self.filled_quantity


def chain(venue_id: str, links: Mapping[str, str]) -> Iterator[str]:
    """Yield the venue's ids that `links` leads to from an order's, nearest first; a ring is gone through once.

    The links go from each order to the one that took its place, or the other way around.
    """
    passed, here = {venue_id}, links.get(venue_id)
    while here is not None and here not in passed:
        passed.add(here)
        yield here
        here = links.get(here)


class OrdersTold(NamedTuple):
    """A list of orders, each once, and how many of its rows could not be read."""

    orders: tuple[Order, ...]
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution, identified by the venue's activity id; quantity unsigned, cash effect follows from the side."""

    activity_id: str
    venue_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    at: datetime

    @property
    def signed_quantity(self) -> Decimal:
        """Return the change of the position."""
        return self.quantity * self.side.sign


class Outcome(StrEnum):
    """How a submission, a replace or a cancel ended as far as we know. UNKNOWN is looked up, never re-sent blindly."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reply:
    """The venue's answer to one write: `code` is its own error code, `message` its own words."""

    outcome: Outcome
    order: Order | None = None
    code: str | None = None
    message: str | None = None
