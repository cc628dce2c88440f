"""A position that was moved is one story and a trade for each of its contracts.

Contracts are worth what as many shares are as their multiplier says: every amount in USD is the same.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.trades.tax import sales_of_year
from tests.kit.rows import make_intent, make_order
from tests.kit.trades import rotated, sessions, tax_history
from tests.kit.values import CASH, NOW, SESSION, VENUE_DAY, ago, fill
from tests.model.test_position import histories
from tests.views.trades.test_fees import fee
from tradebot.lab.performance.activity import exposures
from tradebot.lab.performance.backtest_result import backtest_result
from tradebot.lab.performance.further import cautions
from tradebot.lab.performance.reporting import report_trades, trade_figures
from tradebot.lab.performance.returns import account_steps
from tradebot.model.candidate import Purpose, Side
from tradebot.model.instrument import ONE
from tradebot.model.position import EntryTerms, OwnedFill
from tradebot.model.record import SessionEnd
from tradebot.model.struct_tools import replace
from tradebot.model.trade import OrderSent
from tradebot.views.trades.days import MarketTime
from tradebot.views.trades.history import History, group_by_story, links
from tradebot.views.trades.pieces import break_down_profit
from tradebot.views.trades.pnl import ProfitGrouping, pnl
from tradebot.views.trades.tax import tax_year
from tradebot.views.trades.tax_lots import Method
from tradebot.views.trades.trade_row import Choice
from tradebot.views.trades.trades import rows_of

FILLS = (
    fill(1, "ESM6", price="100", at=ago(900), multiplier="50"),
    fill(2, "ESM6", Side.SELL, price="99", at=ago(600), multiplier="50"),
    fill(3, "ESU6", price="103", at=ago(590), multiplier="50"),
    fill(4, "ESU6", Side.SELL, price="105", at=ago(300), multiplier="50"),
    fill(5, "ESU6", price="104", at=ago(200), multiplier="50"),
    fill(6, "ESU6", Side.SELL, price="104", at=ago(100), multiplier="50"),
)


def moved(fills: tuple[OwnedFill, ...] = FILLS, why: str = "rolled_into_ESU6") -> History:
    close = make_order("venue-2"), replace(make_intent(), why=why, purpose=Purpose.CLOSE)
    return tax_history(fills, sent={"venue-2": OrderSent(close[0], (close[1],))}, at=NOW)


def test_trades_of_a_moved_position_name_each_other_and_their_story() -> None:
    rows = rows_of(moved(), MarketTime(())).trades
    first = rows[0].id
    assert [(row.symbol, row.story, row.moved_from, row.moved_into) for row in rows] == [
        ("ESM6", first, "", "ESU6"),
        ("ESU6", first, "ESM6", ""),
        ("ESU6", "", "", ""),
    ]


def test_a_trade_that_was_not_moved_into_the_next_stands_alone() -> None:
    for why in ("stop_loss(-2%)", "rolled_into_ESZ6", "its own words"):
        assert not any(row.story for row in rows_of(moved(why=why), MarketTime(())).trades)
    tomorrow = (*FILLS[:2], *(replace(f, fill=replace(f.fill, at=f.fill.at + timedelta(days=1))) for f in FILLS[2:]))
    other = tuple(
        replace(f, fill=replace(f.fill, side=Side.SELL if f.fill.side is Side.BUY else Side.BUY)) for f in FILLS[2:]
    )
    for fills in (tomorrow, (*FILLS[:2], *other)):
        assert links(rows_of(moved(fills), MarketTime(())).trades, VENUE_DAY) == {}


def test_report_and_backtest_count_a_moved_position_once_and_its_amounts_stay() -> None:
    history = moved()
    rows, _ = report_trades(history, Choice())
    assert [len(story) for story in group_by_story(rows, VENUE_DAY)] == [2, 1]
    # It lost 500 in the first contract and made 1,000 in the second.
    assert [row.net_usd for row in rows] == [Decimal(-500), Decimal(1000), Decimal(0)]
    found = {each.name: each for each in trade_figures(rows, VENUE_DAY)}
    assert (found["win_rate"].note, found["median_holding"].value) == ("1 of 2 won", 350)
    still, _ = report_trades(moved(FILLS[:3]), Choice())
    assert trade_figures(still, VENUE_DAY)[0].observations == 0
    cash, rolled = Decimal(100_000), history.rolled_positions
    ends = [SessionEnd(NOW.date(), cash, NOW, {}, None)]
    assert [backtest_result(cash, ends, FILLS, (), (), moved=of).trades for of in ((), rolled)] == [3, 2]


def test_each_cut_counts_a_moved_position_once_where_it_ended() -> None:
    known = break_down_profit(moved())
    by_symbol = {row.name: row.trades_closed for row in pnl(known, ProfitGrouping.SYMBOL).rows}
    assert (by_symbol["ESM6"], by_symbol["ESU6"], pnl(known, ProfitGrouping.SYMBOL).total.trades_closed) == (0, 2, 2)
    assert pnl(break_down_profit(moved(FILLS[:3])), ProfitGrouping.SYMBOL).total.trades_closed == 0
    assert pnl(break_down_profit(moved(why="stop_loss(-2%)")), ProfitGrouping.SYMBOL).total.trades_closed == 3


def test_contract_that_was_left_is_no_trade_even_if_only_that_contract_is_shown() -> None:
    history, only = moved(), Choice(symbol="ESM6")
    rows, _ = report_trades(history, only)
    found = trade_figures(rows, VENUE_DAY, history.rolled_positions)[0].observations
    assert (found, pnl(break_down_profit(history), ProfitGrouping.SYMBOL, only).total.trades_closed) == (0, 0)
    assert next(cautions([0.0] * 252, (), rows, None, moved=history.rolled_positions)).startswith(
        "These figures are from only 0 closed"
    )


def test_tax_has_a_sale_in_each_contract_and_names_the_move() -> None:
    data = sales_of_year(moved(), NOW.year, "fifo")
    assert [(row.symbol, row.gain_usd) for row in data.rows] == [
        ("ESM6", Decimal(-500)),
        ("ESU6", Decimal(1000)),
        ("ESU6", Decimal(0)),
    ]
    (said,) = [note for note in data.notes if "moved" in note]
    assert said.startswith(f"ESM6 was moved into ESU6 on {ago(600):%Y-%m-%d}")
    assert not [note for note in sales_of_year(moved(), NOW.year, "fifo", symbol="ESU6").notes if "moved" in note]


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
