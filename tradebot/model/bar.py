"""Prices: bars stamped at their start, and quotes that name their feed."""

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

if TYPE_CHECKING:
    from tradebot.model.candidate import Side


class StrategySlot(Struct, frozen=True):
    """A time at which a strategy wants to run; it is due from `start` until just before `end`, its deadline.

    The strategy, the session in which the slot starts, and its name identify it. The name is the same in every session.
    """

    strategy: str
    session: date
    name: str
    start: datetime
    end: datetime


class WaitingStrategy(Struct, frozen=True):
    """A strategy that a pass skipped because it wasn't due; `next` is None if its next slot isn't known yet."""

    strategy: str
    next: StrategySlot | None


class Bar(Struct, frozen=True):
    """One bar; `start` is aware UTC, prices are in USD, volume is in shares."""

    symbol: str
    start: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


SUSPENDED = "suspended"
"""Why a symbol has no quote if the venue has suspended trading: no order in it fills, not even a stop."""
UNCONFIRMED = "nothing confirms the broker's price"
"""Why a quote is rejected: no second reply confirmed it, or a trade contradicts it."""


class Quote(Struct, frozen=True, array_like=True):
    """The best bid and ask of one symbol, with the last trade, the previous close and the feed they came from.

    The sizes are in shares at the two prices. `day_volume_usd` is the volume of the last 24 hours. A perpetual future
    also has the `mark`, at which its venue values and liquidates positions, and the `index`, the price of the coin
    itself, both in USD. `funding_rate` is what a long position pays per unit and hour in USD, negative if it receives;
    `funding_next` is the venue's estimate for the next period. `last_at` is the time of the last trade. Each is None if
    the venue doesn't report it.
    """

    symbol: str
    at: datetime
    bid: Decimal
    ask: Decimal
    last: Decimal
    previous_close: Decimal | None
    feed: str
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None
    day_volume_usd: Decimal | None = None
    mark: Decimal | None = None
    index: Decimal | None = None
    funding_rate: Decimal | None = None
    funding_next: Decimal | None = None
    last_at: datetime | None = None

    @property
    def middle(self) -> Decimal:
        """Return the midpoint of bid and ask, unrounded."""
        return (self.bid + self.ask) / 2

    @property
    def premium(self) -> Decimal | None:
        """Return how far the mark is above the index, as a fraction of the index; None if either isn't known."""
        return None if self.mark is None or self.index is None else self.mark / self.index - 1

    def age_s(self, now: datetime) -> float:
        """Return the quote's age in seconds at `now`; negative if the quote is stamped later than `now`."""
        return (now - self.at).total_seconds()

    def traded_lately(self, now: datetime, within_s: float, ahead_s: float) -> bool | None:
        """Return True if the last trade is at most `within_s` old, and dated no more than `ahead_s` later than `now`.

        Return None if the time of the last trade isn't known.
        """
        return None if self.last_at is None else -ahead_s <= (now - self.last_at).total_seconds() <= within_s


class Level(NamedTuple):
    """The size resting at one price: the price in USD, and the number of contracts or shares."""

    price: Decimal
    quantity: Decimal


class Depth(Struct, frozen=True):
    """The order book of one symbol: bids and asks, each from the best price outward.

    It may be incomplete, so a quantity computed from it is a lower bound.
    """

    symbol: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]

    def quantity_within(self, side: "Side", worst: Decimal) -> Decimal:
        """Return the quantity that an order on this side could fill without a price worse than `worst`."""
        levels = self.asks if side.sign > 0 else self.bids
        return sum((level.quantity for level in levels if (worst - level.price) * side.sign >= 0), Decimal(0))


class Session(Struct, frozen=True, array_like=True):
    """One trading session of a calendar: its trade date at the venue, and its open and close in aware UTC.

    It may begin the evening before its date, or days before if it includes a holiday's trading, and it may close at the
    moment the next one opens.
    """

    date: date
    open: datetime
    close: datetime

    def contains(self, now: datetime) -> bool:
        """Return True if the session is open at `now`; the close itself is outside."""
        return self.open <= now < self.close


class VenueClock(Struct, frozen=True, array_like=True):
    """The venue's time, and whether its session is open, with the next open and close."""

    now: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime

    def ahead_s(self, other: datetime | None) -> float | None:
        """Return how many seconds this clock is ahead of another, or None if there is no other."""
        return None if other is None else (self.now - other).total_seconds()


class ClockReading(Struct, frozen=True):
    """The venue's clock, a second one read right after it, and the stopwatch read right before, in seconds.

    `second` is None if that clock is unavailable. Only the difference between two stopwatch readings has a meaning.
    """

    clock: VenueClock
    second: datetime | None
    stopwatch_s: float

    @property
    def now(self) -> datetime:
        return self.clock.now

    @property
    def earlier_now(self) -> datetime:
        """Return the earlier time of the two clocks, so that nothing ends too early because one clock is fast."""
        return min(self.now, self.second) if self.second else self.now

    @property
    def ahead_s(self) -> float | None:
        """Return how many seconds the venue's clock is ahead of the second one, or None if there is no second one."""
        return self.clock.ahead_s(self.second)
