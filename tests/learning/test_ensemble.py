"""Several answers become one target, which is rounded once, at the end.

Which model acts: by earlier results alone, not too often, and always the same.
"""

import itertools
import math
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import there
from tradebot.learning.ensemble import (
    BETTER,
    LEAST_WEIGHT,
    MOST,
    REST,
    Combine,
    NetworkAnswer,
    adaptive,
    answer_of,
    before,
    combine_targets,
    majority,
    outputs_of,
    round_contracts,
    score,
    select_model,
    weighted_mean,
    weights_of,
)
from tradebot.learning.model_card import Action

TARGETS = st.lists(st.floats(-2, 2), min_size=1, max_size=6)
ANSWERS = st.lists(st.builds(NetworkAnswer, st.floats(-2, 2), st.floats(0, 1)), min_size=1, max_size=6)
DAY = date(2026, 11, 2)


def results(*earned: float) -> dict[date, float]:
    return {DAY + timedelta(days=place): each for place, each in enumerate(earned)}


def test_weighted_answers_of_the_golden_example_make_one_contract() -> None:
    found = weighted_mean([2, 1, -1], [0.5, 0.3, 0.2])
    assert found == pytest.approx(1.1)
    assert round_contracts(found) == 1


def test_majority_is_the_mean_of_its_side_and_needs_half_of_the_answers_on_it_and_no_other_half() -> None:
    assert majority([2, 1, -1]) == 1.5, "the golden example"
    assert round_contracts(majority([2, 1, -1])) == 2
    tried: list[list[float]] = [[1, 1, -1, -1], [1, 0, 0, 0], [1, 1, 0, 0], [-2, -1, 0], [0, 0, 0], [0.2]]
    assert [majority(targets) for targets in tried] == [0.0, 0.0, 1.0, -1.5, 0.0, 0.2]


def test_answers_too_far_apart_cancel_each_other() -> None:
    assert adaptive([0.3, 1.7]) == pytest.approx(1.0), "exactly 0.7 apart is near enough"
    assert adaptive([0.29, 1.71]) == 0.0


def test_confidence_weighs_answers_and_none_at_all_makes_zero() -> None:
    sure, nothing = [NetworkAnswer(2.0, 0.9), NetworkAnswer(-1.0, 0.1)], [NetworkAnswer(0.0, 0.0)] * 2
    assert combine_targets(Combine.CONFIDENCE, sure) == pytest.approx(1.7)
    assert combine_targets(Combine.CONFIDENCE, nothing) == 0.0


@given(ANSWERS, st.sampled_from([*Combine]), st.data())
def test_one_target_is_among_answers_or_zero(answers: list[NetworkAnswer], how: Combine, data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.floats(0.1, 1), min_size=len(answers), max_size=len(answers)))
    found = combine_targets(how, answers, weights)
    targets = [one.target for one in answers]
    assert found == 0 or min(targets) - 1e-9 <= found <= max(targets) + 1e-9


@given(ANSWERS, st.sampled_from([*Combine]))
def test_opposite_answers_make_the_opposite_target(answers: list[NetworkAnswer], how: Combine) -> None:
    weights = [1.0] * len(answers)
    opposite = [NetworkAnswer(-one.target, one.confidence) for one in answers]
    assert combine_targets(how, opposite, weights) == pytest.approx(-combine_targets(how, answers, weights))


@given(TARGETS, st.permutations(range(6)))
def test_order_of_answers_does_not_matter(targets: list[float], order: list[int]) -> None:
    shuffled = [targets[place] for place in order if place < len(targets)]
    assert majority(shuffled) == pytest.approx(majority(targets))
    assert adaptive(shuffled) == pytest.approx(adaptive(targets))


def test_weights_follow_the_formula_and_add_up_to_one() -> None:
    won, lost = results(0.01, 0.02, 0.03), results(-0.01, -0.02, -0.03)
    first = 0.6 * 1 + 0.4 * (1 + 0.02) / 2
    second = 0.6 * 0 + 0.4 * (1 - 0.02) / 2
    found = there(weights_of([won, lost], 20))
    assert found == pytest.approx((first / (first + second), second / (first + second)))
    assert sum(found) == pytest.approx(1)


def test_weight_has_a_least_and_only_the_window_counts() -> None:
    ruined, recovered = results(*[-0.9] * 5), results(*[-0.9] * 5, 0.01, 0.01)
    low = max(LEAST_WEIGHT, 0.4 * 0.1 / 2)
    high = 0.6 + 0.4 * 1.01 / 2
    assert weights_of([ruined, recovered], 2) == pytest.approx((low / (low + high), high / (low + high)))


def test_without_any_result_there_is_no_weight() -> None:
    assert weights_of([results(0.01), {}], 20) is None


FINITE = st.floats(-50, 50)


@pytest.mark.parametrize(("output", "target"), [(0.74, 1), (0.75, 2), (-0.25, -1), (0.24, 0), (1.0, 2), (-1.0, -2)])
def test_continuous_answer_is_twice_itself_with_a_half_away_from_zero(output: float, target: int) -> None:
    answer = there(answer_of([output], Action.CONTINUOUS))
    assert (round_contracts(answer.target), answer.confidence) == (target, abs(output))


def test_answer_that_is_out_of_range_or_has_a_number_that_is_not_finite_is_none() -> None:
    assert {answer_of([output], Action.CONTINUOUS) for output in (1.0000001, -1.5, math.nan, math.inf)} == {None}
    spoiled = ([0.0, 1.0, wrong, 0.0, 0.0] for wrong in (math.nan, math.inf, -math.inf))
    assert {answer_of(outputs, Action.DISCRETE) for outputs in spoiled} == {None}


def test_largest_of_five_numbers_is_the_target_and_its_share_the_confidence() -> None:
    sure = answer_of([0.0, 0.0, 0.0, 50.0, 0.0], Action.DISCRETE)
    unsure = answer_of([1.0] * 5, Action.DISCRETE)
    assert sure is not None
    assert (sure.target, round(sure.confidence, 9)) == (1.0, 1.0)
    assert unsure == NetworkAnswer(-2.0, 0.2), "of equals, the first one counts"


@given(st.lists(FINITE, min_size=5, max_size=5))
def test_discrete_answer_is_a_target_with_a_share_for_a_confidence(outputs: list[float]) -> None:
    answer = there(answer_of(outputs, Action.DISCRETE))
    assert answer.target in range(-MOST, MOST + 1)
    assert 0.2 <= answer.confidence <= 1


@given(st.floats(-1, 1))
def test_rounding_is_the_same_on_both_sides(output: float) -> None:
    assert round_contracts(-2 * output) == -round_contracts(2 * output)
    assert abs(round_contracts(2 * output) - 2 * output) <= 0.5


def test_number_of_outputs_follows_from_the_action() -> None:
    assert [outputs_of(action) for action in Action] == [1, 5]


WINDOW = 20
GOOD, BAD = 0.01, -0.01


def scored(earned: list[float]) -> dict[date, float]:
    return {DAY + timedelta(days=place): each for place, each in enumerate(earned)}


def on(number: int) -> date:
    return DAY + timedelta(days=number)


def test_score_is_made_of_its_four_parts() -> None:
    assert score([0.01] * 10) == pytest.approx(0.3 + 0.4 + 0.2 * 0.5 + 0.1), "no deviation, no Sharpe ratio"
    assert score([-0.02, -0.01, -0.03, -0.02, -0.02, -0.01]) == pytest.approx(0.0)
    assert score([0.0]) == pytest.approx(0.4 * 0.5 + 0.2 * 0.5)


def test_model_that_earned_more_before_acts_and_the_session_itself_does_not_count() -> None:
    known = {"a": scored([BAD] * 6), "b": scored([GOOD] * 6)}
    assert select_model(known, on(6), WINDOW) == "b"
    turned = {"a": {**known["a"], on(6): 0.9}, "b": {**known["b"], on(6): -0.9}}
    assert select_model(turned, on(6), WINDOW) == "b"


def test_nobody_is_chosen_before_all_have_a_result() -> None:
    assert select_model({"a": scored([GOOD]), "b": {}}, on(5), WINDOW) is None
    assert select_model({"a": scored([GOOD]), "b": scored([GOOD])}, on(0), WINDOW) is None
    assert select_model({}, on(5), WINDOW) is None


def test_change_waits_for_five_sessions_since_the_last() -> None:
    known = {"a": scored([GOOD] + [BAD] * 12), "b": scored([BAD] + [GOOD] * 12)}
    acting = [select_model(known, on(number), 3) for number in range(1, 13)]
    assert acting == ["a"] * REST + ["b"] * (12 - REST)


def test_change_needs_a_score_that_is_a_tenth_better() -> None:
    first, slightly = [0.004, -0.002] * 8, [0.004, -0.00199] * 8
    low, high = score(first), score(slightly)
    assert low < high <= BETTER * low
    # It acts first, because it was better at first.
    known = {"a": scored([0.05, *first]), "b": scored([-0.05, *slightly])}
    assert select_model(known, on(17), 16) == "a"


def test_of_equals_the_first_acts() -> None:
    same = scored([GOOD, BAD])
    assert select_model({"b": same, "a": same}, on(2), WINDOW) == "b"


DRAWN = st.lists(st.floats(-0.05, 0.05), min_size=1, max_size=30)


@given(st.lists(DRAWN, min_size=2, max_size=4), st.integers(1, 35), st.integers(1, 30))
def test_later_results_change_no_choice_and_changes_are_apart(
    drawn: list[list[float]], number: int, window: int
) -> None:
    known = {str(place): scored(each) for place, each in enumerate(drawn)}
    assert select_model(known, on(number), window) == select_model(
        {name: before(each, on(number)) for name, each in known.items()}, on(number), window
    )
    acting = [select_model(known, on(each), window) for each in range(1, 31)]
    changes = [place for place, (one, other) in enumerate(itertools.pairwise(acting), 1) if one != other]
    assert all(later - earlier >= REST for earlier, later in itertools.pairwise(changes))


@given(DRAWN)
def test_score_is_between_zero_and_one(earned: list[float]) -> None:
    assert 0 <= score(earned) <= 1
