"""Comparisons of differences between prices that come out as they would in decimals.

Prices reach signals as floats. Their order is exact, but a difference of two of them is not: 100.07 - 100 is less than
0.07. Whatever is far from its limit is decided in floats, and the rest in decimals.
"""

from collections.abc import Sequence
from decimal import Decimal

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
