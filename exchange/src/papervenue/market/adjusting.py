"""Adjust bars for corporate actions: multiply prices, and divide volumes, by the factors of their steps."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from papervenue.market.bars import Bar

Ratio = tuple[int, int]
"""Numerator and denominator of a fraction in lowest terms."""


class Step(NamedTuple):
    """The factor by which an action multiplies prices from its effect on.

    For a split it is old rate / new rate; for a dividend, (close before - rate) / close before. Multiplying all earlier
    bars by the same factor adjusts them. Source: CRSP's definition of adjustment factors, which data vendors share.
    """

    at_us: int
    kind: str
    price: Fraction
    in_bars: bool


def scale_bars(bars: Sequence[Bar], steps: Sequence[Step], priced: Callable[[int], int], *, down: bool) -> list[Bar]:
    """Return each bar times the factors of the steps up to its start (`down`) or of those after it."""
    if not steps:
        return list(bars)
    moments = [step.at_us for step in steps]
    known: dict[int, tuple[Ratio, Ratio]] = {}
    scaled = []
    for bar in bars:
        place = bisect_right(moments, bar.start_us)
        if place not in known:
            known[place] = _factors(steps[:place] if down else steps[place:])
        scaled.append(_times(bar, known[place], priced))
    return scaled


def _factors(steps: Sequence[Step]) -> tuple[Ratio, Ratio]:
    price = volume = Fraction(1)
    for step in steps:
        price *= step.price
        volume *= step.price if step.kind == "split" else 1
    return price.as_integer_ratio(), (1 / volume).as_integer_ratio()


def _times(bar: Bar, factors: tuple[Ratio, Ratio], priced: Callable[[int], int]) -> Bar:
    price, volume = factors
    opening, high, low, close = [max(1, priced(product(units, price))) for units in bar[1:5]]
    return bar._replace(open=opening, high=high, low=low, close=close, volume=product(bar.volume, volume))


def product(number: int, factor: Ratio) -> int:
    """Return `round(number * Fraction(*factor))`, half to even, many times as fast."""
    numerator, denominator = factor
    whole, rest = divmod(number * numerator, denominator)
    twice = 2 * rest
    return whole + (twice > denominator or (twice == denominator and whole % 2 == 1))
