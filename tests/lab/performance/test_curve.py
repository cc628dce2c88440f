"""The curve beside a benchmark and cash: each begins at 1, and a day without a price is no return of zero."""

from datetime import timedelta
from math import prod

import pytest

from tests.kit.trades import past, sessions, spy
from tradebot.lab.performance.curve import BenchmarkPrices, Rates, drawdowns, frame, points, years
from tradebot.lab.performance.returns import Path, account_steps
from tradebot.model.evidence import DatedRate
from tradebot.model.struct_tools import replace

COUNT = 60
DAYS = [session.date for session in sessions(COUNT)][1:]


def way(count: int = COUNT) -> Path:
    return account_steps(past(1, count), [], sessions(count))


def test_benchmark_starts_at_the_first_open_and_is_leveled_with_cash() -> None:
    prices, rates = spy(2, COUNT), Rates(0.05)
    curve = points(way(), frame(way(), prices, rates, [0.25] * COUNT))
    assert (curve[0].index, curve[0].benchmark, curve[0].benchmark_leveled, curve[0].cash) == (1, 1, 1, 1)
    assert curve[-1].benchmark == pytest.approx(prices.closes[DAYS[-1]] / prices.opens[DAYS[0]])
    assert curve[-1].cash == pytest.approx(1.05 ** (COUNT / 252))
    before = [prices.opens[DAYS[0]], *(prices.closes[day] for day in DAYS[:-1])]
    returns = [prices.closes[day] / price - 1 for day, price in zip(DAYS, before, strict=True)]
    daily = 1.05 ** (1 / 252) - 1
    assert curve[-1].benchmark_leveled == pytest.approx(prod(1 + 0.25 * each + 0.75 * daily for each in returns))
    assert curve[-1].index == pytest.approx(float(curve[-1].equity_usd / curve[0].equity_usd))


def test_cash_earns_each_days_rate_and_borrowing_costs_more() -> None:
    change = DAYS[20]
    rates = Rates(0.99, (DatedRate(DAYS[0], 0.01), DatedRate(change, 0.05)), 0.02)
    assert [rates.on(day) for day in (DAYS[0] - timedelta(1), DAYS[19], change, DAYS[-1])] == [0.01, 0.01, 0.05, 0.05]
    prices = spy(2, COUNT)
    curve = points(way(), frame(way(), prices, rates, [1.5] * COUNT))
    assert curve[20].cash == pytest.approx(1.01 ** (20 / 252))
    assert curve[-1].cash == pytest.approx(1.01 ** (20 / 252) * 1.05 ** ((COUNT - 20) / 252))
    before = [prices.opens[DAYS[0]], *(prices.closes[day] for day in DAYS[:-1])]
    returns = [prices.closes[day] / price - 1 for day, price in zip(DAYS, before, strict=True)]
    costs = [(1.03 if day < change else 1.07) ** (1 / 252) - 1 for day in DAYS]
    leveled = prod(1 + 1.5 * each - 0.5 * cost for each, cost in zip(returns, costs, strict=True))
    assert curve[-1].benchmark_leveled == pytest.approx(leveled)
    constant = Rates(0.03, (), 0.02)
    assert constant.cash_interest(DAYS[:2], 0.02) == pytest.approx(1.05 ** (2 / 252) - 1)
    assert rates.cash_interest(()) == constant.cash_interest(()) == 0
    fixed = rates._replace(borrowing_yearly=0.07)
    assert fixed.borrowing_cost(DAYS[:2]) == pytest.approx(1.07 ** (2 / 252) - 1), (
        "an account with a fixed rate pays that"
    )


def test_return_of_a_day_without_price_moves_to_the_next_day() -> None:
    prices = spy(2, COUNT)
    holed = replace(prices, closes={day: price for day, price in prices.closes.items() if day != DAYS[10]})
    whole, lacking = (points(way(), frame(way(), each, Rates())) for each in (prices, holed))
    assert lacking[11].benchmark is None
    assert lacking[12].benchmark == pytest.approx(whole[12].benchmark)


def test_without_prices_there_is_no_benchmark() -> None:
    curve = points(way(), frame(way(), BenchmarkPrices("SPY"), Rates(), [0.5] * COUNT))
    assert {point.benchmark for point in curve} == {None} == {point.benchmark_leveled for point in curve}
    assert {point.cash for point in curve} == {1.0}
    assert points(Path(None, (), (), ()), frame(way(), BenchmarkPrices("SPY"), Rates())) == ()


def test_leveled_benchmark_is_missing_without_a_known_exposure() -> None:
    curve = points(way(), frame(way(), spy(2, COUNT), Rates()))
    assert {point.benchmark_leveled for point in curve} == {None}
    assert curve[-1].benchmark is not None


def test_months_compound_to_years_and_years_to_the_total() -> None:
    long = way(300)
    curve = points(long, frame(long, spy(2, 300), Rates()))
    found = years(long, frame(long, spy(2, 300), Rates()))
    assert [year.year for year in found] == [2025, 2026]
    assert [month.month for month in found[0].months] == list(range(1, 13))
    assert sum(month.sessions for year in found for month in year.months) == 300
    for year in found:
        assert year.value == pytest.approx(prod(1 + (month.value or 0) for month in year.months) - 1)
    assert curve[-1].index == pytest.approx(prod(1 + (year.value or 0) for year in found))
    assert curve[-1].benchmark == pytest.approx(prod(1 + (year.benchmark or 0) for year in found))
    assert found[-1].months[-1].value is None


def test_a_drawdown_has_its_dates() -> None:
    long = way(300)
    curve = points(long, frame(long, BenchmarkPrices("SPY"), Rates()))
    found = drawdowns(curve, 3)
    assert (len(found), found[0].depth) == (3, min(point.drawdown for point in curve))
    index = {point.session: point.index for point in curve}
    for fall in found:
        assert index[fall.trough] / index[fall.from_session] - 1 == pytest.approx(fall.depth)
        assert fall.recovered is None or index[fall.recovered] >= index[fall.from_session]
