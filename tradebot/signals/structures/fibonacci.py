"""Fibonacci levels of the range in which a price has moved lately."""

from decimal import Decimal
from typing import NamedTuple

from tradebot.model.series import Series
from tradebot.signals.structures.comparing import exact
from tradebot.signals.structures.reading import Direction


class FibonacciRange(NamedTuple):
    """The lowest low and the highest high of some bars, as the decimal numbers that the prices were written as."""

    low: Decimal
    high: Decimal

    def level(self, ratio: Decimal, direction: Direction) -> Decimal:
        """Return a level: for a long, high - ratio (high - low); for a short, low + ratio (high - low).

        Ratios over 1 are the extensions, which lie beyond the far end of the range: below the low for a long.
        """
        distance = ratio * (self.high - self.low)
        return self.high - distance if direction is Direction.LONG else self.low + distance

    def zone(self, near: Decimal, far: Decimal, direction: Direction) -> tuple[Decimal, Decimal]:
        """Return the prices between two levels, the lower one first; the optimal trade entry is 0.618 to 0.786."""
        low, high = sorted((self.level(near, direction), self.level(far, direction)))
        return low, high


def fibonacci_range(series: Series, bars: int) -> FibonacciRange | None:
    """Return the range of the last `bars` bars, or None if there are fewer."""
    if len(series) < bars or not bars:
        return None
    return FibonacciRange(exact(min(series.low[-bars:])), exact(max(series.high[-bars:])))
