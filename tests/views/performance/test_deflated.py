"""The deflated Sharpe ratio: the example of its authors, its limits, and how it says what it lacks."""

from math import sqrt
from random import Random
from statistics import fmean

import pytest

from tradebot.model.evidence import Trials
from tradebot.views.performance.deflated import best_by_chance, deflated_sharpe, selected
from tradebot.views.performance.return_figures import A_QUARTER, Returns
from tradebot.views.performance.statistics import Shape, probabilistic_sharpe, shape

PAPER = Shape(1250, 2.5 / sqrt(250), 1.0, -3.0, 10.0)
"""Five years of daily returns with a Sharpe ratio of 2.5 per year of 250 days."""


def returns(count: int, seed: int = 3) -> Returns:
    drawn = Random(seed)  # noqa: S311 -- replayable on purpose
    return Returns([drawn.gauss(0.001, 0.01) for _ in range(count)], 252, 0.0)


def test_it_is_that_of_the_papers_example() -> None:
    deviation = sqrt(0.5 / 250)
    assert best_by_chance(100, deviation) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(PAPER, 100, deviation) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(PAPER, 46, deviation) == pytest.approx(0.9505, abs=5e-4)


@pytest.mark.parametrize("trials", [5, 20, 100])
def test_the_best_by_chance_is_what_draws_give(trials: int) -> None:
    drawn = Random(7)  # noqa: S311 -- replayable on purpose
    best = fmean(max(drawn.gauss(0, 2.0) for _ in range(trials)) for _ in range(2_000))
    assert best_by_chance(trials, 2.0) == pytest.approx(best, rel=0.06)


def test_one_trial_is_no_selection_and_more_of_them_explain_more() -> None:
    assert best_by_chance(1, 0.1) == 0
    assert deflated_sharpe(PAPER, 1, 0.1) == probabilistic_sharpe(PAPER)
    found = [deflated_sharpe(PAPER, trials, 0.03) for trials in (1, 2, 10, 100, 10_000)]
    assert all(each is not None for each in found)
    assert found == sorted(found, key=lambda each: each or 0.0, reverse=True)


def test_the_spread_is_that_of_the_trials_if_three_are_known() -> None:
    of = returns(300)
    narrow, wide, unknown = (
        selected(of, Trials(10, sharpes)) for sharpes in ((0.50, 0.51, 0.52), (0.0, 1.0, 2.0), (0.0, 2.0))
    )
    assert narrow is not None
    assert wide is not None
    assert unknown is not None
    assert wide.best_by_chance.value == pytest.approx(best_by_chance(10, 1.0))
    assert (narrow.deflated.value or 0) > (wide.deflated.value or 1)
    moments = shape(of.values)
    assert moments is not None
    by_error = best_by_chance(10, sqrt(252 / 299) * sqrt(1))
    assert unknown.best_by_chance.value == pytest.approx(by_error, rel=0.05)
    assert (narrow.trials, narrow.known, unknown.known) == (10, 3, 2)
    assert narrow.deflated.note == "the best of 10 trials"


def test_too_few_returns_say_how_many_it_takes() -> None:
    found = selected(returns(A_QUARTER - 1), Trials(4))
    assert found is not None
    for figure in (found.best_by_chance, found.deflated):
        assert (figure.value, figure.observations, figure.needed, figure.lacks) == (None, A_QUARTER - 1, A_QUARTER, 1)


def test_returns_that_do_not_vary_have_none() -> None:
    found = selected(Returns([0.001] * 100, 252, 0.0), Trials(4))
    assert found is not None
    assert (found.deflated.value, found.deflated.note) == (None, "the returns don't vary")


def test_without_counted_trials_nothing_is_said() -> None:
    assert selected(returns(300), None) is None
    assert selected(returns(300), Trials(0)) is None
