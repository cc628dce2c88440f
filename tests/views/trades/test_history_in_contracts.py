"""Contracts are worth what as many shares are as their multiplier says: every amount in USD is the same."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import make_intent, make_order
from tests.kit.trades import rotated, sessions
from tests.kit.values import CASH, NOW, SESSION, VENUE_DAY, ago
from tests.model.test_position import histories
from tests.views.trades.test_fees import fee
from tradebot.lab.performance.activity import exposures
from tradebot.lab.performance.reporting import report_trades
from tradebot.lab.performance.returns import account_steps
from tradebot.model.instrument import ONE
from tradebot.model.position import EntryTerms, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.model.trade import OrderSent
from tradebot.views.trades.days import MarketTime
from tradebot.views.trades.history import History
from tradebot.views.trades.pieces import break_down_profit
from tradebot.views.trades.tax import tax_year
from tradebot.views.trades.tax_lots import Method
from tradebot.views.trades.trade_row import Choice
from tradebot.views.trades.trades import rows_of

D = Decimal
MARKET = MarketTime([SESSION])


def as_shares(fills: Iterable[OwnedFill]) -> list[OwnedFill]:
    """Return fills of as many shares as the contracts stand for."""
    return [
        replace(owned, fill=replace(fill, quantity=fill.quantity * fill.multiplier, multiplier=ONE))
        for owned in fills
        for fill in [owned.fill]
    ]


def past(fills: Iterable[OwnedFill]) -> History:
    """Return a past in which every trade has a stop, and every order was decided on at a midpoint."""
    every, intent = tuple(fills), replace(make_intent(), decision_mid=D("101.5"))
    sent = OrderSent(replace(make_order(), client_order_id=intent.client_order_id), (intent,))
    orders = {one.fill.venue_order_id: sent for one in every}
    kept = EntryTerms(best=D(150), worst=D(50), stop_loss_fraction=D("0.05"))
    keys = {(one.strategy, one.fill.symbol, one.fill.at): kept for one in every}
    return History(
        "ACCT", "sandbox", VENUE_DAY, ago(86_400), CASH, every, (fee("-1.23"),), sent=orders, kept=keys, at=NOW,
        marks={"AAPL": D(99), "MSFT": D("98.5")},
    )  # fmt: skip


def trades(of: History) -> list[object]:
    rows = rows_of(of, MARKET, by_lot=True)
    return [
        [
            (row.gross_usd, row.fees_usd, row.net_usd, row.open_usd, row.risk_usd, row.r, row.best and row.best.usd)
            for row in rows.trades
        ],
        [[one.total for one in row.slippage] for row in rows.trades],
        [(lot.gross_usd, lot.fees_usd, lot.net_usd, lot.open_usd) for lot in rows.lots],
        [
            (row.gross_usd, row.net_usd, row.fraction and round(row.fraction, 9))
            for row in report_trades(of, Choice())[0]
        ],
    ]


def profit(of: History) -> list[object]:
    known = break_down_profit(of)
    return [[(piece.kind, piece.usd) for piece in known.pieces], [end.value_usd for end in known.ends]]


def taxes(of: History) -> list[object]:
    rows = tax_year(of, NOW.year, Method.HIFO).rows
    return [(row.proceeds_usd, row.basis_usd, row.adjustment_usd, row.gain_usd, row.fees_usd) for row in rows]


@pytest.mark.parametrize("figures", [trades, profit, taxes])
@given(fills=histories(""))
def test_contracts_earn_and_cost_as_their_shares_do(figures: Callable[[History], Any], fills: list[OwnedFill]) -> None:
    assert figures(past(fills)) == figures(past(as_shares(fills)))


@given(multiplier=st.sampled_from(["50", "0.5", "0.001"]))
def test_contracts_are_as_much_exposure_as_their_shares(multiplier: str) -> None:
    days, whole = sessions(20), rotated(1, 20)
    contracts = tuple(
        replace(one, fill=replace(one.fill, quantity=one.fill.quantity / D(multiplier), multiplier=D(multiplier)))
        for one in whole.fills
    )
    shares, others = (
        exposures(of, account_steps(of, [], days), MarketTime(days)) for of in (whole, replace(whole, fills=contracts))
    )
    assert shares is not None
    assert others is not None
    assert [each.net for each in others] == pytest.approx([each.net for each in shares])
    assert any(each.gross for each in shares)
