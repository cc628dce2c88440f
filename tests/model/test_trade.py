"""Trades: one for each position from its first fill to its last, with the profit that the fills add up to."""

from decimal import Decimal

import pytest
from hypothesis import given

from tests.kit.core.scene import Scene
from tests.kit.values import NOW, ago, fill
from tests.model.test_position import histories
from tests.reconciliation.test_activity_booking import activity, buy, happens, holding
from tradebot.model.candidate import Component, Side
from tradebot.model.instrument import notional
from tradebot.model.order import Fill
from tradebot.model.position import FOREIGN, EntryTerms, Origin, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.trade import Trade
from tradebot.views.trades.lots import trades

D = Decimal


def mirrored(owned: OwnedFill) -> OwnedFill:
    return replace(owned, fill=replace(owned.fill, side=Side.SELL if owned.fill.side is Side.BUY else Side.BUY))


@given(fills=histories())
def test_trades_add_up_to_the_positions_and_the_realized_profit_of_the_books(fills: list[OwnedFill]) -> None:
    found = trades(fills)
    for key, position in Totals.of(fills).positions.items():
        own = [trade for trade in found if (trade.strategy, trade.symbol) == key]
        held = [trade.open_quantity for trade in own]
        assert (sum(held), sum(t.realized_before_fees_usd for t in own)) == (position.quantity, position.realized_pnl)
        assert [trade.closed_at for trade in own if trade.closed_at is None] == [None] * bool(position.quantity)
        assert [t.opened_at for t in own if t.closed_at is None] == [position.entered_at] * bool(position.quantity)


@given(fills=histories())
def test_a_closed_trade_made_what_its_average_prices_differ_by(fills: list[OwnedFill]) -> None:
    for trade in trades(fills):
        if trade.closed_at is not None:
            assert trade.exit_price is not None
            gain = trade.exit_price - trade.entry_price
            made = notional(trade.quantity * trade.side.sign, gain, trade.multiplier)
            assert abs(made - trade.realized_before_fees_usd) < D("1e-9")
            assert trade.closed_quantity == trade.quantity


@given(fills=histories())
def test_a_short_makes_what_its_mirrored_long_loses(fills: list[OwnedFill]) -> None:
    assert trades(map(mirrored, fills)) == tuple(
        replace(
            trade,
            side=Side.SELL if trade.side is Side.BUY else Side.BUY,
            realized_before_fees_usd=-trade.realized_before_fees_usd,
        )
        for trade in trades(fills)
    )


def test_parts_in_and_out_are_one_trade_and_buying_again_is_another() -> None:
    fills = [
        fill(1, quantity="10", price="100"),
        fill(2, quantity="5", price="103"),
        fill(3, side=Side.SELL, quantity="6", price="110"),
        fill(4, side=Side.SELL, quantity="9", price="90"),
        fill(5, quantity="1", price="95"),
    ]
    first, again = trades([*fills, replace(fill(6), strategy=FOREIGN)])
    assert first == Trade(
        strategy="flow",
        symbol="AAPL",
        side=Side.BUY,
        opened_at=fills[0].fill.at,
        closed_at=fills[3].fill.at,
        quantity=D(15),
        closed_quantity=D(15),
        entry_price=D(101),
        exit_price=D(98),
        realized_before_fees_usd=D(-45),
        exit_orders=("venue-3", "venue-4"),
        reasons=(),
        entry_score=None,
        components=(),
        best=None,
        worst=None,
    )
    assert (again.opened_at, again.closed_at, again.quantity, again.exit_price) == (fills[4].fill.at, None, D(1), None)


def test_a_trade_has_what_the_books_keep_of_its_position() -> None:
    flow = Component("flow", 0.5, 0.4, "sweeps")
    kept = EntryTerms(best=D(110), worst=D(99), entry_score=0.42, components=(flow,))
    (trade,) = trades([fill(1)])
    trade = trade.with_kept(kept)
    assert (trade.best, trade.worst, trade.entry_score, trade.components) == (D(110), D(99), 0.42, (flow,))


def sold(scene: Scene, quantity: str, price: str, symbol: str = "AAPL") -> None:
    """Let a part of the position be closed, just before the activities of these tests."""
    held = scene.ledger.totals().positions["flow", symbol].quantity
    side = Side.SELL if held > 0 else Side.BUY
    told = Fill("out", "venue-out", symbol, side, D(quantity), D(price), ago(290))
    scene.ledger.apply_fills([OwnedFill("flow", told)], NOW)
    scene.venue.held[symbol] += told.signed_quantity
    scene.venue.cash -= told.signed_quantity * told.price


@pytest.mark.parametrize("side", [1, -1])
def test_a_split_changes_the_shares_of_a_trade_and_not_its_money(side: int) -> None:
    scene = holding(str(10 * side))
    sold(scene, "4", "110")
    assert happens(scene, activity("SPLIT", quantity=str(6 * side)), averages={"AAPL": "50"}).findings == ()
    (trade,) = trades(scene.ledger.fills())
    assert (trade.quantity, trade.closed_quantity, trade.opened_at) == (D(20), D(8), ago(300))
    assert (trade.entry_price, trade.exit_price, trade.realized_before_fees_usd) == (D(50), D(55), D(40 * side))


def test_a_fraction_that_a_split_left_was_sold_at_what_the_broker_paid() -> None:
    scene = holding("5")
    rows = (activity("SPLIT", quantity="-3"), activity("SPLIT", net="95", number=2))
    happens(scene, *rows, averages={"AAPL": "200"})
    (trade,) = trades(scene.ledger.fills())
    assert (trade.quantity, trade.closed_quantity) == (D("2.5"), D("0.5"))
    assert (trade.entry_price, trade.exit_price) == (D(200), D(190))
    assert trade.realized_before_fees_usd == -5


@pytest.mark.parametrize("side", [1, -1])
def test_a_renamed_position_is_one_trade_with_all_that_was_before(side: int) -> None:
    scene = holding(str(10 * side))
    buy(scene, 2, str(5 * side), "103")
    sold(scene, "6", "110")
    gone = activity("NC", quantity=str(-9 * side), sub="SNC")
    come = activity("NC", "PEAR", str(9 * side), sub="SNC", number=2)
    assert happens(scene, gone, come).findings == ()
    (trade,) = trades(scene.ledger.fills())
    assert (trade.symbol, trade.quantity, trade.closed_quantity, trade.opened_at) == ("PEAR", D(15), D(6), ago(300))
    assert (trade.entry_price, trade.exit_price, trade.realized_before_fees_usd) == (D(101), D(110), D(60 * side))


def test_a_split_after_a_new_name_is_still_of_one_trade() -> None:
    scene = holding("10")
    happens(
        scene,
        activity("NC", quantity="-10", sub="SNC"),
        activity("NC", "PEAR", "10", sub="SNC", number=2),
    )
    split = replace(activity("SPLIT", "PEAR", "10", number=3), at=ago(100))
    assert happens(scene, split, averages={"PEAR": "50"}).findings == ()
    (trade,) = trades(scene.ledger.fills())
    assert (trade.symbol, trade.quantity, trade.entry_price, trade.opened_at) == ("PEAR", D(20), D(50), ago(300))


def test_a_buyout_closes_a_trade_at_its_price_without_an_order() -> None:
    scene = holding("10")
    happens(scene, activity("MA", quantity="-10", net="1300", price="130", sub="CMA"))
    (trade,) = trades(scene.ledger.fills())
    assert (trade.closed_at, trade.exit_price, trade.realized_before_fees_usd) == (ago(240), D(130), D(300))
    assert (trade.exit_orders, scene.ledger.fills()[-1].origin) == ((), Origin.ACTIVITY)


def test_shares_that_a_plan_adds_were_bought_at_its_prices() -> None:
    added = [replace(fill(number, price="112"), origin=Origin.PLAN, about="plan-1") for number in (2, 3)]
    (trade,) = trades([fill(1, price="100"), *added])
    assert (trade.quantity, trade.entry_price) == (D(30), D(108))
