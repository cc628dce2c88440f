"""Closed bars as their structures are read: as they are, or upside down, and never across a hole."""

from itertools import pairwise
from typing import NamedTuple

from tradebot.model.series import Series, width_of

DAY_S = 86_400


class Hole(NamedTuple):
    """Bars that a series lacks between two of its bars: from the end of one to the start of the next, in seconds."""

    from_s: int
    to_s: int


class Bars(NamedTuple):
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

    def mirrored(self) -> "Bars":
        """Return the same bars with every price negated, so that what holds for longs can be asked of shorts."""
        opens, highs, lows, closes = (
            [-price for price in column] for column in (self.open, self.high, self.low, self.close)
        )
        return self._replace(open=opens, high=lows, low=highs, close=closes)


def seconds_of(timeframe: str) -> int:
    """Return how long a bar lasts; a daily bar of a market that never closes lasts a day. ValueError as `width_of`."""
    width = width_of(timeframe)
    return DAY_S if width is None else int(width.total_seconds())


def bars_of(series: Series) -> Bars:
    """Return the bars of a series.

    The store of bars keeps one bar for each start, in order. So bars that are out of order or there twice are no data
    to skip but somebody's error: ValueError.
    """
    width = seconds_of(series.timeframe)
    return Bars(
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
