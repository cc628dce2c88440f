"""Which model acts: by earlier results alone, not too often, and always the same."""

import itertools
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.learning.ensemble import BETTER, REST, before, score, select_model

DAY = date(2026, 11, 2)
WINDOW = 20
GOOD, BAD = 0.01, -0.01


def results(earned: list[float]) -> dict[date, float]:
    return {DAY + timedelta(days=place): each for place, each in enumerate(earned)}


def on(number: int) -> date:
    return DAY + timedelta(days=number)


def test_score_is_made_of_its_four_parts() -> None:
    assert score([0.01] * 10) == pytest.approx(0.3 + 0.4 + 0.2 * 0.5 + 0.1), "no deviation, no Sharpe ratio"
    assert score([-0.02, -0.01, -0.03, -0.02, -0.02, -0.01]) == pytest.approx(0.0)
    assert score([0.0]) == pytest.approx(0.4 * 0.5 + 0.2 * 0.5)


def test_model_that_earned_more_before_acts_and_the_session_itself_does_not_count() -> None:
    known = {"a": results([BAD] * 6), "b": results([GOOD] * 6)}
    assert select_model(known, on(6), WINDOW) == "b"
    turned = {"a": {**known["a"], on(6): 0.9}, "b": {**known["b"], on(6): -0.9}}
    assert select_model(turned, on(6), WINDOW) == "b"


def test_nobody_is_chosen_before_all_have_a_result() -> None:
    assert select_model({"a": results([GOOD]), "b": {}}, on(5), WINDOW) is None
    assert select_model({"a": results([GOOD]), "b": results([GOOD])}, on(0), WINDOW) is None
    assert select_model({}, on(5), WINDOW) is None


def test_change_waits_for_five_sessions_since_the_last() -> None:
    known = {"a": results([GOOD] + [BAD] * 12), "b": results([BAD] + [GOOD] * 12)}
    acting = [select_model(known, on(number), 3) for number in range(1, 13)]
    assert acting == ["a"] * REST + ["b"] * (12 - REST)


def test_change_needs_a_score_that_is_a_tenth_better() -> None:
    first, slightly = [0.004, -0.002] * 8, [0.004, -0.00199] * 8
    low, high = score(first), score(slightly)
    assert low < high <= BETTER * low
    # It acts first, because it was better at first.
    known = {"a": results([0.05, *first]), "b": results([-0.05, *slightly])}
    assert select_model(known, on(17), 16) == "a"


def test_of_equals_the_first_acts() -> None:
    same = results([GOOD, BAD])
    assert select_model({"b": same, "a": same}, on(2), WINDOW) == "b"


DRAWN = st.lists(st.floats(-0.05, 0.05), min_size=1, max_size=30)


@given(st.lists(DRAWN, min_size=2, max_size=4), st.integers(1, 35), st.integers(1, 30))
def test_later_results_change_no_choice_and_changes_are_apart(
    drawn: list[list[float]], number: int, window: int
) -> None:
    known = {str(place): results(each) for place, each in enumerate(drawn)}
    assert select_model(known, on(number), window) == select_model(
        {name: before(each, on(number)) for name, each in known.items()}, on(number), window
    )
    acting = [select_model(known, on(each), window) for each in range(1, 31)]
    changes = [place for place, (one, other) in enumerate(itertools.pairwise(acting), 1) if one != other]
    assert all(later - earlier >= REST for earlier, later in itertools.pairwise(changes))


@given(DRAWN)
def test_score_is_between_zero_and_one(earned: list[float]) -> None:
    assert 0 <= score(earned) <= 1
