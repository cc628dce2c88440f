"""A series of closed bars of one symbol, as plain arrays; a pandas frame is built only on request."""

from array import array
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from msgspec import Struct, field

from tradebot.model.struct_tools import replace

if TYPE_CHECKING:
    import pandas as pd

DAY = "1Day"
MOST_BARS = 100_000
"""The most bars of one symbol that a strategy may need."""
WIDTHS = {f"{number}Min": timedelta(minutes=number) for number in range(1, 60)} | {
    f"{number}Hour": timedelta(hours=number) for number in range(1, 24)
}
"""The timeframes of intraday bars, and how long a bar lasts."""


class PriceKind(StrEnum):
    """The kind of price that bars are made of. Each venue has its own kinds; all venues have TRADE.

    TRADE: trades in the symbol itself. SPOT: the price of a derivative's underlying, from the index that the venue
    uses; such bars may have no volume. MARK: the price at which the venue values positions.
    """

    TRADE = "trade"
    SPOT = "spot"
    MARK = "mark"


class SeriesKey(NamedTuple):
    """The key of a series in a strategy's view: what its bars are of, and whether they are adjusted."""

    symbol: str
    timeframe: str
    adjusted: bool
    price: PriceKind = PriceKind.TRADE


def width_of(timeframe: str) -> timedelta | None:
    """Return the length of an intraday bar, or None for 1Day, which lasts a session; raise ValueError for any other
    text.
    """
    if timeframe == DAY:
        return None
    if timeframe not in WIDTHS:
        raise ValueError(f"{timeframe!r} is not a timeframe; use 1Min to 59Min, 1Hour to 23Hour, or 1Day")
    return WIDTHS[timeframe]


class Series(Struct, frozen=True):
    """Closed bars, oldest first. Prices are floats in USD per share, because they are for signals only.

    `starts` are the bars' starts in seconds since 1970 UTC; a daily bar starts at midnight of the venue's day. `volume`
    is in shares.
    """

    symbol: str
    timeframe: str
    adjusted: bool
    starts: "array[int]" = field(default_factory=lambda: array("q"))
    open: "array[float]" = field(default_factory=lambda: array("d"))
    high: "array[float]" = field(default_factory=lambda: array("d"))
    low: "array[float]" = field(default_factory=lambda: array("d"))
    close: "array[float]" = field(default_factory=lambda: array("d"))
    volume: "array[float]" = field(default_factory=lambda: array("d"))
    price: PriceKind = PriceKind.TRADE

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def key(self) -> SeriesKey:
        return SeriesKey(self.symbol, self.timeframe, self.adjusted, self.price)

    def start_of(self, index: int) -> datetime:
        """Return when a bar started, in UTC; -1 is the newest."""
        return datetime.fromtimestamp(self.starts[index], UTC)

    def __getitem__(self, part: slice) -> "Series":
        """Return the bars in a slice."""
        return replace(
            self,
            starts=self.starts[part],
            open=self.open[part],
            high=self.high[part],
            low=self.low[part],
            close=self.close[part],
            volume=self.volume[part],
        )

    def last(self, count: int) -> "Series":
        """Return the newest `count` bars."""
        first = len(self.starts) - count
        return self if first <= 0 else self[first:]

    def frame(self) -> "pd.DataFrame":
        """Return the bars as a pandas frame: columns open, high, low, close, volume; the index is the start in UTC."""
        import pandas as pd

        index = pd.to_datetime(list(self.starts), unit="s", utc=True).rename("start")
        columns = {name: list(getattr(self, name)) for name in ("open", "high", "low", "close", "volume")}
        return pd.DataFrame(columns, index=index, dtype=float)


Point = TypeVar("Point")


def downsample(values: Sequence[Point], most: int) -> tuple[Point, ...]:
    """Return at most `most` of the values, evenly spread, including the last one."""
    buckets = min(most, len(values))
    return tuple(values[(index + 1) * len(values) // buckets - 1] for index in range(buckets))
