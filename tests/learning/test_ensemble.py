"""Several answers become one target, which is rounded once, at the end."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.learning.answers import Answer, rounded
from tradebot.learning.ensemble import LEAST_WEIGHT, Combine, adaptive, combined, majority, weighted, weights_of

TARGETS = st.lists(st.floats(-2, 2), min_size=1, max_size=6)
ANSWERS = st.lists(st.builds(Answer, st.floats(-2, 2), st.floats(0, 1)), min_size=1, max_size=6)
DAY = date(2026, 11, 2)


def results(*earned: float) -> dict[date, float]:
    return {DAY + timedelta(days=place): each for place, each in enumerate(earned)}


def test_weighted_answers_of_the_golden_example_make_one_contract() -> None:
    found = weighted([2, 1, -1], [0.5, 0.3, 0.2])
    assert found == pytest.approx(1.1)
    assert rounded(found) == 1


def test_majority_of_the_golden_example_is_the_mean_of_its_side() -> None:
    assert majority([2, 1, -1]) == 1.5
    assert rounded(majority([2, 1, -1])) == 2


@pytest.mark.parametrize(
    ("targets", "found"),
    [
        ([1, 1, -1, -1], 0.0),
        ([1, 0, 0, 0], 0.0),
        ([1, 1, 0, 0], 1.0),
        ([-2, -1, 0], -1.5),
        ([0, 0, 0], 0.0),
        ([0.2], 0.2),
    ],
)
def test_majority_needs_half_of_the_answers_on_one_side_and_no_other_half(targets: list[float], found: float) -> None:
    assert majority(targets) == found


def test_answers_too_far_apart_cancel_each_other() -> None:
    assert adaptive([0.3, 1.7]) == pytest.approx(1.0), "exactly 0.7 apart is near enough"
    assert adaptive([0.29, 1.71]) == 0.0


def test_confidence_weighs_answers_and_none_at_all_makes_zero() -> None:
    assert combined(Combine.CONFIDENCE, [Answer(2.0, 0.9), Answer(-1.0, 0.1)]) == pytest.approx(1.7)
    assert combined(Combine.CONFIDENCE, [Answer(0.0, 0.0), Answer(0.0, 0.0)]) == 0.0


@given(ANSWERS, st.sampled_from([*Combine]), st.data())
def test_one_target_lies_among_the_answers_or_is_zero(answers: list[Answer], how: Combine, data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.floats(0.1, 1), min_size=len(answers), max_size=len(answers)))
    found = combined(how, answers, weights)
    targets = [one.target for one in answers]
    assert found == 0 or min(targets) - 1e-9 <= found <= max(targets) + 1e-9


@given(ANSWERS, st.sampled_from([*Combine]))
def test_opposite_answers_make_the_opposite_target(answers: list[Answer], how: Combine) -> None:
    weights = [1.0] * len(answers)
    opposite = [Answer(-one.target, one.confidence) for one in answers]
    assert combined(how, opposite, weights) == pytest.approx(-combined(how, answers, weights))


@given(TARGETS, st.permutations(range(6)))
def test_order_of_answers_does_not_matter(targets: list[float], order: list[int]) -> None:
    shuffled = [targets[place] for place in order if place < len(targets)]
    assert majority(shuffled) == pytest.approx(majority(targets))
    assert adaptive(shuffled) == pytest.approx(adaptive(targets))


def test_weights_follow_the_formula_and_add_up_to_one() -> None:
    won, lost = results(0.01, 0.02, 0.03), results(-0.01, -0.02, -0.03)
    first = 0.6 * 1 + 0.4 * (1 + 0.02) / 2
    second = 0.6 * 0 + 0.4 * (1 - 0.02) / 2
    found = weights_of([won, lost], 20)
    assert found is not None
    assert found == pytest.approx((first / (first + second), second / (first + second)))
    assert sum(found) == pytest.approx(1)


def test_weight_has_a_least_and_only_the_window_counts() -> None:
    ruined, recovered = results(*[-0.9] * 5), results(*[-0.9] * 5, 0.01, 0.01)
    low = max(LEAST_WEIGHT, 0.4 * 0.1 / 2)
    high = 0.6 + 0.4 * 1.01 / 2
    assert weights_of([ruined, recovered], 2) == pytest.approx((low / (low + high), high / (low + high)))


def test_without_any_result_there_is_no_weight() -> None:
    assert weights_of([results(0.01), {}], 20) is None
