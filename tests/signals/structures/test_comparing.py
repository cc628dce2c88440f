"""Comparisons of differences: as in decimals, wherever the decimal point stands."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.signals.structures.comparing import larger, outranges, reaches

SCALES = [Decimal(10) ** power for power in range(-7, 8)]
MINIMUM = Decimal("0.0007")
PRICES = st.integers(1, 2_000)


def floats(scale: Decimal, *prices: str | int) -> list[float]:
    return [float(Decimal(price) * scale) for price in prices]


@pytest.mark.parametrize("scale", SCALES)
def test_difference_of_exactly_the_minimum_reaches_it_at_any_scale(scale: Decimal) -> None:
    for more, expected in (("100.07", True), ("100.069999", False), ("100.070001", True)):
        top, bottom = floats(scale, more, 100)
        assert reaches(top, bottom, float(MINIMUM), MINIMUM, bottom) is expected
        assert reaches(-bottom, -top, float(MINIMUM), MINIMUM, -bottom) is expected


@given(st.tuples(PRICES, PRICES, PRICES, PRICES), st.sampled_from(SCALES))
def test_larger_decides_as_whole_ticks_do(ticks: tuple[int, int, int, int], scale: Decimal) -> None:
    one, two, three, four = floats(scale, *ticks)
    assert larger((one, two), (three, four)) is (ticks[0] - ticks[1] > ticks[2] - ticks[3])


@given(st.lists(st.tuples(PRICES, st.integers(0, 4)), min_size=2, max_size=6), st.sampled_from(SCALES))
def test_outranges_decides_as_whole_ticks_do(bars: list[tuple[int, int]], scale: Decimal) -> None:
    ranges = [width for _, width in bars]
    lows, highs = floats(scale, *(low for low, _ in bars)), floats(scale, *(low + width for low, width in bars))
    enough = ranges[-1] > 0 and 2 * ranges[-1] >= 3 * sorted(ranges)[len(ranges) // 2]
    assert outranges(highs, lows, 1.5, Decimal("1.5")) is enough


def test_range_a_hair_below_the_multiple_of_the_upper_median_is_too_small() -> None:
    assert outranges([101.0, 102.0, 103.0, 103.0], [100.0] * 4, 1.5, Decimal("1.5")) is False
    assert outranges([101.0, 101.0, 102.0, 103.0], [100.0] * 4, 1.5, Decimal("1.5")) is True
    assert outranges([101.0, 101.0, 102.0, 102.99999999], [100.0] * 4, 1.5, Decimal("1.5")) is False
