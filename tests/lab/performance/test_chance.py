"""Intervals by the block bootstrap, and the Sharpe ratio of a strategy that was chosen from several.

What only longer accounts and backtests say, what that assumes, and what no figure shows.

The account session by session: what was held adds up, and each half year is that of numpy.
"""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from math import expm1, isclose, log1p, sqrt
from random import Random
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest

from tests.kit.trades import account, known, long_backtest, new_account, past, rotated, sessions, spy
from tests.kit.values import there
from tradebot.lab.performance import statistics
from tradebot.lab.performance.activity import MeasuredPath, measure
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
from tradebot.lab.performance.further import BEST, cautions, further_assumptions, holdings, over_time, windows
from tradebot.lab.performance.report import AccountReport, Block, Chance, CurvePoint, ExtendedReport, SessionExposure
from tradebot.lab.performance.reporting import ReportMaterial, account_report
from tradebot.lab.performance.return_figures import A_QUARTER, A_YEAR, Returns, return_figures
from tradebot.lab.performance.returns import account_steps
from tradebot.lab.performance.statistics import Shape, minimum_track_record, probabilistic_sharpe, total_return
from tradebot.model.evidence import NO_EVIDENCE, Evidence, Trials
from tradebot.model.struct_tools import replace
from tradebot.views.trades.history import History

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


NOTHING = ExtendedReport((), (), None, None, None, None, ())
PARTS = {
    *(Block.YEARS, Block.ROLLING, Block.COSTS, Block.CHANCE, Block.SENSITIVITY),
    *(Block.WINDOWS, Block.TAILS, Block.AGAINST, Block.HOLDINGS),
}


def reported(count: int, evidence: Evidence = NO_EVIDENCE) -> AccountReport:
    return account_report(ReportMaterial("a", past(1, count), sessions(count), spy(2, count), 0.0, evidence=evidence))


def test_long_backtest_has_every_further_part() -> None:
    found = long_backtest()
    assert all(getattr(found.further, name) for name in ExtendedReport.__struct_fields__)
    assert found.assumptions.keys() >= PARTS
    assert there(found.further.sensitivity).played.trades == sum(1 for trade in found.trades if trade.closed_at)
    assert there(found.further.sensitivity).played.total_return == pytest.approx(found.returns[0].value)
    assert there(found.further.costs).after.value == found.returns[1].value


def test_new_account_has_no_further_part_and_a_short_one_only_its_year() -> None:
    assert new_account().further == NOTHING
    assert PARTS.isdisjoint(new_account().assumptions)
    found = account(3)
    assert replace(found.further, by_year=(), over_time=()) == NOTHING
    assert len(found.further.over_time) == 3
    assert PARTS & found.assumptions.keys() == {Block.YEARS}


def test_short_backtest_says_how_many_sessions_selection_needs() -> None:
    found = reported(3, Evidence(trials=Trials(5)))
    assert there(found.further.selected).deflated.lacks == 60
    assert found.further.chance is None
    assert "the best of 5 independent trials" in found.assumptions[Block.CHANCE][0]


def test_too_few_spans_are_listed_as_unknown() -> None:
    assert "There are 252 session returns; it takes 504 for worst span of a year." in reported(252).unknown


def test_dated_rates_are_what_cash_earns() -> None:
    found, evidence = long_backtest(), known(530)
    assert "from 0.10% to 5.00% per year in this span" in " ".join(found.assumptions[Block.CURVE])
    assert "costs what cash earns and 1.50% a year." in " ".join(found.assumptions[Block.CURVE])
    assert "in excess of what cash earned meanwhile" in " ".join(found.assumptions[Block.RETURNS])
    changed = [point.session for point in found.curve].index(evidence.cash_rates[1].day)
    assert found.curve[changed - 1].cash == pytest.approx(1.001 ** ((changed - 1) / 252))


def test_further_parts_stay_whole_when_a_part_is_chosen() -> None:
    history = rotated(1, 260)
    whole, part = (
        account_report(ReportMaterial("a", history, sessions(260), spy(2, 260), 0.0, strategy=name))
        for name in (None, "other")
    )
    assert replace(part.further, cautions=()) == replace(whole.further, cautions=())


RETURNS = Returns([0.01, -0.01] * 50, 252, 0.0)


def about_trials(*given: Any) -> str:
    found = further_assumptions(ExtendedReport((), (), None, None, deflate_sharpe(RETURNS, Trials(*given)), None, ()))
    assert found.keys() == {Block.CHANCE}
    (only,) = found[Block.CHANCE]
    return only


@pytest.mark.parametrize(
    ("sharpes", "words"),
    [
        ((), "vary as much as by chance, because none of them is known"),
        ((0.5,), "vary as much as by chance, because only 1 of them is known"),
        ((0.5, 0.6), "vary as much as by chance, because only 2 of them are known"),
        ((0.5, 0.6, 0.7), "vary as they did"),
    ],
)
def test_assumption_says_how_trial_ratios_spread_or_that_one_is_no_choice(
    sharpes: tuple[float, ...], words: str
) -> None:
    only = about_trials(7, sharpes)
    assert words in only
    assert "the best of 7 independent trials" in only
    assert about_trials(1).startswith("No other setting was counted as tried")


def test_assumption_about_trials_is_missing_without_trials() -> None:
    of = long_backtest().further
    assert len(further_assumptions(of)[Block.CHANCE]) == 3
    resampled, halts = further_assumptions(ExtendedReport((), (), None, of.chance, None, None, ()))[Block.CHANCE]
    assert "stationary bootstrap" in resampled
    values = {figure.name: figure.value for figure in there(of.chance).figures}
    fitting = [float(found) for found in re.findall(r"_fraction: ([\d.]+)", halts)]
    for found, name in zip(fitting, ("year_drawdown", "year_session"), strict=True):
        assert 0 <= found + there(values[name]) < 0.01


FIRST = date(2020, 1, 2)


def curve(benchmark: list[float]) -> list[CurvePoint]:
    one, at = Decimal(1), datetime(2020, 1, 2, tzinfo=UTC)
    days = [(FIRST + timedelta(place), value) for place, value in enumerate(benchmark)]
    return [CurvePoint(day, at, False, one, Decimal(0), 1.0, 0.0, value, None, 1.0) for day, value in days]


def said(returns: list[float], index: list[float], benchmark: str | None = "SPY") -> list[str]:
    return list(cautions(returns, curve(index), (), benchmark))


def test_cautions_are_missing_below_a_year_of_a_flat_account_or_of_ten_years_where_they_say_nothing() -> None:
    assert said([0.01] * (A_YEAR - 1), [1.0]) == []
    assert len(said([0.01] * A_YEAR, [1.0])) == 3
    assert len(said([0.0] * A_YEAR, [1.0])) == 2, "a flat account has no best sessions"
    assert not any("stretch" in sentence for sentence in said([0.0] * 10 * A_YEAR, [1.0]))


def test_caution_counts_few_trades() -> None:
    assert said([0.0] * A_YEAR, [])[0] == (
        "These figures are from only 0 closed trades: one more or one less could change them."
    )
    (first, *_) = account(3).trades
    many = [first] * 99
    assert "99 closed trades" in next(cautions([0.0] * A_YEAR, (), many, None))
    assert "one stretch of history" in next(cautions([0.0] * A_YEAR, (), [*many, first], None))
    assert "99 closed trades" in next(cautions([0.0] * A_YEAR, (), [*many, replace(first, closed_at=None)], None))


def test_caution_counts_benchmark_falls_from_their_peaks() -> None:
    for index, words in (
        (
            [1.0, 0.81, 1.0],
            ("SPY never fell by 20% in these years, so nothing here shows how the strategy does in such a fall."),
        ),
        ([1.0, 0.75, 0.9, 0.7], "SPY fell by 20% or more once in these years."),
        ([1.0, 0.75, 1.0, 0.7, 1.1, 0.9], "SPY fell by 20% or more twice in these years."),
        ([1.0, 0.75, 1.0, 0.7, 1.1, 0.8, 1.1, 0.2], "SPY fell by 20% or more 4 times in these years."),
    ):
        assert words in said([0.0] * A_YEAR, index)[1]
    for unknown in (said([0.0] * A_YEAR, [1.0]), said([0.0] * A_YEAR, [1.0, 0.5], None)):
        assert unknown[1] == (
            "These 1.0 years are one stretch of history. The strategy may do worse at other "
            "interest rates, volatilities and trends."
        )


def test_caution_shows_the_result_without_its_best_sessions() -> None:
    returns = [0.05] * BEST + [-0.001] * (A_YEAR - BEST)
    rest = total_return([-0.001] * (A_YEAR - BEST))
    assert said(returns, [])[-1] == (
        f"Without the 10 best of its 252 sessions, the return would have been {rest:+.1%} instead of"
        f" {total_return(returns):+.1%}."
    )


HALF_YEAR, COUNT = 126, 260


def measured(history: History, count: int, benchmark: BenchmarkPrices | None = None) -> MeasuredPath:
    known = sessions(count)
    return measure(history, account_steps(history, [], known), known, benchmark or spy(2, count), Rates(0.04))


def rows(of: MeasuredPath) -> tuple[SessionExposure, ...]:
    return over_time(of, there(of.rows))


def test_each_half_year_is_that_of_its_own_returns() -> None:
    of = measured(past(1, COUNT), COUNT)
    found = rows(of)
    assert [each.session for each in found] == [step.after.session for step in of.way.steps]
    for place in (HALF_YEAR - 1, 200, COUNT - 1):
        part = there(of.rows).iloc[place + 2 - HALF_YEAR : place + 2]
        own, other = (part[name].to_numpy() - part["cash"].to_numpy() for name in ("value", "benchmark"))
        ratio, beta = own.mean() / own.std(ddof=1) * 252**0.5, np.polyfit(other, own, 1)[0]
        figures = found[place].volatility, found[place].sharpe, found[place].beta
        assert figures == pytest.approx((part["value"].std() * 252**0.5, ratio, beta))
    assert {each.volatility for each in found[: HALF_YEAR - 1]} == {None}


def test_half_years_without_prices_or_spread_have_no_beta_and_no_ratio() -> None:
    found = rows(measured(past(1, COUNT), COUNT, BenchmarkPrices("SPY")))
    assert {each.beta for each in found} == {None}
    assert found[-1].sharpe is not None
    of = measured(past(1, COUNT), COUNT)
    assert {each.sharpe for each in over_time(of, there(of.rows).assign(value=0.001))} == {None}


def test_windows_are_said_from_a_year_of_returns_on() -> None:
    found = windows(rows(measured(past(1, COUNT), COUNT)), 252)
    assert [(each.name, each.windows) for each in found] == [
        (name, COUNT - HALF_YEAR + 1) for name in ("volatility", "sharpe", "beta")
    ]
    assert all(each.lowest <= each.median <= each.highest for each in found)
    assert all(each.lowest <= each.last <= each.highest for each in found)
    assert len(windows(rows(measured(past(1, 252), 252)), 252)) == 3
    assert windows(rows(measured(past(1, 251), 251)), 252) == ()


def test_what_was_held_adds_up_to_the_net_exposure() -> None:
    of = measured(rotated(1, 60), 60)
    found = rows(of)
    for each, exposed in zip(found, there(of.exposures), strict=True):
        assert sum(each.held.values()) == pytest.approx(exposed.net) == pytest.approx(there(each.exposure))
    assert {len(each.held) for each in found} == {1, 2}, "a session of rotation has two symbols"


def test_holdings_are_averages_over_the_sessions_that_held_them() -> None:
    of = rows(measured(rotated(1, 60), 60))
    found = {each.symbol: each for each in holdings(of)}
    for symbol, each in found.items():
        shares = [row.held[symbol] for row in of if symbol in row.held]
        assert each.sessions == len(shares)
        assert each.average == pytest.approx(np.mean(shares))
        assert (each.furthest, each.last) == (max(shares, key=abs), of[-1].held.get(symbol))
    assert found.keys() == {symbol for row in of for symbol in row.held}
    assert holdings(of[:20]) == ()


def test_exposure_that_is_not_known_is_no_zero() -> None:
    of = measured(past(1, 30), 30)
    unknown = over_time(MeasuredPath(of.way, None, None, of.rows), there(of.rows))
    assert {(each.exposure, *each.held) for each in unknown} == {(None,)}
