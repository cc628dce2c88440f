"""Figures of returns: none from fewer returns than it needs, and each with its interval where it has one."""

import pytest

from tests.kit.trades import past, sessions, spy
from tests.kit.values import there
from tradebot.model.evidence import DatedRate
from tradebot.views.performance.curve import Rates, frame
from tradebot.views.performance.report import Figure
from tradebot.views.performance.return_figures import (
    A_MONTH,
    A_QUARTER,
    A_YEAR,
    Returns,
    comparisons,
    return_figures,
    returns_of,
)
from tradebot.views.performance.returns import path

NEEDED = {
    "total_return": 1,
    "cagr": A_YEAR,
    "mean_return": 8,
    "volatility": A_MONTH,
    "sharpe": A_QUARTER,
    "psr": A_QUARTER,
    "min_track_record": A_QUARTER,
    "sortino": A_QUARTER,
    "max_drawdown": 1,
    "calmar": A_YEAR,
}


def figures(count: int) -> dict[str, Figure]:
    if not count:
        return {each.name: each for each in return_figures(Returns((), 252, 0.0))}
    way = path(past(3, count), [], sessions(count))
    return {each.name: each for each in return_figures(Returns(way.returns, way.per_year, 0.0))}


@pytest.mark.parametrize(("name", "needed"), NEEDED.items())
def test_figure_appears_at_exactly_its_needed_returns(name: str, needed: int) -> None:
    before, there = figures(needed - 1)[name], figures(needed)[name]
    assert (before.value, before.observations, before.needed, before.lacks) == (None, needed - 1, needed, 1)
    assert (before.low, before.high) == (None, None)
    assert there.lacks == 0
    assert there.value is not None or there.note


def test_year_of_returns_has_every_figure_with_interval() -> None:
    found = figures(A_YEAR)
    assert found.keys() == NEEDED.keys()
    assert [name for name, each in found.items() if each.value is None and name != "min_track_record"] == []
    with_interval = {name for name, each in found.items() if each.low is not None}
    assert with_interval == {"cagr", "mean_return", "volatility", "sharpe"}
    for name in with_interval:
        low, value, high = there(found[name].low), there(found[name].value), there(found[name].high)
        assert low < value < high


def test_losing_account_says_that_no_track_record_is_enough() -> None:
    returns = Returns([-0.01, 0.005] * 40, 252, 0.0)
    found = {each.name: each for each in return_figures(returns)}
    assert found["min_track_record"].value is None
    assert found["min_track_record"].note.startswith("the Sharpe ratio isn't above 0")
    assert there(found["sharpe"].value) < 0


def test_constant_returns_have_no_ratio_and_say_so() -> None:
    found = {each.name: each for each in return_figures(Returns([0.001] * 300, 252, 0.0))}
    assert found["sharpe"].note == found["volatility"].note == "the returns don't vary"
    assert found["sortino"].note == "no session lost"
    assert found["calmar"].note == "there was no drawdown"
    assert found["cagr"].value == pytest.approx(1.001**252 - 1)


def test_benchmark_and_cash_are_measured_like_the_account() -> None:
    way, prices = path(past(3, 100), [], sessions(100)), spy(4, 100)
    rates = Rates(0.05)
    found = {each.of: each for each in comparisons(way, frame(way, prices, rates, [1.0] * 100), rates)}
    # The account's whole exposure in the benchmark is the benchmark.
    for each in found.values():
        assert each.benchmark.value == pytest.approx(each.benchmark_leveled.value)
    assert found["total_return"].cash.value == pytest.approx(1.05 ** (100 / 252) - 1)
    assert found["max_drawdown"].cash.value == 0
    assert found["sharpe"].cash.value is None
    assert found["sharpe"].account.observations == found["sharpe"].benchmark.observations == 100


def test_ratios_subtract_each_sessions_cash_return() -> None:
    way, prices = path(past(3, 100), [], sessions(100)), spy(4, 100)
    dated = Rates(0.0, (DatedRate(way.sessions[0], 0.0), DatedRate(way.sessions[50], 0.10)))
    rows = frame(way, prices, dated, [1.0] * 100)
    daily = 1.10 ** (1 / 252) - 1
    of = returns_of("value", way, rows, dated)
    assert of.excess == pytest.approx(
        [value - (daily if place >= 50 else 0) for place, value in enumerate(way.returns)]
    )
    found = {each.of: each for each in comparisons(way, rows, dated)}
    assert found["sharpe"].account == {each.name: each for each in return_figures(of)}["sharpe"]
    assert found["sharpe"].benchmark.value == pytest.approx(found["sharpe"].benchmark_leveled.value)
    plain = {each.of: each for each in comparisons(way, frame(way, prices, Rates()), Rates())}
    assert (found["sharpe"].benchmark.value or 0) < (plain["sharpe"].benchmark.value or 0)
    assert found["total_return"].account == plain["total_return"].account
