"""Figures with bootstrap intervals: those of the report, and of sessions in which everything is known."""

import pytest

from tests.views.performance.played import past, sessions, spy
from tradebot.model.values import replace
from tradebot.views.performance.bootstrap import Resampling
from tradebot.views.performance.chance import chance
from tradebot.views.performance.curve import Benchmark, Rates, frame
from tradebot.views.performance.report import Chance
from tradebot.views.performance.return_figures import A_YEAR, return_figures, returns_of
from tradebot.views.performance.returns import path

HOW = Resampling(resamples=500)
RATES = Rates(0.04, 0.5)


def found(
    count: int, benchmark: Benchmark | None = None, names: tuple[str, str] = ("SPY", "SPY at 50%")
) -> Chance | None:
    way = path(past(1, count), [], sessions(count))
    return chance(way, frame(way, benchmark or spy(2, count), RATES), names, HOW)


def test_values_are_those_of_the_report_and_lie_within_their_intervals() -> None:
    of = found(A_YEAR)
    assert of is not None
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


def test_less_than_a_year_has_none() -> None:
    assert found(A_YEAR - 1) is None
    assert chance(path(past(1, A_YEAR), [], sessions(A_YEAR)), None, ("", "")) is None


def test_what_has_no_name_or_too_few_prices_is_not_compared() -> None:
    alone = found(A_YEAR, names=("", ""))
    assert alone is not None
    assert [each.name for each in alone.figures] == ["cagr", "sharpe", "max_drawdown"]
    prices = spy(2, A_YEAR)
    few = replace(prices, closes=dict(list(prices.closes.items())[:50]))
    assert found(A_YEAR, few) == alone


def test_after_a_total_loss_it_says_why_there_is_no_interval() -> None:
    history = past(1, A_YEAR)
    ends = (*history.ends[:-1], replace(history.ends[-1], equity=history.opening_cash * 0))
    way = path(replace(history, ends=ends), [], sessions(A_YEAR))
    of = chance(way, frame(way, spy(2, A_YEAR), RATES), ("SPY", ""), HOW)
    assert of is not None
    assert {(each.low, each.note) for each in of.figures} == {(None, "everything was lost")}
    assert [each.name for each in of.figures] == ["cagr", "sharpe", "max_drawdown"]


def test_returns_that_do_not_vary_have_no_ratio_and_say_so() -> None:
    history = past(1, A_YEAR)
    ends = tuple(replace(end, equity=history.opening_cash) for end in history.ends)
    way = path(replace(history, ends=ends), [], sessions(A_YEAR))
    of = chance(way, frame(way, spy(2, A_YEAR), Rates()), ("", ""), HOW)
    assert of is not None
    assert [(each.value, each.note) for each in of.figures] == [(0, ""), (None, "the returns don't vary"), (0, "")]
