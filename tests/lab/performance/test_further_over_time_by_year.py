"""Calendar years add up to the whole, and spans of a year are each of them."""

from datetime import date
from math import prod
from statistics import median

import pytest

from tests.kit.trades import known, rotated, sessions, spy
from tests.kit.values import there
from tradebot.lab.performance import statistics
from tradebot.lab.performance.activity import MeasuredPath, cost_kinds, measure
from tradebot.lab.performance.curve import BenchmarkPrices, Rates, years
from tradebot.lab.performance.further import path_by_year, rolling_figures, year_figures
from tradebot.lab.performance.returns import account_steps

COUNT = 530
HISTORY = rotated(1, COUNT)


def measured(count: int = COUNT, benchmark: BenchmarkPrices | None = None) -> MeasuredPath:
    history = HISTORY if count == COUNT else rotated(1, count)
    way = account_steps(history, [], sessions(count))
    rates = Rates(dated=known(count).cash_rates, borrowing_spread=0.015)
    return measure(history, way, sessions(count), benchmark or spy(2, count), rates)


WHOLE = measured()


def test_yearly_returns_compound_to_the_total_and_costs_add_up() -> None:
    found = year_figures(WHOLE, HISTORY.fills, cost_kinds(HISTORY))
    assert [each.year for each in found] == [2025, 2026, 2027]
    assert prod(1 + (each.value or 0) for each in found) == pytest.approx(
        1 + statistics.total_return(WHOLE.way.returns)
    )
    assert sum(each.sessions for each in found) == COUNT
    assert sum(each.costs_usd for each in found) == pytest.approx(-float(sum(each.amount_usd for each in HISTORY.cash)))
    assert [each.value for each in found] == pytest.approx([each.value for each in years(WHOLE.way, there(WHOLE.rows))])
    for name, column in (("benchmark", "benchmark"), ("benchmark_leveled", "leveled"), ("cash", "cash")):
        whole = prod(1 + value for value in there(WHOLE.rows)[column].dropna())
        assert prod(1 + getattr(each, name) for each in found) == pytest.approx(whole)


def test_year_is_measured_like_an_account_of_that_year() -> None:
    for year, found in zip((2025, 2026), year_figures(WHOLE, HISTORY.fills, cost_kinds(HISTORY)), strict=False):
        part = dict(path_by_year(WHOLE.way))[year]
        assert there(part.start).session.year == year - 1 or year == 2025
        assert found.volatility == there(statistics.volatility(part.returns, 252)).value
        assert found.max_drawdown == statistics.max_drawdown(part.returns)
        assert found.exposure == pytest.approx(1.25, abs=0.03)
        # Each of about 12 rebalances sells and buys 125% of equity.
        assert found.turnover == pytest.approx(12 * 1.25, rel=0.1)


def test_short_part_of_a_year_has_no_volatility() -> None:
    last = year_figures(WHOLE, HISTORY.fills, cost_kinds(HISTORY))[-1]
    assert (last.year, last.sessions < 21, last.volatility) == (2027, True, None)


def test_rolling_figures_cover_every_span_of_a_year() -> None:
    returns = WHOLE.way.returns
    spans = [statistics.total_return(returns[first : first + 252]) for first in range(COUNT - 251)]
    found = {each.name: each.value for each in rolling_figures(WHOLE.way, WHOLE.rows)}
    assert found["rolling_worst"] == pytest.approx(min(spans))
    assert found["rolling_best"] == pytest.approx(max(spans))
    assert found["rolling_median"] == pytest.approx(median(spans))
    assert found["rolling_losing"] == pytest.approx(sum(span < 0 for span in spans) / len(spans))
    assert WHOLE.rows is not None
    others = list(WHOLE.rows["benchmark"])[1:]
    behind = sum(span < statistics.total_return(others[first : first + 252]) for first, span in enumerate(spans))
    assert found["rolling_behind"] == pytest.approx(behind / len(spans))


def test_rolling_figures_below_two_years_say_how_many_returns_they_need() -> None:
    short, year = measured(251), measured(252)
    assert rolling_figures(short.way, short.rows) == ()
    (only,) = rolling_figures(year.way, year.rows)
    assert (only.value, only.observations, only.needed) == (None, 252, 504)


def test_rolling_figures_without_a_benchmark_compare_nothing() -> None:
    alone = measured(COUNT, BenchmarkPrices("SPY"))
    assert "rolling_behind" not in {each.name for each in rolling_figures(alone.way, alone.rows)}
    found = year_figures(alone, HISTORY.fills, ())
    assert {each.benchmark for each in found} == {None} == {each.benchmark_leveled for each in found}
    assert date(2025, 1, 6) in alone.way.sessions
