"""Closed bars as their structures are read: as they are, or upside down, and never across a hole.

Prices reach signals as floats. Their order is exact, but a difference of two of them is not: 100.07 - 100 is less than
0.07. Whatever is far from its limit is decided in floats, and the rest in decimals.
"""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from tradebot.model.series import Series, width_of

DAY_S = 86_400


class Hole(NamedTuple):
    """Bars that a series lacks between two of its bars: from the end of one to the start of the next, in seconds."""

    from_s: int
    to_s: int


class BarColumns(NamedTuple):
    """The columns of a series. `run` counts the bars, up to each one, that follow each other without a hole.

    `ends_s` are the moments at which the bars close, in seconds since 1970 UTC.
    """

    starts_s: list[int]
    ends_s: list[int]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    run: list[int]

    def mirror(self) -> "BarColumns":
        """Return the same bars with every price negated, so that what holds for longs can be asked of shorts."""
        opens, highs, lows, closes = (
            [-price for price in column] for column in (self.open, self.high, self.low, self.close)
        )
        return self._replace(open=opens, high=lows, low=highs, close=closes)


def seconds_of(timeframe: str) -> int:
    """Return how long a bar lasts; a daily bar of a market that never closes lasts a day. ValueError as `width_of`."""
    width = width_of(timeframe)
    return DAY_S if width is None else int(width.total_seconds())


def bars_of(series: Series) -> BarColumns:
    """Return the bars of a series.

    The store of bars keeps one bar for each start, in order. So bars that are out of order or there twice are no data
    to skip but somebody's error: ValueError.
    """
    width = seconds_of(series.timeframe)
    return BarColumns(
        starts_s=list(series.starts),
        ends_s=[start + width for start in series.starts],
        open=list(series.open),
        high=list(series.high),
        low=list(series.low),
        close=list(series.close),
        run=_runs(series, width),
    )


def holes(series: Series) -> list[Hole]:
    """Return where a series lacks bars, oldest first; ValueError if its bars are out of order or there twice.

    The market is taken to trade around the clock: a closed night or weekend is a hole as well.
    """
    bars = bars_of(series)
    return [Hole(bars.ends_s[i - 1], bars.starts_s[i]) for i in range(1, len(bars.run)) if bars.run[i] == 1]


def _runs(series: Series, width: int) -> list[int]:
    runs = [1] if series.starts else []
    for sooner, later in pairwise(series.starts):
        if later <= sooner:
            order = "twice" if later == sooner else "after a later one"
            raise ValueError(f"{series.symbol} {series.timeframe}: the bar that starts at {later} s is there {order}")
        runs.append(runs[-1] + 1 if later - sooner == width else 1)
    return runs


NEAR = 1e-9
"""Differences this close to their limit, as a fraction of the price, are worked out in decimals."""


def exact(price: float) -> Decimal:
    """Return a price as the decimal number that it was written as."""
    return Decimal(repr(price))


def reaches(more: float, less: float, fraction: float, written: Decimal, of: float) -> bool:
    """Return whether `more` - `less` is at least a fraction of the size of `of`.

    `written` is the fraction as it was written, and `fraction` the same number as a float.
    """
    beyond = more - less - fraction * abs(of)
    if abs(beyond) > NEAR * (abs(more) + abs(of)):
        return beyond > 0
    return exact(more) - exact(less) >= written * abs(exact(of))


def larger(first: tuple[float, float], second: tuple[float, float]) -> bool:
    """Return whether the first pair's difference (one minus the other) is larger than the second pair's."""
    beyond = (first[0] - first[1]) - (second[0] - second[1])
    if abs(beyond) > NEAR * (abs(first[0]) + abs(second[0])):
        return beyond > 0
    return exact(first[0]) - exact(first[1]) > exact(second[0]) - exact(second[1])


def outranges(high: Sequence[float], low: Sequence[float], multiple: float, written: Decimal) -> bool:
    """Return whether the last bar's range is at least so many times the upper median of all these bars' ranges.

    The upper median of 20 ranges is the 11th smallest. `written` is the multiple as it was written, and `multiple` the
    same number as a float. A bar without a range outranges nothing.
    """
    middle = len(high) // 2
    ranges = [top - bottom for top, bottom in zip(high, low, strict=True)]
    beyond = ranges[-1] - multiple * sorted(ranges)[middle]
    if abs(beyond) > NEAR * max(map(abs, high)):
        return beyond > 0
    precise = [exact(top) - exact(bottom) for top, bottom in zip(high, low, strict=True)]
    return precise[-1] > 0 and precise[-1] >= written * sorted(precise)[middle]
