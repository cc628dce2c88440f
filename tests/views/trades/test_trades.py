"""Round trips: each has its exits, fees, risk and slippage, and together they are what the account realized.

Lots: the pieces of positions, which add up to the trades, whatever was split or renamed meanwhile.
What a trade risked at first, and how far it went.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import make_intent, make_order
from tests.kit.values import CASH, NOW, SESSION, VENUE_DAY, ago, cash_movement, fill, trade
from tests.model.test_position import histories
from tests.model.test_trade import mirrored, sold
from tests.reconciliation.test_activity_booking import activity, buy, happens, holding
from tests.views.trades.test_fees import fee
from tradebot.lab.performance.reporting import report_trades
from tradebot.model.candidate import Component, Purpose, Side
from tradebot.model.intent import Intent
from tradebot.model.order import Fee, Fill, fee_id
from tradebot.model.position import ADOPTED, FOREIGN, EntryTerms, Origin, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.trade import FilledOrder, OrderRequested, OrderSent, RestedStop, Trade, TradeNote
from tradebot.reconciliation.catch_up import reassign
from tradebot.views.slippage import total_slippage
from tradebot.views.trades.days import MarketTime
from tradebot.views.trades.history import NOT_OURS, History
from tradebot.views.trades.lots import ClosedLot, OpenLot, lots_of, trades
from tradebot.views.trades.pieces import break_down_profit
from tradebot.views.trades.pnl import ProfitGrouping, pnl
from tradebot.views.trades.trade_row import (
    Choice,
    EntrySource,
    Excursion,
    RiskFrom,
    TradeRow,
    TradeStatus,
    select_rows,
    totals_of,
)
from tradebot.views.trades.trades import LETTERS, Risk, Stops, excursion, in_risks, initial_risk, rows_of

D = Decimal
MARKET = MarketTime([SESSION])


def past(fills: Iterable[OwnedFill], **changes: Any) -> History:
    usual = History("ACCT", "sandbox", VENUE_DAY, ago(86_400), CASH, tuple(fills), at=NOW + timedelta(minutes=30))
    return replace(usual, **changes)


def row_of(fills: Iterable[OwnedFill], **changes: Any) -> TradeRow:
    (row,) = rows_of(past(fills, **changes), MARKET).trades
    return row


BOUGHT = fill(0, price="100", at=ago(600))
SOLD = fill(2, side=Side.SELL, price="103")
KEY = ("flow", "AAPL", ago(600))


@given(histories(), st.lists(st.integers(-500, 0), max_size=3))
def test_trades_and_their_lots_are_what_was_realized_and_charged(fills: list[OwnedFill], cents: list[int]) -> None:
    fees = tuple(fee(str(D(one) / 100)) for one in cents)
    rows = rows_of(past(fills, cash=fees, marks={"AAPL": D(99), "MSFT": D(98)}), MARKET, by_lot=True)
    realized = sum((trade.realized_before_fees_usd for trade in trades(fills)), D(0))
    assert sum(row.gross_usd for row in rows.trades) == realized
    assert sum(lot.gross_usd or 0 for lot in rows.lots) == realized
    for name in ("fees_usd", "open_fees_usd"):
        of = [lot.fees_usd or 0 for lot in rows.lots if (lot.closed_at is None) == (name == "open_fees_usd")]
        assert sum(getattr(row, name) for row in rows.trades) == sum(of)
    assert totals_of(rows.trades).net_usd == sum(lot.net_usd or 0 for lot in rows.lots)
    assert sum(row.open_usd or 0 for row in rows.trades) == sum(lot.open_usd or 0 for lot in rows.lots)
    assert {lot.trade_id for lot in rows.lots} == {row.id for row in rows.trades}
    assert len({row.id for row in rows.trades}) == len(rows.trades)
    for row in rows.trades:
        assert (
            (row.status is TradeStatus.CLOSED) == (row.closed_at is not None) == (row.quantity == row.closed_quantity)
        )
        assert (row.open_usd is None) == (row.closed_at is not None)


def test_closed_trade_shows_everything_that_is_recorded() -> None:
    flow = Component("flow", 0.5, 0.4, "sweeps")
    kept = EntryTerms(best=D(105), worst=D(98), entry_score=0.42, components=(flow,), stop_loss_fraction=D("0.1"))
    row = row_of(
        [BOUGHT, SOLD],
        cash=(fee("-0.03"),),
        kept={KEY: kept},
        stops=(RestedStop("flow", "AAPL", Side.SELL, ago(590), D(98)),),
        notes={KEY: TradeNote(KEY, ("swing",), "the open", "ann", NOW)},
    )
    assert (row.side, row.status, row.opened_at, row.closed_at) == ("long", TradeStatus.CLOSED, ago(600), SOLD.fill.at)
    assert (row.gross_usd, row.fees_usd, row.net_usd, row.open_usd) == (D(30), D("-0.03"), D("29.97"), None)
    assert (row.risk_usd, row.risk_from, row.r) == (D(20), RiskFrom.RESTING, D("1.50"))
    assert row.best == Excursion(D(105), D("0.05"), D(50), D("2.5"))
    assert row.worst == Excursion(D(98), D("-0.02"), D(-20), D(-1))
    assert (row.entry_score, row.components, row.tags, row.note) == (0.42, (flow,), ("swing",), "the open")
    assert (row.held_s, row.market_s, len(row.id), row.key) == (602, 602, LETTERS, KEY)


def test_unknown_values_of_a_trade_are_none() -> None:
    row = row_of([BOUGHT, SOLD])
    assert (row.risk_usd, row.risk_from, row.r, row.best, row.worst, row.entry_score) == (None,) * 6
    assert (row.reasons, row.source) == (("unknown",), EntrySource.RECOVERED)
    assert [(one.total, one.known, one.of) for one in row.slippage] == [(None, 0, 0)] * 3
    held = row_of([BOUGHT], at=None)
    assert (held.held_s, held.market_s, held.open_usd, held.exit_price, held.last_exit_at) == (None,) * 5
    (row,) = rows_of(past([BOUGHT, SOLD]), MarketTime(())).trades
    assert (row.held_s, row.market_s) == (602, None)


def test_fee_that_is_not_known_yet_is_counted_and_leaves_its_lots_without_one() -> None:
    known = replace(BOUGHT, fill=replace(BOUGHT.fill, fee=Fee(D("1.25"))))
    unknown = replace(SOLD, fill=replace(SOLD.fill, quantity=D(4), fee=Fee(None)))
    rows = rows_of(past([known, unknown]), MARKET, by_lot=True)
    (row,), totals = rows.trades, totals_of(rows.trades)
    assert (row.fees_usd, row.net_usd, row.unknown_fees, totals.unknown_fees) == (D("-0.50"), D("11.50"), 1, 1)
    assert (row.open_fees_usd, totals.open_fees_usd) == (D("-0.75"), D("-0.75"))
    assert [(lot.fees_usd, lot.net_usd) for lot in rows.lots] == [(None, None), (D("-0.75"), None)]
    later = cash_movement(NOW, D("-0.25"), "FEE", Origin.ACTIVITY, fee_id(SOLD.fill.activity_id), "", "AAPL")
    after = rows_of(past([known, unknown], cash=(later,)), MARKET, by_lot=True)
    assert (after.trades[0].fees_usd, after.trades[0].unknown_fees) == (D("-0.75"), 0)
    assert [lot.fees_usd for lot in after.lots] == [D("-0.75"), D("-0.75")]


def test_fees_of_a_position_that_is_wholly_open_are_in_no_sum_of_what_is_closed() -> None:
    totals = totals_of([row_of([replace(BOUGHT, fill=replace(BOUGHT.fill, fee=Fee(D("11.52"))))])])
    assert (totals.closed, totals.fees_usd, totals.net_usd, totals.open_fees_usd) == (0, D(0), D(0), D("-11.52"))


@pytest.mark.parametrize("usd", [D("1.20"), None])
def test_liquidation_is_whole_with_its_fee_in_the_trades_whose_lots_it_closed(usd: Decimal | None) -> None:
    whole = fill(2, side=Side.SELL, quantity="12", price="90", strategy=FOREIGN, fee=Fee(usd))
    whole = replace(whole, fill=replace(whole.fill, liquidation=True))
    parts = [("flow", "10", ":0"), ("momentum", "1", ":1")]
    given = [one for owner, part, name in parts for one in reassign(owner, replace(whole.fill, quantity=D(part)), name)]
    history = past([BOUGHT, fill(1, strategy="momentum", at=ago(500)), whole, *given])
    rows, known = rows_of(history, MARKET, by_lot=True), break_down_profit(history)
    flow, momentum, held = rows.lots
    assert (flow.reason, flow.exit_fill, flow.fees_usd) == ("liquidation", whole.fill.activity_id, usd and D(-1))
    assert (momentum.reason, momentum.quantity, momentum.fees_usd) == ("liquidation", D(1), usd and D("-0.1"))
    assert ([row.unknown_fees for row in rows.trades], held.reason) == ([int(not usd)] * 2, "")
    assert {one.fill.activity_id for one in history.owned_fills} == {"fill-0", "fill-1", "fill-2"}
    # What nobody was given stays with others.
    assert [(lot.strategy, lot.quantity) for lot in history.lots.held if lot.side is Side.SELL] == [(NOT_OURS, D(1))]
    assert [row.name for row in pnl(known, ProfitGrouping.REASON).rows if row.realized_usd] == ["liquidation"]
    assert [pnl(known, ProfitGrouping.DAY, Choice(strategy=name)).unknown_fees for name in (None, "flow")] == [
        int(not usd)
    ] * 2
    assert known.ends[-1].value_usd == CASH - 11 * (100 - 90) - (usd or 0)


def test_partly_closed_trade_has_its_status_and_no_r() -> None:
    part = replace(SOLD, fill=replace(SOLD.fill, quantity=D(4)))
    row = row_of([BOUGHT, part], marks={"AAPL": D(101)}, kept={KEY: EntryTerms(stop_loss_fraction=D("0.02"))})
    assert (row.status, row.closed_at, row.last_exit_at) == (TradeStatus.PARTLY_CLOSED, None, SOLD.fill.at)
    assert (row.quantity, row.closed_quantity, row.gross_usd, row.open_usd) == (D(10), D(4), D(12), D(6))
    assert (row.risk_usd, row.r, row.held_s) == (D(20), None, 600 + 1800)


def test_best_and_worst_price_include_the_exits() -> None:
    stopped = replace(SOLD, fill=replace(SOLD.fill, price=D(94)))
    row = row_of([BOUGHT, stopped], kept={KEY: EntryTerms(best=D(101), worst=D(97))})
    assert (row.best and row.best.price, row.worst and row.worst.price) == (D(101), D(94))
    short = row_of([mirrored(BOUGHT), mirrored(SOLD)], kept={KEY: EntryTerms(best=D(99), worst=None)})
    assert (short.side, short.best and short.best.price, short.worst) == ("short", D(99), None)


def sent(venue_id: str, **changes: Any) -> dict[str, OrderSent]:
    intent: Intent = replace(make_intent(), **changes)
    order = replace(make_order(venue_id), client_order_id=intent.client_order_id, arrival_mid=D(101))
    return {venue_id: OrderSent(order, (intent,))}


def test_slippage_is_of_both_ends_and_counts_what_is_known_and_none_of_a_resting_exit() -> None:
    orders = sent("venue-0", decision_mid=D(99)) | sent("venue-2", decision_mid=None, why="trail_stop(-1%)")
    row = row_of([BOUGHT, SOLD], sent=orders)
    decision, send, arrival = row.slippage
    assert (decision.total and decision.total.usd, decision.known, decision.of) == (D(10), 1, 2)
    assert (send.total, arrival.total and arrival.total.usd) == (None, D(-30))
    assert (row.reasons, row.source) == (("trail_stop(-1%)",), EntrySource.BOT)
    orders |= sent("venue-2", decision_mid=D(104), purpose=Purpose.PROTECT)
    decision = row_of([BOUGHT, SOLD], sent=orders).slippage[0]
    assert (decision.total and decision.total.usd, decision.known, decision.of) == (D(10), 1, 1)


def test_fill_that_reverses_a_position_is_divided_between_both_trades() -> None:
    turn = fill(2, side=Side.SELL, quantity="25", price="103")
    long, short = rows_of(past([BOUGHT, turn], sent=sent("venue-2", decision_mid=D(104))), MARKET).trades
    assert [row.slippage[0].total and row.slippage[0].total.usd for row in (long, short)] == [D(10), D(15)]
    assert (short.quantity, short.side, long.r) == (D(15), "short", None)


@pytest.mark.parametrize(
    ("change", "source"),
    [
        ({"origin": Origin.ADOPTION, "strategy": ADOPTED}, EntrySource.ADOPTED),
        ({"strategy": ADOPTED}, EntrySource.ADOPTED),
        ({"origin": Origin.TAKEN_OVER}, EntrySource.TAKEN_OVER),
        ({"origin": Origin.PLAN}, EntrySource.PLAN),
        ({"origin": Origin.GIVEN_BACK}, EntrySource.GIVEN_BACK),
        ({}, EntrySource.RECOVERED),
    ],
)
def test_source_of_a_trade_says_who_opened_it(change: dict[str, Any], source: EntrySource) -> None:
    assert row_of([replace(BOUGHT, **change)]).source is source


@pytest.mark.parametrize("side", [1, -1])
def test_split_changes_no_id_risk_or_profit_of_a_trade(side: int) -> None:
    scene = holding(str(10 * side))
    sold(scene, "4", "110")
    key = ("flow", "AAPL", ago(300))
    against = Side.SELL if side > 0 else Side.BUY
    stops = (RestedStop("flow", "AAPL", against, ago(299), D(100 - 5 * side)),)
    before = row_of(scene.ledger.fills(), stops=stops)
    assert happens(scene, activity("SPLIT", quantity=str(6 * side)), averages={"AAPL": "50"}).findings == ()
    after = row_of(scene.ledger.fills(), stops=stops, kept={key: EntryTerms(best=D(56))})
    for row in (before, after):
        assert (row.risk_usd, row.gross_usd, row.id) == (D(50), D(40 * side), before.id)
    assert (after.quantity, after.closed_quantity, after.best and after.best.price) == (D(20), D(8), D(56))


def test_renamed_trade_keeps_its_id_stop_and_note() -> None:
    scene = holding("10")
    key = ("flow", "AAPL", ago(300))
    stops = (RestedStop("flow", "AAPL", Side.SELL, ago(299), D(95)),)
    notes = {key: TradeNote(key, (), "mine", "ann", NOW)}
    before = row_of(scene.ledger.fills(), stops=stops, notes=notes)
    happens(scene, activity("NC", quantity="-10"), activity("NC", "PEAR", "10", number=2))
    after = row_of(scene.ledger.fills(), stops=stops, notes=notes)
    assert (after.symbol, after.id, after.note, after.risk_usd) == ("PEAR", before.id, "mine", D(50))


def test_each_lot_has_its_own_reason_and_time() -> None:
    first = replace(SOLD, fill=replace(SOLD.fill, quantity=D(4)))
    second = fill(5, side=Side.SELL, quantity="6", price="99")
    orders = sent("venue-2", why="scale_out") | sent("venue-5", why="stop_loss")
    rows = rows_of(
        past([BOUGHT, first, second, fill(9, "MSFT")], sent=orders, marks={"MSFT": D(90)}), MARKET, by_lot=True
    )
    found = [(lot.symbol, lot.reason, lot.net_usd, lot.held_s, lot.open_usd) for lot in rows.lots]
    assert found == [
        ("AAPL", "scale_out", D(12), 602, None),
        ("AAPL", "stop_loss", D(-6), 605, None),
        ("MSFT", "", None, 1791, D(-100)),
    ]
    assert rows.trades[0].reasons == ("scale_out", "stop_loss")


SAME = ("id", "side", "closed_at", "entry_price", "exit_price", "gross_usd", "fees_usd", "net_usd", "reasons")


@given(histories(), st.sampled_from([None, "flow"]), st.sampled_from([None, "AAPL"]))
def test_report_has_the_rows_of_the_trades_verb(
    fills: list[OwnedFill], strategy: str | None, symbol: str | None
) -> None:
    sent = {
        each.fill.venue_order_id: OrderSent(
            FilledOrder(each.fill.activity_id, None, each.fill.price - 1),
            (
                OrderRequested(
                    each.fill.activity_id, each.fill.at, "flatten", False, None, each.fill.price + 1, each.fill.at
                ),
            ),
        )
        for each in fills
    }
    history, choice = past(fills, cash=(fee("-0.07"),), sent=sent), Choice(strategy=strategy, symbol=symbol)
    rows, (found, slippage) = (
        select_rows(rows_of(history, MARKET).trades, choice, VENUE_DAY),
        report_trades(history, choice),
    )
    for shown, row in zip(found, rows, strict=True):
        assert [getattr(shown, name) for name in SAME] == [getattr(row, name) for name in SAME]
    assert slippage == tuple(
        total_slippage(list(column)) for column in zip(*(row.slippage for row in rows), strict=True)
    )


def test_report_leaves_out_trades_of_others() -> None:
    theirs = [OwnedFill(FOREIGN, fill(n, side=side).fill) for n, side in enumerate((Side.BUY, Side.SELL))]
    assert report_trades(past(theirs), Choice()) == ((), ())


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
    for made, gone, left in trips:
        lots = either(gone, left)
        assert ({lot.trade for lot in lots}, {lot.side for lot in lots}) == ({made.key}, {made.side})
        assert abs(sum((lot.gross_usd for lot in gone), D(0)) - made.realized_before_fees_usd) <= D(within)
        assert sum((lot.quantity for lot in left), D(0)) * made.side.sign == made.open_quantity
        assert tuple(dict.fromkeys(lot.exit_order for lot in gone if lot.exit_order)) == made.exit_orders
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


OPPOSITE = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}


def stop(price: str, seconds_ago: float = 590, symbol: str = "AAPL", side: Side = Side.SELL) -> RestedStop:
    return RestedStop("flow", symbol, side, ago(seconds_ago), D(price))


FIRST_FILL = fill(1, at=ago(600)).fill


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, "95"), (Side.SELL, "105")])
def test_risk_is_the_distance_to_the_first_stop_for_all_shares(side: Side, price: str) -> None:
    one = trade(side)
    first = Stops([stop(price, side=OPPOSITE[side]), stop("99", 500, side=OPPOSITE[side])]).first_of(one, ["AAPL"])
    assert initial_risk(one, [FIRST_FILL], first, D("0.5")) == Risk(D(50), RiskFrom.RESTING)


HALVED, BOTH = trade(quantity="20", entry="50"), trade(quantity="20", entry="105")
MORE = fill(2, price="110", at=ago(100)).fill


SPLIT, ENTERED = ago(300), [FIRST_FILL]


@pytest.mark.parametrize(
    ("one", "fills", "first", "asked", "split", "risk"),
    [
        pytest.param(trade(), ENTERED, None, "0.02", None, Risk(D(20), RiskFrom.ENTRY), id="only the entry has a stop"),
        pytest.param(trade(), ENTERED, None, None, None, None, id="no stop is known"),
        pytest.param(trade(), ENTERED, stop("100"), "0.02", None, None, id="stop at the entry price"),
        pytest.param(trade(), ENTERED, stop("103"), "0.02", None, None, id="stop on the winning side"),
        pytest.param(
            BOTH, [*ENTERED, MORE], stop("95"), None, None, Risk(D(105), RiskFrom.RESTING), id="average price"
        ),
        pytest.param(HALVED, ENTERED, stop("95"), None, SPLIT, Risk(D(50), RiskFrom.RESTING), id="before a split"),
        pytest.param(HALVED, ENTERED, stop("45", 200), None, SPLIT, Risk(D(100), RiskFrom.RESTING), id="after a split"),
    ],
)
def test_risk_is_that_of_the_first_stop_or_unknown(
    one: Trade,
    fills: list[Fill],
    first: RestedStop | None,
    asked: str | None,
    split: datetime | None,
    risk: Risk | None,
) -> None:
    assert initial_risk(one, fills, first, D(asked) if asked else None, split) == risk


def test_stop_of_another_trade_is_ignored() -> None:
    theirs = RestedStop("other", "AAPL", Side.SELL, ago(500), D(95))
    others = [stop("95", 601), stop("95", -1), stop("95", symbol="MSFT"), stop("95", side=Side.BUY), theirs]
    assert [Stops([other]).first_of(trade(), ["AAPL"]) for other in others] == [None] * 5


def test_stop_is_found_under_a_former_symbol_of_an_open_trade() -> None:
    earlier, later = stop("95", 590, "PEAR"), stop("97", 580)
    assert Stops([earlier, later]).first_of(trade(), ["AAPL", "PEAR"]) == earlier
    assert Stops([stop("95", -60)]).first_of(trade(closed_at=None), ["AAPL"]) is not None


@pytest.mark.parametrize(("side", "fraction", "usd"), [(Side.BUY, "0.03", "30"), (Side.SELL, "-0.03", "-30")])
def test_excursion_has_fraction_usd_and_r(side: Side, fraction: str, usd: str) -> None:
    risk = Risk(D(20), RiskFrom.ENTRY)
    assert excursion(trade(side), D(103), risk) == Excursion(D(103), D(fraction), D(usd), D(usd) / 20)
    assert excursion(trade(side), D(103), None) == Excursion(D(103), D(fraction), D(usd), None)
    assert excursion(trade(side), None, risk) is None


def test_risk_of_an_average_price_has_limited_digits() -> None:
    risk = initial_risk(trade(quantity="3", entry=str(D(301) / 3)), [FIRST_FILL], None, D("0.01"))
    assert risk == Risk(D("3.01"), RiskFrom.ENTRY)
    assert str(risk.usd) == "3.01"
    assert in_risks(D(1), risk) == D("0.33")
