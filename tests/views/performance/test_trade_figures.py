"""Figures of trades: none from too few, and their counts always."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.builders import NOW
from tradebot.model.values import replace
from tradebot.views.performance.report import Figure, TradeRow
from tradebot.views.performance.reporting import A_SAMPLE, OF_EACH, trade_figures


def trade(net: str) -> TradeRow:
    return TradeRow(
        id="abc",
        strategy="flow",
        symbol="AAPL",
        side="long",
        opened_at=NOW,
        closed_at=NOW + timedelta(hours=2),
        quantity=Decimal(10),
        entry_price=Decimal(100),
        exit_price=Decimal(101),
        gross_usd=Decimal(net) + 1,
        fees_usd=Decimal(-1),
        net_usd=Decimal(net),
        fraction=0.01,
        r=None,
        reasons=(),
        entry_score=None,
    )


def figures(*nets: str) -> dict[str, Figure]:
    return {each.name: each for each in trade_figures([trade(net) for net in nets])}


def test_three_trades_know_nothing_and_say_how_much_it_takes() -> None:
    found = figures("10", "-5", "0")
    assert {name: (each.value, each.observations, each.needed, each.note) for name, each in found.items()} == {
        "win_rate": (None, 3, A_SAMPLE, "1 of 3 won"),
        "payoff": (None, 1, OF_EACH, "1 winning"),
        "profit_factor": (None, 1, OF_EACH, "1 winning"),
        "mean_profit": (None, 3, A_SAMPLE, ""),
        "median_holding": (7200.0, 3, 1, ""),
    }
    assert figures()["median_holding"].value is None


def test_with_enough_trades_there_are_averages_and_intervals() -> None:
    found = figures(*["30"] * 10, *["-10"] * 20)
    assert found["win_rate"].value == pytest.approx(1 / 3)
    assert found["payoff"].value == pytest.approx(3)
    assert found["profit_factor"].value == pytest.approx(1.5)
    # 10 times 30 less 20 times 10 is 100, over 30 trades.
    mean = found["mean_profit"]
    assert mean.value == pytest.approx(100 / 30)
    assert mean.low is not None
    assert mean.high is not None
    # The squares add up to 11,000, and Student's t with 29 degrees of freedom is 2.0452.
    half = 2.0452 * ((11_000 - 30 * (100 / 30) ** 2) / 29 / 30) ** 0.5
    assert mean.high - mean.low == pytest.approx(2 * half, rel=1e-4)


def test_a_trade_is_won_after_fees_and_an_open_one_doesn_t_count() -> None:
    # Before fees it made half a dollar.
    rows = [trade("-0.5"), replace(trade("100"), closed_at=None)]
    found = {each.name: each for each in trade_figures(rows)}
    assert found["win_rate"].note == "0 of 1 won"
