"""Lots: the pieces of positions, which add up to the trades, whatever was split or renamed meanwhile."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import NOW, ago, fill
from tests.model.test_position import histories
from tests.model.test_trade import sold
from tests.reconciliation.test_activity_booking import activity, buy, happens, holding
from tradebot.model.candidate import Side
from tradebot.model.position import FOREIGN, Origin, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.views.trades.lots import ClosedLot, OpenLot, lots_of, trades

D = Decimal


@st.composite
def hurried(draw: st.DrawFn) -> list[OwnedFill]:
    """Return fills of which many share their instant, as those of one order do."""
    fills, minute = draw(histories()), 0
    made = []
    for owned in fills:
        minute += draw(st.booleans())
        made.append(replace(owned, fill=replace(owned.fill, at=NOW + timedelta(minutes=minute))))
    return made


def either(closed: Sequence[ClosedLot], held: Sequence[OpenLot]) -> list[OpenLot]:
    return [*closed, *held]


def adds_up(fills: Sequence[OwnedFill], within: str = "0") -> None:
    """Assert that the pieces of each position are its trade, and what is held of it."""
    closed, held, trips, _ = lots_of(fills)
    for trade, gone, left in trips:
        lots = either(gone, left)
        assert ({lot.trade for lot in lots}, {lot.side for lot in lots}) == ({trade.key}, {trade.side})
        assert abs(sum((lot.gross_usd for lot in gone), D(0)) - trade.realized_before_fees_usd) <= D(within)
        assert sum((lot.quantity for lot in left), D(0)) * trade.side.sign == trade.open_quantity
        assert tuple(dict.fromkeys(lot.exit_order for lot in gone if lot.exit_order)) == trade.exit_orders
    assert trades(fills) == tuple(trip.trade for trip in trips)
    assert Counter(map(id, closed)) == Counter(id(lot) for trip in trips for lot in trip.closed)
    assert Counter(map(id, held)) == Counter(id(lot) for trip in trips for lot in trip.held)


@given(fills=st.one_of(histories(), hurried()))
def test_lots_add_up_to_their_trade(fills: list[OwnedFill]) -> None:
    adds_up(fills)
    realized = sum((position.realized_pnl for position in Totals.of(fills).positions.values()), D(0))
    assert sum((lot.gross_usd for lot in lots_of(fills).closed), D(0)) == realized
    assert all(lot.quantity > 0 for lot in either(*lots_of(fills)[:2]))


@given(fills=hurried())
def test_every_traded_share_is_in_exactly_one_lot(fills: list[OwnedFill]) -> None:
    used = defaultdict[str, Decimal](Decimal)
    for lot in lots_of(fills).closed:
        used[lot.entry_fill] += lot.quantity
        used[lot.exit_fill] += lot.quantity
    for piece in lots_of(fills).held:
        used[piece.entry_fill] += piece.quantity
    assert used == {owned.fill.activity_id: owned.fill.quantity for owned in fills}


def test_lots_close_first_in_first_out() -> None:
    fills = [
        fill(1, quantity="10", price="100"),
        fill(2, quantity="5", price="103"),
        fill(3, side=Side.SELL, quantity="12", price="110"),
        replace(fill(4), strategy=FOREIGN),
    ]
    first, second = lots_of(fills).closed
    assert (first.quantity, first.entry_price, first.entry_fill, first.gross_usd) == (D(10), D(100), "fill-1", D(100))
    assert (second.quantity, second.entry_price, second.entry_order) == (D(2), D(103), "venue-2")
    assert (second.opened_at, second.closed_at) == (fills[1].fill.at, fills[2].fill.at)
    assert (second.exit_price, second.exit_fill, second.exit_order) == (D(110), "fill-3", "venue-3")
    assert (second.origin, second.sold_usd, second.sold_at) == (Origin.VENUE, D(220), fills[2].fill.at)
    (left,) = lots_of(fills).held
    assert (left.quantity, left.entry_fill, left.cost_usd, left.trade) == (D(3), "fill-2", D(309), first.trade)


def test_fill_that_changes_sides_closes_one_trade_and_opens_the_next() -> None:
    fills = [fill(1, side=Side.SELL), fill(2, quantity="15", price="90")]
    (short,), (long,), (first, second), _ = lots_of(fills)
    assert (first[1:], second[1:]) == (([short], ()), ([], [long]))
    assert (short.side, short.gross_usd) == (Side.SELL, D(100))
    assert (short.sold_usd, short.sold_at) == (D(1000), fills[0].fill.at)
    assert (long.side, long.quantity, long.opened_at) == (Side.BUY, D(5), fills[1].fill.at)


@pytest.mark.parametrize("side", [1, -1])
def test_split_restates_each_lot_and_realizes_nothing(side: int) -> None:
    scene = holding(str(10 * side))
    buy(scene, 2, str(5 * side), "103")
    sold(scene, "4", "110")
    assert happens(scene, activity("SPLIT", quantity=str(11 * side)), averages={"AAPL": "50.68"}).findings == ()
    fills = scene.ledger.fills()
    adds_up(fills, within="1e-9")
    assert [(lot.quantity, lot.exit_order) for lot in lots_of(fills).closed] == [(D(4), "venue-out")]
    found = [(lot.quantity, lot.entry_price, lot.entry_fill, lot.opened_at) for lot in lots_of(fills).held]
    assert found == [(D(12), D(50), "fill-1", ago(300)), (D(10), D("51.5"), "fill-2", ago(300))]


def test_split_with_fractions_keeps_lots_apart() -> None:
    scene = holding("10")
    buy(scene, 2, "5", "103")
    assert happens(scene, activity("SPLIT", quantity="-10"), averages={"AAPL": "303"}).findings == ()
    found = [(lot.quantity, lot.entry_fill) for lot in lots_of(scene.ledger.fills()).held]
    assert found == [(D("3.333333333"), "fill-1"), (D("1.666666667"), "fill-2")]


def test_fraction_left_by_a_split_is_a_lot_closed_by_the_broker() -> None:
    scene = holding("5")
    rows = (activity("SPLIT", quantity="-3"), activity("SPLIT", net="95", number=2))
    happens(scene, *rows, averages={"AAPL": "200"})
    adds_up(scene.ledger.fills())
    (lot,) = lots_of(scene.ledger.fills()).closed
    assert (lot.quantity, lot.entry_price, lot.exit_price) == (D("0.5"), D(200), D(190))
    assert (lot.opened_at, lot.entry_fill, lot.origin, lot.exit_order) == (ago(300), "fill-1", Origin.ACTIVITY, "")


def test_renamed_lot_keeps_the_fill_that_bought_it() -> None:
    scene = holding("10")
    buy(scene, 2, "5", "103")
    sold(scene, "6", "110")
    happens(scene, activity("NC", quantity="-9", sub="SNC"), activity("NC", "PEAR", "9", sub="SNC", number=2))
    fills = scene.ledger.fills()
    adds_up(fills)
    assert {lot.symbol for lot in either(*lots_of(fills)[:2])} == {"PEAR"}
    assert [(lot.quantity, lot.entry_fill) for lot in lots_of(fills).held] == [(D(4), "fill-1"), (D(5), "fill-2")]
