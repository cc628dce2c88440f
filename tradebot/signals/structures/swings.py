"""Swings: bars whose high is above both neighbors' highs, or whose low is below both neighbors' lows."""

from enum import StrEnum
from typing import NamedTuple

from tradebot.model.series import Series
from tradebot.signals.structures.bars import Bars, bars_of


class Extreme(StrEnum):
    """Which end of its bar a swing is."""

    HIGH = "high"
    LOW = "low"


class Swing(NamedTuple):
    """A turning point of price, known when the bar after it closes. Times are in seconds since 1970 UTC.

    `bar` is the place in the series of the bar with the extreme, and `start_s` that bar's start.
    """

    extreme: Extreme
    bar: int
    start_s: int
    price: float
    known_at: int


def swings(series: Series) -> list[Swing]:
    """Return all swings of a series, oldest first; a high comes before a low of the same bar. ValueError as `bars_of`.

    Equal prices are no swing, and neither are three bars with a hole between them.
    """
    return swings_of(bars_of(series))


def swings_of(bars: Bars) -> list[Swing]:
    """Return all swings of these bars, oldest first."""
    found = []
    high, low = bars.high, bars.low
    for i, run in enumerate(bars.run[2:], 1):
        # Most bars are no swing, so this is written without a call.
        top, bottom = high[i], low[i]
        if high[i - 1] < top > high[i + 1] and run > 2:
            found.append(Swing(Extreme.HIGH, i, bars.starts_s[i], top, bars.ends_s[i + 1]))
        if low[i - 1] > bottom < low[i + 1] and run > 2:
            found.append(Swing(Extreme.LOW, i, bars.starts_s[i], bottom, bars.ends_s[i + 1]))
    return found
