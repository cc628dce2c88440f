"""Averages, ranges and directional movement: golden figures, and laws."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.signals.series import TICKS, first, in_ticks, series_of, written
from tradebot.signals.structures.bars import Smoothing, atr, directional, ema, rsi, true_ranges, zscore

GOLDEN = series_of(
    written(
        "100 102 99 101 | 101 103 100 102 | 102 103 100 101 | 101 104 101 103 | 103 106 102 105 | 105 106 103 104 |"
        "104 105 101 102 | 102 103 100 101 | 101 102 98 99 | 99 101 98 100 | 100 104 100 103 | 103 107 102 106 |"
        "106 109 105 108 | 108 110 106 107 | 107 111 107 110 | 110 112 108 109"
    )
)
SMOOTHINGS = pytest.mark.parametrize("smoothing", Smoothing)


@pytest.mark.parametrize(("smoothing", "expected"), [(Smoothing.EMA, 3.764842), (Smoothing.WILDER, 3.668367)])
def test_ranges_and_averages_of_the_golden_bars(smoothing: Smoothing, expected: float) -> None:
    assert true_ranges(GOLDEN) == [3, 3, 3, 3, 4, 3, 4, 3, 4, 3, 4, 5, 4, 4, 4, 4]
    assert atr(GOLDEN, 14, smoothing)[-1] == pytest.approx(expected, abs=5e-7)
    found = ema(GOLDEN.close, 5)
    assert (found[0], round(found[-1], 6), ema([], 5)) == (101, 107.643348, [])


@pytest.mark.parametrize(
    ("smoothing", "expected"),
    [(Smoothing.EMA, (30.968688, 1.729791, 80.244676)), (Smoothing.WILDER, (31.235706, 4.440026, 57.617393))],
)
def test_directional_movement_of_the_golden_bars(smoothing: Smoothing, expected: tuple[float, ...]) -> None:
    found = directional(GOLDEN, 5, smoothing)
    assert (found.plus[-1], found.minus[-1], found.adx[-1]) == pytest.approx(expected, abs=5e-7)


def test_wilder_columns_are_unknown_until_there_are_enough_bars() -> None:
    ranges, found = atr(GOLDEN, 5, Smoothing.WILDER), directional(GOLDEN, 5, Smoothing.WILDER)
    unknown = [sum(value is None for value in column) for column in (ranges, *found)]
    assert unknown == [5, 5, 5, 5, 9]
    assert {len(column) for column in (ranges, *found)} == {16}
    assert ranges[5] == pytest.approx(sum(true_ranges(GOLDEN)[1:6]) / 5)


@SMOOTHINGS
@pytest.mark.parametrize("count", [0, 1, 5, 9, 10])
def test_columns_have_a_place_for_each_bar_of_a_short_series(smoothing: Smoothing, count: int) -> None:
    few = first(GOLDEN, count)
    columns = (atr(few, 5, smoothing), *directional(few, 5, smoothing))
    assert {len(column) for column in columns} == {count}
    assert (columns[-1][-1:] == [None]) is (smoothing is Smoothing.WILDER and 0 < count < 10)


@SMOOTHINGS
def test_market_that_stands_still_has_no_range_and_no_direction(smoothing: Smoothing) -> None:
    still = series_of([(0.00001,) * 4] * 40)
    found = directional(still, 14, smoothing)
    assert atr(still, 14, smoothing)[-1] == 0
    assert (found.plus[-1], found.minus[-1], found.dx[-1], found.adx[-1]) == (0, 0, 0, 0)


def test_equal_moves_up_and_down_count_for_neither_side() -> None:
    # In floats, 100.07 - 100 is less than 100.33 - 100.26.
    both = series_of([(100, 100, 100.33, 100), (100, 100.07, 100.26, 100)])
    found = directional(both, 2, Smoothing.EMA)
    assert (found.plus[-1], found.minus[-1]) == (0, 0)


@SMOOTHINGS
@given(ticks=TICKS, tick=st.sampled_from(["0.00001", "0.01", "1"]))
def test_later_bars_change_no_value(smoothing: Smoothing, ticks: list[tuple[int, ...]], tick: str) -> None:
    series = series_of(in_ticks(ticks, Decimal(tick)))
    columns = (atr(series, 3, smoothing), *directional(series, 3, smoothing))
    for count in range(0, len(series), 5):
        part = first(series, count)
        assert [column[:count] for column in columns] == [atr(part, 3, smoothing), *directional(part, 3, smoothing)]


@SMOOTHINGS
@given(ticks=TICKS)
def test_mirrored_prices_exchange_the_directions(smoothing: Smoothing, ticks: list[tuple[int, ...]]) -> None:
    one = directional(series_of(in_ticks(ticks, Decimal(1))), 3, smoothing)
    upside_down = [(20_000 - row[0], 20_000 - row[2], 20_000 - row[1], 20_000 - row[3]) for row in ticks]
    other = directional(series_of(in_ticks(upside_down, Decimal(1))), 3, smoothing)
    assert (other.minus, other.plus, other.dx, other.adx) == tuple(one)


@SMOOTHINGS
@given(ticks=TICKS)
def test_ten_times_the_prices_give_ten_times_the_range_alone(
    smoothing: Smoothing, ticks: list[tuple[int, ...]]
) -> None:
    small, large = (series_of(in_ticks(ticks, Decimal(tick))) for tick in ("0.01", "0.1"))
    ranges = [None if value is None else pytest.approx(10 * value) for value in atr(small, 3, smoothing)]
    assert atr(large, 3, smoothing) == ranges
    for low, high in zip(directional(small, 3, smoothing), directional(large, 3, smoothing), strict=True):
        assert high == [None if value is None else pytest.approx(value, abs=1e-6) for value in low]


@SMOOTHINGS
@given(ticks=TICKS)
def test_directions_stay_between_0_and_100(smoothing: Smoothing, ticks: list[tuple[int, ...]]) -> None:
    columns = directional(series_of(in_ticks(ticks, Decimal("0.01"))), 3, smoothing)
    known = [value for column in columns for value in column if value is not None]
    assert all(-1e-9 <= value <= 100 + 1e-9 for value in known)


CLOSES = [101.0, 102, 101, 103, 105, 104, 102, 101, 99, 100, 103, 106, 108, 107, 110, 109]


def test_relative_strength_is_that_of_the_worked_example_and_known_from_the_fifteenth_close() -> None:
    found = rsi(CLOSES, 14)
    assert found[:14] == [None] * 14
    assert found[14:] == [pytest.approx(68.0), pytest.approx(65.191740, abs=1e-6)]
    assert rsi(CLOSES[:14], 14) == [None] * 14
    assert rsi([5.0] * 20, 14)[-1] == 50.0
    assert rsi([*map(float, range(20))], 14)[-1] == 100.0


def test_z_score_is_that_of_the_worked_example() -> None:
    assert zscore(CLOSES, 10) == pytest.approx(1.192079, abs=1e-6)
    assert zscore([3.0] * 10, 10) == 0.0


@given(st.lists(st.floats(1, 1000), min_size=20, max_size=40), st.floats(1, 1000))
def test_a_later_close_changes_no_earlier_strength(closes: list[float], later: float) -> None:
    assert rsi([*closes, later], 14)[:-1] == rsi(closes, 14)
    assert all(value is None or 0 <= value <= 100 for value in rsi(closes, 14))
