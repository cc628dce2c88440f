"""A whole report: its laws, and what it says when it knows next to nothing.

Whether a result can be told from luck: each sentence follows its interval.
"""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from math import isfinite, sqrt
from statistics import stdev
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from tests.kit.trades import CASH, known, past, rotated, sessions, spy
from tests.kit.values import NOW, VENUE_DAY, cash_movement, there
from tradebot.lab.performance.chance import deflate_sharpe
from tradebot.lab.performance.curve import BenchmarkPrices
from tradebot.lab.performance.report import AccountReport, Block, Figure, FigureUnit, ReportedTrade
from tradebot.lab.performance.reporting import (
    A_SAMPLE,
    OF_EACH,
    ReportMaterial,
    account_report,
    luck,
    names_of,
    trade_figures,
    transfers,
)
from tradebot.lab.performance.return_figures import Returns
from tradebot.model.evidence import Trials
from tradebot.model.position import Origin
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay
from tradebot.views.trades.history import History


def trade(net: str, number: int = 0) -> ReportedTrade:
    usual = {"id": f"trade-{number}", "strategy": "flow", "symbol": "AAPL", "side": "long", "opened_at": NOW}
    prices = {"quantity": Decimal(10), "entry_price": Decimal(100), "exit_price": Decimal(101)}
    usd = {"gross_usd": Decimal(net) + 1, "fees_usd": Decimal(-1), "net_usd": Decimal(net)}
    rest: Any = {"closed_at": NOW + timedelta(hours=2), "fraction": 0.01, "r": None, "reasons": (), "entry_score": None}
    return ReportedTrade(**{**usual, **prices, **usd, **rest})


def figures(*nets: str) -> dict[str, Figure]:
    trades = [trade(net, number) for number, net in enumerate(nets)]
    return {each.name: each for each in trade_figures(trades, VENUE_DAY)}


def test_trade_figures_of_few_trades_say_how_many_it_takes() -> None:
    found = figures("10", "-5", "0")
    assert {name: (each.value, each.observations, each.needed, each.note) for name, each in found.items()} == {
        "win_rate": (None, 3, A_SAMPLE, "1 of 3 won"),
        "payoff": (None, 1, OF_EACH, "1 winning"),
        "profit_factor": (None, 1, OF_EACH, "1 winning"),
        "mean_profit": (None, 3, A_SAMPLE, ""),
        "median_holding": (7200.0, 3, 1, ""),
    }
    assert figures()["median_holding"].value is None


def test_trade_figures_of_enough_trades_have_averages_and_intervals() -> None:
    found = figures(*["30"] * 10, *["-10"] * 20)
    assert found["win_rate"].value == pytest.approx(1 / 3)
    assert found["payoff"].value == pytest.approx(3)
    assert found["profit_factor"].value == pytest.approx(1.5)
    # 10 times 30 less 20 times 10 is 100, over 30 trades.
    mean = found["mean_profit"]
    assert mean.value == pytest.approx(100 / 30)
    # The squares add up to 11,000, and Student's t with 29 degrees of freedom is 2.0452.
    half = 2.0452 * ((11_000 - 30 * (100 / 30) ** 2) / 29 / 30) ** 0.5
    assert there(mean.high) - there(mean.low) == pytest.approx(2 * half, rel=1e-4)


def test_trade_is_won_after_fees_and_open_ones_do_not_count() -> None:
    # Before fees it made half a dollar.
    rows = [trade("-0.5"), replace(trade("100", 1), closed_at=None)]
    found = {each.name: each for each in trade_figures(rows, VENUE_DAY)}
    assert found["win_rate"].note == "0 of 1 won"


COUNT = 70


def reported(history: History, count: int = COUNT, benchmark: BenchmarkPrices | None = None) -> AccountReport:
    return account_report(ReportMaterial("a", history, sessions(count), benchmark or spy(2, count), 0.04))


def numbers(value: object) -> Iterator[float]:
    """Yield each float of a report."""
    if isinstance(value, float):
        yield value
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield from numbers(getattr(value, name))
    elif isinstance(value, tuple):
        for each in value:
            yield from numbers(each)


def test_every_part_of_the_report_shows_the_same_profit() -> None:
    found = reported(past(1, COUNT))
    made = sum(trade.net_usd for trade in found.trades)
    assert found.earned.profit_usd == made == found.curve[-1].equity_usd - CASH
    assert {cut.by: cut.total_usd for cut in found.cuts} == dict.fromkeys(
        ("strategy", "symbol", "reason", "component", "hour"), made
    )
    for cut in found.cuts:
        assert (sum(row.total_usd for row in cut.rows), sum(row.trades for row in cut.rows)) == (made, COUNT)
    assert (found.sessions, found.missing, found.benchmark) == (COUNT, (), "SPY")
    assert found.returns[0].value == pytest.approx(float(made / CASH))


@settings(max_examples=10)
@given(st.integers(1, 999), st.integers(0, 80))
def test_report_contains_no_nan(seed: int, count: int) -> None:
    history = past(seed, count) if count else History("1", "sandbox", VENUE_DAY, sessions(1)[1].open, CASH)
    assert [each for each in numbers(reported(history, max(count, 1))) if not isfinite(each)] == []


def test_deposit_changes_no_profit_and_no_return() -> None:
    plain, at = past(1, COUNT), sessions(COUNT)[10].open
    deposit = cash_movement(at, CASH, "CSD", Origin.ACTIVITY, "", "a deposit")
    # Twice as much is there from then on, so the same profits are half the returns.
    known = [(end, end.equity) for end in plain.ends if end.equity]
    ends = [replace(end, equity=equity + CASH * (end.session >= at.date())) for end, equity in known]
    found, before = reported(replace(plain, cash=(deposit,), ends=tuple(ends))), reported(plain)
    assert (found.earned.profit_usd, found.earned.transfers_usd) == (before.earned.profit_usd, CASH)
    assert [point.index for point in found.curve][:11] == pytest.approx([point.index for point in before.curve][:11])
    moved = [point for point in found.curve if point.transfers_usd]
    assert [(point.session, point.transfers_usd) for point in moved] == [(at.date(), CASH)]
    assert abs(found.curve[-1].index - 1) < abs(before.curve[-1].index - 1)
    assert "Deposits and withdrawals are not returns." in " ".join(found.assumptions[Block.CURVE])


def test_adoption_is_no_transfer_in_returns() -> None:
    moved = [
        cash_movement(sessions(2)[1].open, Decimal(100), kind, origin, "", "")
        for kind, origin in (("CSD", Origin.ACTIVITY), ("", Origin.ADOPTION), ("DIV", Origin.ACTIVITY))
    ]
    assert [each.amount_usd for each in transfers(replace(past(1, 2), cash=tuple(moved)))] == [100]


def test_report_of_three_trades_says_what_each_figure_needs() -> None:
    found = reported(past(1, 3), 3)
    assert {each.name for each in found.returns if each.value is not None} == {"total_return", "max_drawdown"}
    assert found.unknown == (
        "There are 3 closed trades; it takes 30 for win rate and mean profit.",
        "There are no losing trades; it takes 10 for payoff and profit factor.",
        "There are 3 session returns; it takes 8 for mean session return, 21 for volatility, 63 for Sharpe ratio, PSR, "
        "MinTRL and Sortino ratio, 252 for CAGR and Calmar ratio.",
    )


def test_report_of_new_books_says_that_no_session_is_known() -> None:
    found = reported(History("1", "paper", VENUE_DAY, None, CASH), 1)
    said = "No session's equity is known in this span, so there is no curve and no return. Next: tradebot serve"
    assert found.unknown[0] == said
    assert (found.curve, found.years, found.drawdowns, found.trades) == ((), (), (), ())


def test_missing_sessions_are_named_and_lower_the_returns_per_year() -> None:
    whole = past(1, COUNT)
    found = reported(replace(whole, ends=(*whole.ends[:20], *whole.ends[22:])))
    assert found.missing == (whole.ends[20].session, whole.ends[21].session)
    said = " ".join(found.assumptions[Block.RETURNS])
    assert "68 returns in 70 sessions, which makes 245 returns in a year of 252 sessions." in said
    assert f"2 sessions ({found.missing[0]} and {found.missing[1]}); the next return covers them too." in said


def test_venue_that_never_closes_has_365_sessions_in_a_year() -> None:
    whole, evidence = replace(rotated(1, 370), day=VenueDay("UTC")), replace(known(370), cash_rates=())
    found = account_report(ReportMaterial("state", whole, sessions(370), spy(2, 370), 0.05, evidence=evidence))
    values, equities = {each.name: each for each in found.returns}, [float(each.equity_usd) for each in found.curve]
    deviation = stdev(after / before for before, after in pairwise(equities))
    assert there(values["volatility"].value) == pytest.approx(deviation * sqrt(365))
    growth = 1 + there(values["total_return"].value)
    assert there(values["cagr"].value) == pytest.approx(growth ** (365 / 370) - 1)
    assert (values["cagr"].needed, found.further.rolling[0].needed) == (365, 730)
    assert found.curve[-1].cash == pytest.approx(1.05 ** (370 / 365))
    said = " ".join(text for texts in found.assumptions.values() for text in texts)
    for words in (
        "which makes 365 returns in a year of 365 sessions.",
        "A span of 365 sessions",
        "Each half year has 182 returns",
    ):
        assert words in said
    assert "These 1.0 years are one stretch of history." in " ".join(found.further.cautions)
    assert there(found.further.costs).after.value == values["cagr"].value
    assert found.further.windows[0].windows == 370 - 182 + 1
    assert there(found.further.chance).figures[0].value == pytest.approx(values["cagr"].value)


def test_without_prices_there_is_no_benchmark() -> None:
    found = reported(past(1, COUNT), benchmark=BenchmarkPrices("SPY"))
    assert found.benchmark is None
    assert {each.benchmark.value for each in found.comparisons} == {None}
    assert "SPY" not in " ".join(found.assumptions[Block.CURVE])


NAMES = names_of("6 coins", "6 coins at 12%")


def figure(name: str, low: float | None, high: float | None) -> Figure:
    return Figure(name, "", FigureUnit.FRACTION, 0.002, 10, 8, "session returns", low, high)


def test_difference_from_each_benchmark_is_told_apart_by_name() -> None:
    against = [figure("mean_difference", -0.01, 0.01), figure("mean_leveled", 0.001, 0.01), figure("beta", 0.0, 1.0)]
    told = list(luck(against, None, NAMES))
    assert told[0].startswith("Its mean difference from 6 coins is +0.200%")
    assert told[0].endswith("zero is within that, so luck alone may explain the difference.")
    assert "6 coins at 12%" in told[1]
    assert told[1].endswith("luck alone is unlikely to explain the difference.")
    assert len(told) == 2
    assert names_of(None, "") == {}


@pytest.mark.parametrize(("gain", "words"), [(0.0001, "not enough"), (0.01, ": enough")])
def test_selected_ratio_is_enough_from_the_usual_confidence_on(gain: float, words: str) -> None:
    returns = Returns([0.01 + gain, -0.01 + gain] * 50, 365, 0.0)
    (only,) = luck((), deflate_sharpe(returns, Trials(3)), NAMES)
    assert "what luck alone gives the best of 3 trials" in only
    assert words in only
