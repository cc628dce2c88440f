"""What a network answers, as a target in contracts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.learning.answers import MOST, Answer, answer_of, outputs_of, rounded
from tradebot.learning.card import Action

FINITE = st.floats(-50, 50)


@pytest.mark.parametrize(("output", "target"), [(0.74, 1), (0.75, 2), (-0.25, -1), (0.24, 0), (1.0, 2), (-1.0, -2)])
def test_continuous_answer_is_twice_itself_with_a_half_away_from_zero(output: float, target: int) -> None:
    answer = answer_of([output], Action.CONTINUOUS)
    assert answer is not None
    assert (rounded(answer.target), answer.confidence) == (target, abs(output))


@pytest.mark.parametrize("output", [1.0000001, -1.5, math.nan, math.inf])
def test_continuous_answer_out_of_range_is_none(output: float) -> None:
    assert answer_of([output], Action.CONTINUOUS) is None


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_one_number_that_is_not_finite_spoils_all_of_them(wrong: float) -> None:
    assert answer_of([0.0, 1.0, wrong, 0.0, 0.0], Action.DISCRETE) is None


def test_largest_of_five_numbers_is_the_target_and_its_share_the_confidence() -> None:
    sure = answer_of([0.0, 0.0, 0.0, 50.0, 0.0], Action.DISCRETE)
    unsure = answer_of([1.0] * 5, Action.DISCRETE)
    assert sure is not None
    assert (sure.target, round(sure.confidence, 9)) == (1.0, 1.0)
    assert unsure == Answer(-2.0, 0.2), "of equals, the first one counts"


@given(st.lists(FINITE, min_size=5, max_size=5))
def test_discrete_answer_is_a_target_with_a_share_for_a_confidence(outputs: list[float]) -> None:
    answer = answer_of(outputs, Action.DISCRETE)
    assert answer is not None
    assert answer.target in range(-MOST, MOST + 1)
    assert 0.2 <= answer.confidence <= 1


@given(st.floats(-1, 1))
def test_rounding_is_the_same_on_both_sides(output: float) -> None:
    assert rounded(-2 * output) == -rounded(2 * output)
    assert abs(rounded(2 * output) - 2 * output) <= 0.5


def test_number_of_outputs_follows_from_the_action() -> None:
    assert [outputs_of(action) for action in Action] == [1, 5]
