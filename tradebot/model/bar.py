"""Prices: bars stamped at their start, and quotes that carry their feed."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; `start` is aware UTC, prices in USD, volume in shares."""

    symbol: str
    start: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True)
class Quote:
    """The best bid and ask of one symbol, with the last trade, the previous close and the feed they came from."""

    symbol: str
    at: datetime
    bid: Decimal
    ask: Decimal
    last: Decimal
    previous_close: Decimal | None
    feed: str

    @property
    def middle(self) -> Decimal:
        """Return the middle of bid and ask, unrounded."""
        return (self.bid + self.ask) / 2

    def age_s(self, now: datetime) -> float:
        """Return the quote's age in seconds at `now`; negative where it is stamped later."""
        return (now - self.at).total_seconds()


@dataclass(frozen=True, slots=True)
class Session:
    """One trading session of the calendar: its New York date, and open and close in aware UTC."""

    date: date
    open: datetime
    close: datetime

    def contains(self, now: datetime) -> bool:
        """Tell whether the session is open at `now` (the close itself is outside)."""
        return self.open <= now < self.close


@dataclass(frozen=True, slots=True)
class VenueClock:
    """The venue's time, and what it says of its own session."""

    now: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime

    def ahead_s(self, other: datetime | None) -> float | None:
        """Return by how many seconds this clock is ahead of another one; None where there is no other."""
        return None if other is None else (self.now - other).total_seconds()
