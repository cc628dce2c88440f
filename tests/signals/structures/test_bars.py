"""Closed bars: their order, their holes, and how long they last."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.signals.series import FOUR_HOURS_S, series_of
from tradebot.signals.structures.bars import BarGap, bars_of, holes, larger, outranges, reaches

STILL = (1.0, 1.0, 1.0, 1.0)


def at(*places: int) -> list[int]:
    return [FOUR_HOURS_S * place for place in places]


def test_holes_are_listed_from_the_end_of_a_bar_to_the_start_of_the_next() -> None:
    series = series_of([STILL] * 5, at(0, 1, 4, 5, 9))
    assert holes(series) == [BarGap(*at(2, 4)), BarGap(*at(6, 9))]
    assert bars_of(series).run == [1, 2, 1, 2, 1]
    assert holes(series_of([STILL] * 5)) == holes(series_of([])) == []


@pytest.mark.parametrize(("timeframe", "width"), [("15Min", 900), ("1Hour", 3600), ("4Hour", 14_400), ("1Day", 86_400)])
def test_bar_closes_when_its_timeframe_is_over(timeframe: str, width: int) -> None:
    assert bars_of(series_of([STILL] * 2, [0, width], timeframe)).ends_s == [width, 2 * width]


@pytest.mark.parametrize(("places", "order"), [((0, 1, 1), "twice"), ((0, 2, 1), "after a later one")])
def test_bars_that_are_there_twice_or_out_of_order_are_refused(places: tuple[int, ...], order: str) -> None:
    message = f"BTC/USD 4Hour: the bar that starts at 14400 s appears {order}"
    with pytest.raises(ValueError, match=message):
        holes(series_of([STILL] * 3, at(*places)))


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
