"""Intervals that hold what they say, for sessions that overlap too; known quantiles, and Holm's correction."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.auditing.intervals import LEVEL, corrected, estimate, fewest_sessions, t_quantile, two_sided_p

WORTH = 0.001
SAMPLES = 300


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (10, 2.2281), (29, 2.0452), (60, 2.0003)],
)
def test_students_quantiles_are_those_of_the_tables(degrees: int, quantile: float) -> None:
    assert t_quantile(0.95, degrees) == pytest.approx(quantile, abs=1e-4)
    assert two_sided_p(-quantile, degrees) == pytest.approx(0.05, abs=1e-5)


@given(st.integers(1, 400), st.floats(0, 50), st.floats(0, 50))
def test_a_larger_distance_is_never_more_likely(degrees: int, one: float, other: float) -> None:
    near, far = sorted((one, other))
    assert 0 <= two_sided_p(far, degrees) <= min(two_sided_p(near, degrees) + 1e-15, 1)
    assert two_sided_p(0, degrees) == pytest.approx(1)


@pytest.mark.parametrize(("count", "reach"), [(12, 1), (40, 1), (24, 2), (60, 4), (66, 11)])
def test_one_in_twenty_samples_without_an_effect_shows_one(count: int, reach: int) -> None:
    chance = Random(count * 100 + reach)  # noqa: S311 -- replayable on purpose
    found = 0
    for _ in range(SAMPLES):
        steps = [chance.gauss(0, 1) for _ in range(count + reach)]
        numbers = [sum(steps[place : place + reach]) for place in range(count)]
        p = estimate(numbers, reach, WORTH).p
        assert p is not None
        found += p <= LEVEL
    # Three standard errors of a share of 5%, and a little for the overlap.
    assert 0.01 < found / SAMPLES < 0.095


def test_without_the_overlap_in_mind_the_same_samples_would_seem_to_have_effects() -> None:
    chance = Random(1)  # noqa: S311 -- replayable on purpose
    found = 0
    for _ in range(100):
        steps = [chance.gauss(0, 1) for _ in range(71)]
        p = estimate([sum(steps[place : place + 11]) for place in range(60)], 1, WORTH).p
        found += p is not None and p <= LEVEL
    assert found > 30


def test_effect_is_seen_in_four_of_five_samples_of_the_needed_size() -> None:
    chance = Random(7)  # noqa: S311 -- replayable on purpose
    spread, effect = 0.004, 0.002
    needed = estimate([chance.gauss(0, spread) for _ in range(4000)], 1, effect).needed
    assert needed is not None
    assert 28 <= needed <= 36
    samples = [[chance.gauss(effect, spread) for _ in range(needed)] for _ in range(300)]
    seen = sum((estimate(sample, 1, effect).low or 0) > 0 for sample in samples)
    assert 0.7 < seen / len(samples) < 0.9


def test_the_interval_lies_around_the_mean_and_shrinks_with_more_sessions() -> None:
    numbers = [0.01, -0.02, 0.03, 0.0, 0.01, -0.01, 0.02, 0.0]
    few, many = estimate(numbers, 1, WORTH), estimate(numbers * 4, 1, WORTH)
    assert few.low is not None
    assert few.high is not None
    assert many.low is not None
    assert few.mean == pytest.approx(0.005)
    assert (few.low + few.high) / 2 == pytest.approx(few.mean)
    assert few.low < many.low < few.mean


@pytest.mark.parametrize(("reach", "fewest"), [(1, 8), (2, 8), (4, 16), (11, 44)])
def test_too_few_sessions_have_a_mean_and_no_interval(reach: int, fewest: int) -> None:
    numbers = [float(place % 3) for place in range(fewest)]
    assert fewest_sessions(reach) == fewest
    assert estimate(numbers, reach, WORTH).p is not None
    short = estimate(numbers[1:], reach, WORTH)
    assert (short.low, short.high, short.p, short.needed) == (None, None, None, None)


def test_identical_sessions_have_no_interval() -> None:
    assert estimate([0.01] * 20, 1, WORTH).p is None


@given(st.lists(st.none() | st.floats(0, 1), max_size=12))
def test_a_corrected_chance_is_never_smaller_and_keeps_the_order(chances: list[float | None]) -> None:
    found = corrected(chances)
    both = zip(chances, found, strict=True)
    tested = sorted((raw, after) for raw, after in both if raw is not None and after is not None)
    assert [raw is None for raw in chances] == [after is None for after in found]
    assert all(raw <= after <= 1 for raw, after in tested)
    assert all(one[1] <= other[1] for one, other in pairwise(tested) if one[0] < other[0])


def test_holms_correction_multiplies_the_smallest_chance_by_the_number_of_rows() -> None:
    assert corrected([0.03, 0.01, None, 0.04]) == pytest.approx([0.06, 0.03, None, 0.06])
