"""Intervals by the block bootstrap, and the Sharpe ratio of a strategy that was chosen from several."""

from itertools import pairwise
from math import expm1, isclose, log1p, sqrt
from random import Random
from statistics import fmean, stdev

import numpy as np
import pytest

from tests.kit.trades import past, sessions, spy
from tests.kit.values import there
from tradebot.lab.performance import statistics
from tradebot.lab.performance.chance import (
    DEFAULT,
    OF_A_YEAR,
    Blocks,
    Resampling,
    ReturnSeries,
    ReturnSpan,
    best_by_chance,
    confidence_figures,
    deflate_sharpe,
    intervals,
    resample_blocks,
    sharpe_spans,
    yearly_excess,
)
from tradebot.lab.performance.curve import BenchmarkPrices, Rates, frame
from tradebot.lab.performance.report import Chance
from tradebot.lab.performance.return_figures import A_QUARTER, A_YEAR, Returns, return_figures
from tradebot.lab.performance.returns import account_steps
from tradebot.lab.performance.statistics import Shape, minimum_track_record, probabilistic_sharpe
from tradebot.model.evidence import Trials
from tradebot.model.struct_tools import replace

SMALL = Resampling(resamples=200, mean_block=4, seed=3, level=0.9)


def series(count: int, seed: int = 1, mean: float = 0.0005, deviation: float = 0.012) -> list[float]:
    drawn = Random(seed)  # noqa: S311 -- replayable on purpose
    return [drawn.gauss(mean, deviation) for _ in range(count)]


def rows_of(blocks: Blocks, count: int) -> list[list[int]]:
    """Return the places of each resample, by walking through its blocks."""
    found = list[list[int]]()
    ends = [*blocks.rows[1:], len(blocks.first)]
    for begin, end in zip(blocks.rows, ends, strict=True):
        places = list[int]()
        for first, length in zip(blocks.first[begin:end], blocks.lengths[begin:end], strict=True):
            places += [int(first + step) % count for step in range(length)]
        found.append(places)
    return found


def plainly(of: ReturnSeries, how: Resampling) -> dict[str, ReturnSpan]:
    """Return the intervals by a loop over each resample."""
    found: dict[str, list[float]] = {}
    for blocks in resample_blocks(len(of.values), how):
        for places in rows_of(blocks, len(of.values)):
            values = [of.values[place] for place in places]
            excess = [of.values[place] - of.cash_of_each[place] for place in places]
            others = {
                name: yearly_excess(values, [each[place] for place in places], of.per_year)
                for name, each in of.others.items()
            }
            year = round(of.per_year)
            of_a_year = {"year_drawdown": statistics.max_drawdown(values[:year]), "year_session": min(values[:year])}
            figures = {
                "cagr": expm1(fmean(map(log1p, values)) * of.per_year),
                "sharpe": fmean(excess) / stdev(excess) * sqrt(of.per_year),
                "max_drawdown": statistics.max_drawdown(values),
                **(of_a_year if len(values) >= year else {}),
                **others,
            }
            for name, value in figures.items():
                found.setdefault(name, []).append(value)
    tails = {name: 0.05 if name in OF_A_YEAR else (1 - how.level) / 2 for name in found}
    return {name: ReturnSpan(*map(float, np.quantile(found[name], (tail, 1 - tail)))) for name, tail in tails.items()}


@pytest.mark.parametrize(("per_year", "years"), [(252, set[str]()), (20, set(OF_A_YEAR)), (50, set(OF_A_YEAR))])
def test_resampled_figures_equal_those_of_a_plain_loop(per_year: float, years: set[str]) -> None:
    of = ReturnSeries(series(50), per_year, 0.0, series(50, 2, 0.0001, 0.0001), others={"SPY": series(50, 3)})
    found, expected = there(intervals(of, SMALL)), plainly(of, SMALL)
    assert found.keys() == expected.keys() == {"cagr", "sharpe", "max_drawdown", "SPY"} | years
    for name, span in expected.items():
        assert isclose(found[name].low, span.low, rel_tol=1e-9)
        assert isclose(found[name].high, span.high, rel_tol=1e-9)


def test_resample_is_as_long_as_the_series() -> None:
    how = Resampling(resamples=1_000, mean_block=5, seed=1)
    rows = [row for blocks in resample_blocks(30, how) for row in rows_of(blocks, 30)]
    assert [len(row) for row in rows] == [30] * 1_000


def test_blocks_have_the_given_mean_length_and_start_anywhere() -> None:
    how = Resampling(resamples=2_000, mean_block=21, seed=5)
    rows = [row for blocks in resample_blocks(250, how) for row in rows_of(blocks, 250)]
    steps = [(after - before) % 250 == 1 for row in rows for before, after in pairwise(row)]
    # A new block goes on by chance once in 250 times.
    assert fmean(steps) == pytest.approx(1 - 1 / 21 + 1 / 21 / 250, abs=0.002)
    seen = np.bincount([place for row in rows for place in row], minlength=250)
    assert seen.min() > 0.8 * 2_000
    assert seen.max() < 1.2 * 2_000


def test_same_seed_draws_the_same_and_another_nearly_the_same() -> None:
    of = ReturnSeries(series(300), 252, 0.0)
    first, again, other = (intervals(of, Resampling(seed=seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert there(first)["cagr"].low == pytest.approx(there(other)["cagr"].low, abs=0.02)


def test_independent_returns_have_the_interval_of_their_standard_error() -> None:
    values = series(1_257, deviation=0.01)
    found = there(intervals(ReturnSeries(values, 252, 0.0, others={"zero": [0.0] * len(values)}), DEFAULT))
    half = (found["zero"].high - found["zero"].low) / 2
    assert half == pytest.approx(1.96 * stdev(map(log1p, values)) * 252 / sqrt(1_257), rel=0.1)


def test_autocorrelated_returns_widen_the_interval() -> None:
    runs = [value for start in range(20) for value in [0.01 if start % 2 else -0.01] * 21]
    mixed = [0.01, -0.01] * 210
    in_runs, in_turn = (there(intervals(ReturnSeries(values, 252, 0.0))) for values in (runs, mixed))
    assert in_runs["cagr"].high - in_runs["cagr"].low > 5 * (in_turn["cagr"].high - in_turn["cagr"].low)
    assert in_runs["max_drawdown"].low < in_turn["max_drawdown"].low


def test_constant_returns_have_an_interval_without_width() -> None:
    found = there(intervals(ReturnSeries([0.001] * 30, 252, 0.001, others={"same": [0.001] * 30}), SMALL))
    assert found["cagr"].low == pytest.approx(1.001**252 - 1) == pytest.approx(found["cagr"].high)
    assert found["max_drawdown"] == (0.0, 0.0)
    assert found["same"] == pytest.approx((0.0, 0.0))


def test_one_return_or_a_total_loss_has_no_interval_nor_does_an_excess_over_one() -> None:
    assert [intervals(ReturnSeries(values, 252, 0.0), SMALL) for values in ([0.1], [], [0.1, -1.0, 0.2])] == [None] * 3
    assert intervals(ReturnSeries([0.1, 0.2], 252, 0.0, others={"gone": [0.0, -1.0]}), SMALL) is None


def test_excess_is_the_difference_of_yearly_log_growth() -> None:
    assert yearly_excess([0.10, 0.0], [0.0, 0.0], 1) == pytest.approx(log1p(0.10) / 2)
    assert yearly_excess([0.01] * 252, [0.02] * 252, 252) == pytest.approx(252 * (log1p(0.01) - log1p(0.02)))


HOW = Resampling(resamples=500)
RATES = Rates(0.04)


def found(
    count: int, benchmark: BenchmarkPrices | None = None, names: tuple[str, str] = ("SPY", "SPY at 50%")
) -> Chance | None:
    way = account_steps(past(1, count), [], sessions(count))
    return confidence_figures(way, frame(way, benchmark or spy(2, count), RATES, [0.5] * count), names, HOW)


def test_chance_values_match_the_report_and_lie_in_their_intervals() -> None:
    of = there(found(A_YEAR))
    assert (of.resamples, of.mean_block, of.seed, of.level) == (500, 21, 18, 0.95)
    way = account_steps(past(1, A_YEAR), [], sessions(A_YEAR))
    reported = {each.name: each.value for each in return_figures(Returns(way.returns, 252, 1.04 ** (1 / 252) - 1))}
    assert [each.name for each in of.figures] == ["cagr", "sharpe", "max_drawdown", "benchmark", "leveled", *OF_A_YEAR]
    for each in of.figures[:3]:
        assert each.value == pytest.approx(reported[each.name])
    assert there(of.figures[2].low) < there(of.figures[-2].value) < there(of.figures[-1].value) < 0
    for each in of.figures[:-2]:
        assert there(each.low) < there(each.value) < there(each.high)
    for each in of.figures:
        assert (each.observations, each.needed, each.lacks) == (A_YEAR, A_YEAR, 0)
    assert of.figures[-3].label == "Yearly log excess over SPY at 50%"


def test_chance_is_missing_below_a_year() -> None:
    assert found(A_YEAR - 1) is None
    assert confidence_figures(account_steps(past(1, A_YEAR), [], sessions(A_YEAR)), None, ("", "")) is None


def test_chance_skips_benchmarks_without_name_or_prices() -> None:
    alone = there(found(A_YEAR, names=("", "")))
    assert [each.name for each in alone.figures] == ["cagr", "sharpe", "max_drawdown", *OF_A_YEAR]
    prices = spy(2, A_YEAR)
    assert found(A_YEAR, replace(prices, closes=dict(list(prices.closes.items())[:50]))) == alone


def test_chance_explains_a_missing_interval_after_a_total_loss() -> None:
    history = past(1, A_YEAR)
    ends = (*history.ends[:-1], replace(history.ends[-1], equity=history.opening_cash * 0))
    way = account_steps(replace(history, ends=ends), [], sessions(A_YEAR))
    of = there(confidence_figures(way, frame(way, spy(2, A_YEAR), RATES, [0.5] * A_YEAR), ("SPY", ""), HOW))
    assert {(each.low, each.note) for each in of.figures} == {(None, "everything was lost")}
    assert [each.name for each in of.figures] == ["cagr", "sharpe", "max_drawdown"]


def test_constant_returns_have_no_ratio_and_say_why() -> None:
    history = past(1, A_YEAR)
    ends = tuple(replace(end, equity=history.opening_cash) for end in history.ends)
    way = account_steps(replace(history, ends=ends), [], sessions(A_YEAR))
    of = there(confidence_figures(way, frame(way, spy(2, A_YEAR), Rates()), ("", ""), HOW))
    found = [(each.value, each.note) for each in of.figures]
    assert found == [(0, ""), (None, "the returns don't vary"), (0, ""), (0, ""), (0, "")]


PAPER = Shape(1250, 2.5 / sqrt(250), 1.0, -3.0, 10.0)
"""Five years of daily returns with a Sharpe ratio of 2.5 per year of 250 days."""


def returns(count: int, seed: int = 3) -> Returns:
    drawn = Random(seed)  # noqa: S311 -- replayable on purpose
    return Returns([drawn.gauss(0.001, 0.01) for _ in range(count)], 252, 0.0)


def deflated_sharpe(of: Shape, trials: int, deviation: float) -> float | None:
    return probabilistic_sharpe(of, best_by_chance(trials, deviation))


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
        there(deflate_sharpe(of, Trials(10, sharpes))) for sharpes in ((0.50, 0.51, 0.52), (0.0, 1.0, 2.0), (0.0, 2.0))
    )
    assert wide.best_by_chance.value == pytest.approx(best_by_chance(10, 1.0))
    assert (narrow.deflated.value or 0) > (wide.deflated.value or 1)
    assert unknown.best_by_chance.value == pytest.approx(best_by_chance(10, sqrt(252 / 299) * sqrt(1)), rel=0.05)
    assert (narrow.trials, narrow.known, unknown.known) == (10, 3, 2)
    assert narrow.deflated.note == "the best of 10 trials"


def test_deflated_sharpe_says_how_many_returns_it_needs() -> None:
    found = there(deflate_sharpe(returns(A_QUARTER - 1), Trials(4)))
    for figure in (found.best_by_chance, found.deflated):
        assert (figure.value, figure.observations, figure.needed, figure.lacks) == (None, A_QUARTER - 1, A_QUARTER, 1)


def test_deflated_sharpe_is_missing_for_constant_returns_or_without_counted_trials() -> None:
    constant = there(deflate_sharpe(Returns([0.001] * 100, 252, 0.0), Trials(4))).deflated
    assert (constant.value, constant.note) == (None, "the returns don't vary")
    assert deflate_sharpe(returns(300), None) is None
    assert deflate_sharpe(returns(300), Trials(0)) is None


# Worked out by hand from the papers: a daily record whose Sharpe ratio is 1.5 a year.
TWO_YEARS = Shape(504, 1.5 / sqrt(252), 1.0, -0.5, 5.0)


@pytest.mark.parametrize(("trials", "deflated"), [(10, 0.836400), (45, 0.700345), (100, 0.626518)])
def test_one_try_of_two_good_years_passes_and_ten_fail(trials: int, deflated: float) -> None:
    assert probabilistic_sharpe(TWO_YEARS) == pytest.approx(0.980400, abs=5e-7)
    assert minimum_track_record(TWO_YEARS) == pytest.approx(321.04, abs=5e-3)
    assert best_by_chance(10, 0.5 / sqrt(252)) == pytest.approx(0.049595, abs=5e-7)
    found = probabilistic_sharpe(TWO_YEARS, best_by_chance(trials, 0.5 / sqrt(252)))
    assert found == pytest.approx(deflated, abs=5e-7)


def test_ends_of_many_ratios_at_once_are_those_of_each_by_itself() -> None:
    returns = 0.01 * np.random.default_rng(3).normal(0.05, 1, (260, 3))
    how = Resampling(resamples=400, mean_block=10)
    low, high = sharpe_spans(returns, 252, how)
    for place, column in enumerate(returns.T):
        spans = there(intervals(ReturnSeries(column.tolist(), 252, 0.0, year=252), how))
        assert (low[place], high[place]) == pytest.approx(tuple(spans["sharpe"]))
