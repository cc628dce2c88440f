"""Sums, deviations and extremes over the last values, against the same of each window by itself."""

from collections.abc import Callable
from math import fsum, isnan
from statistics import fmean, pstdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.signals.features import rolling
from tradebot.signals.features.rolling import (
    Column,
    accumulate_since,
    deviation,
    long_deviation,
    over,
    shift,
    since,
    total,
)

VALUES = st.lists(st.floats(-1e6, 1e6), max_size=40)
LENGTHS = st.integers(1, 12)


def windows(values: list[float], length: int) -> list[list[float]]:
    return [values[end - length : end] for end in range(length, len(values) + 1)]


@pytest.mark.parametrize(
    ("whole", "one"),
    [(total, fsum), (rolling.mean, fmean), (rolling.highest, max), (rolling.lowest, min), (deviation, pstdev)],
)
@given(values=VALUES, length=LENGTHS)
def test_each_value_is_that_of_its_window(
    whole: Callable[[Column, int], Column], one: Callable[[list[float]], float], values: list[float], length: int
) -> None:
    found = whole(np.array(values), length)
    assert len(found) == len(values)
    assert np.isnan(found[: length - 1]).all()
    expected = [one(window) for window in windows(values, length)]
    assert found[length - 1 :].tolist() == pytest.approx(expected, rel=1e-9, abs=1e-5)


@given(st.lists(st.floats(-0.1, 0.1), min_size=30, max_size=60))
def test_deviation_of_long_windows_is_that_of_its_definition(values: list[float]) -> None:
    found = long_deviation(np.array(values), 30)[29:]
    assert found.tolist() == pytest.approx([pstdev(window) for window in windows(values, 30)], rel=1e-4, abs=1e-7)


@given(VALUES, LENGTHS, st.sampled_from([1, -1]))
def test_the_latest_of_equal_extremes_counts(values: list[float], length: int, sign: int) -> None:
    coarse = [round(value / 1e6) * 1.0 for value in values]
    found = since(np.array(coarse), length, sign)
    for window, ago in zip(windows(coarse, length), found[length - 1 :].tolist(), strict=False):
        best = max(window) if sign > 0 else min(window)
        assert window[-1 - int(ago)] == best
        assert best not in window[len(window) - int(ago) :]


def test_small_values_keep_their_digits_absent_ones_spread_to_their_windows_and_rounding_is_no_deviation() -> None:
    found = total(np.array([1e17, 1e17, 0.1, 0.2, 0.3, 0.4]), 2)
    assert found[3:].tolist() == pytest.approx([0.3, 0.5, 0.7], abs=1e-15)
    found = total(np.array([1.0, np.nan, 2.0, 3.0, 4.0]), 2)
    assert [isnan(value) for value in found] == [True, True, True, False, False]
    assert deviation(np.full(40, 0.1), 20)[19:].tolist() == [0.0] * 21
    assert long_deviation(np.full(800, 0.001), 390)[389:].tolist() == [0.0] * 411


def test_columns_are_shifted_divided_and_begun_again() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert shift(values, 3).tolist()[3:] == [1.0]
    assert np.isnan(shift(values, 9)).all()
    with np.errstate(all="ignore"):
        assert over(values, np.array([0.0, 2.0, np.inf, 8.0])).tolist()[1:] == [1.0, 0.0, 0.5]
        assert isnan(over(values, np.zeros(4))[0])
    assert accumulate_since(values, np.array([0, 2]), np.add.accumulate).tolist() == [1.0, 3.0, 3.0, 7.0]
