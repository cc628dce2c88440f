"""Intervals by the block bootstrap, and the Sharpe ratio of a strategy that was chosen from several."""

from math import sqrt
from random import Random
from statistics import fmean

import pytest

from tests.builders import there
from tests.views.performance.played import past, sessions, spy
from tradebot.model.evidence import Trials
from tradebot.model.values import replace
from tradebot.views.performance.bootstrap import Resampling
from tradebot.views.performance.chance import best_by_chance, chance, deflated_sharpe, selected
from tradebot.views.performance.curve import Benchmark, Rates, frame
from tradebot.views.performance.report import Chance
from tradebot.views.performance.return_figures import A_QUARTER, A_YEAR, Returns, return_figures, returns_of
from tradebot.views.performance.returns import path
from tradebot.views.performance.statistics import Shape, probabilistic_sharpe

HOW = Resampling(resamples=500)
RATES = Rates(0.04, 0.5)


def found(
    count: int, benchmark: Benchmark | None = None, names: tuple[str, str] = ("SPY", "SPY at 50%")
) -> Chance | None:
    way = path(past(1, count), [], sessions(count))
    return chance(way, frame(way, benchmark or spy(2, count), RATES), names, HOW)


def test_chance_values_match_the_report_and_lie_in_their_intervals() -> None:
    of = there(found(A_YEAR))
    assert (of.resamples, of.mean_block, of.seed, of.level) == (500, 21, 18, 0.95)
    way = path(past(1, A_YEAR), [], sessions(A_YEAR))
    reported = {each.name: each.value for each in return_figures(returns_of(way.returns, way, RATES))}
    assert [each.name for each in of.figures] == ["cagr", "sharpe", "max_drawdown", "benchmark", "leveled"]
    for each in of.figures[:3]:
        assert each.value == pytest.approx(reported[each.name])
    for each in of.figures:
        assert each.value is not None
        assert each.low is not None
        assert each.high is not None
        assert each.low < each.value < each.high
        assert (each.observations, each.needed, each.lacks) == (A_YEAR, A_YEAR, 0)
    assert of.figures[-1].label == "Yearly log excess over SPY at 50%"


def test_chance_is_missing_below_a_year() -> None:
    assert found(A_YEAR - 1) is None
    assert chance(path(past(1, A_YEAR), [], sessions(A_YEAR)), None, ("", "")) is None


def test_chance_skips_benchmarks_without_name_or_prices() -> None:
    alone = there(found(A_YEAR, names=("", "")))
    assert [each.name for each in alone.figures] == ["cagr", "sharpe", "max_drawdown"]
    prices = spy(2, A_YEAR)
    few = replace(prices, closes=dict(list(prices.closes.items())[:50]))
    assert found(A_YEAR, few) == alone


def test_chance_explains_a_missing_interval_after_a_total_loss() -> None:
    history = past(1, A_YEAR)
    ends = (*history.ends[:-1], replace(history.ends[-1], equity=history.opening_cash * 0))
    way = path(replace(history, ends=ends), [], sessions(A_YEAR))
    of = there(chance(way, frame(way, spy(2, A_YEAR), RATES), ("SPY", ""), HOW))
    assert {(each.low, each.note) for each in of.figures} == {(None, "everything was lost")}
    assert [each.name for each in of.figures] == ["cagr", "sharpe", "max_drawdown"]


def test_constant_returns_have_no_ratio_and_say_why() -> None:
    history = past(1, A_YEAR)
    ends = tuple(replace(end, equity=history.opening_cash) for end in history.ends)
    way = path(replace(history, ends=ends), [], sessions(A_YEAR))
    of = there(chance(way, frame(way, spy(2, A_YEAR), Rates()), ("", ""), HOW))
    assert [(each.value, each.note) for each in of.figures] == [(0, ""), (None, "the returns don't vary"), (0, "")]


PAPER = Shape(1250, 2.5 / sqrt(250), 1.0, -3.0, 10.0)
"""Five years of daily returns with a Sharpe ratio of 2.5 per year of 250 days."""


def returns(count: int, seed: int = 3) -> Returns:
    drawn = Random(seed)  # noqa: S311 -- replayable on purpose
    return Returns([drawn.gauss(0.001, 0.01) for _ in range(count)], 252, 0.0)


def test_deflated_sharpe_matches_the_papers_example() -> None:
    deviation = sqrt(0.5 / 250)
    assert best_by_chance(100, deviation) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(PAPER, 100, deviation) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(PAPER, 46, deviation) == pytest.approx(0.9505, abs=5e-4)


@pytest.mark.parametrize("trials", [5, 20, 100])
def test_best_by_chance_matches_random_draws(trials: int) -> None:
    drawn = Random(7)  # noqa: S311 -- replayable on purpose
    best = fmean(max(drawn.gauss(0, 2.0) for _ in range(trials)) for _ in range(2_000))
    assert best_by_chance(trials, 2.0) == pytest.approx(best, rel=0.06)


def test_more_trials_lower_the_deflated_sharpe_and_one_leaves_it() -> None:
    assert best_by_chance(1, 0.1) == 0
    assert deflated_sharpe(PAPER, 1, 0.1) == probabilistic_sharpe(PAPER)
    found = [deflated_sharpe(PAPER, trials, 0.03) for trials in (1, 2, 10, 100, 10_000)]
    assert all(each is not None for each in found)
    assert found == sorted(found, key=lambda each: each or 0.0, reverse=True)


def test_trial_spread_is_taken_from_three_known_trials_or_more() -> None:
    of = returns(300)
    narrow, wide, unknown = (
        there(selected(of, Trials(10, sharpes))) for sharpes in ((0.50, 0.51, 0.52), (0.0, 1.0, 2.0), (0.0, 2.0))
    )
    assert wide.best_by_chance.value == pytest.approx(best_by_chance(10, 1.0))
    assert (narrow.deflated.value or 0) > (wide.deflated.value or 1)
    by_error = best_by_chance(10, sqrt(252 / 299) * sqrt(1))
    assert unknown.best_by_chance.value == pytest.approx(by_error, rel=0.05)
    assert (narrow.trials, narrow.known, unknown.known) == (10, 3, 2)
    assert narrow.deflated.note == "the best of 10 trials"


def test_deflated_sharpe_says_how_many_returns_it_needs() -> None:
    found = there(selected(returns(A_QUARTER - 1), Trials(4)))
    for figure in (found.best_by_chance, found.deflated):
        assert (figure.value, figure.observations, figure.needed, figure.lacks) == (None, A_QUARTER - 1, A_QUARTER, 1)


def test_deflated_sharpe_is_missing_for_constant_returns() -> None:
    found = there(selected(Returns([0.001] * 100, 252, 0.0), Trials(4)))
    assert (found.deflated.value, found.deflated.note) == (None, "the returns don't vary")


def test_deflated_sharpe_is_missing_without_counted_trials() -> None:
    assert selected(returns(300), None) is None
    assert selected(returns(300), Trials(0)) is None
