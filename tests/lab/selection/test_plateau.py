"""Neighbors of the best trial."""

import pytest

from tradebot.lab.selection.plateau import Range, Value, plateau

RANGES = {"level": Range(0.0, 10.0), "mode": Range()}


def values(*levels: float, mode: str = "slow") -> list[dict[str, Value]]:
    return [{"level": level, "mode": mode} for level in levels]


def test_peak_without_neighbors_is_no_plateau() -> None:
    tried = values(*range(11))
    peak = plateau(5, tried, [0.1] * 5 + [2.0] + [0.1] * 5, RANGES)
    hill = plateau(5, tried, [1.0 - 0.1 * abs(5 - place) for place in range(11)], RANGES)
    assert peak is not None
    assert hill is not None
    assert (peak.holds, hill.holds) == (False, True)
    assert (hill.neighbors, hill.positive, hill.lowest, hill.highest) == (4, 4, 0.8, 0.9)
    assert hill.median == pytest.approx(0.85)


def test_another_choice_is_farther_than_any_level() -> None:
    tried = [*values(5.0, 0.0, 1.0, 9.0, 10.0), *values(5.0, 5.1, mode="fast")]
    found = plateau(0, tried, [2.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0], RANGES)
    assert found is not None
    assert (found.neighbors, found.lowest) == (4, 1.0)


def test_orders_of_magnitude_are_as_far_apart_as_each_other() -> None:
    between = Range(1.0, 10_000.0, log=True)
    assert between.apart(1.0, 10.0) == pytest.approx(between.apart(1_000.0, 10_000.0)) == 0.25


def test_too_few_trials_have_no_neighbors() -> None:
    assert plateau(0, values(1, 2, 3, 4), [1.0, 1.0, 1.0, None], RANGES) is None
