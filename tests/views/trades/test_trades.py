"""Round trips: each has its exits, fees, risk and slippage, and together they are what the account realized."""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import make_intent, make_order
from tests.kit.values import CASH, NOW, SESSION, VENUE_DAY, ago, cash_movement, fill
from tests.model.test_position import histories
from tests.model.test_trade import mirrored, sold
from tests.reconciliation.test_activity_booking import activity, happens, holding
from tests.views.trades.test_fees import fee
from tradebot.lab.performance.reporting import report_trades
from tradebot.model.candidate import Component, Purpose, Side
from tradebot.model.intent import Intent
from tradebot.model.order import Fee, fee_id
from tradebot.model.position import ADOPTED, FOREIGN, EntryTerms, Origin, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.model.trade import FilledOrder, OrderRequested, OrderSent, RestedStop, TradeNote
from tradebot.reconciliation.catch_up import reassign
from tradebot.views.slippage import total_slippage
from tradebot.views.trades.days import MarketTime
from tradebot.views.trades.history import NOT_OURS, History
from tradebot.views.trades.lots import trades
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
from tradebot.views.trades.trades import LETTERS, rows_of

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
    assert [[getattr(row, name) for name in SAME] for row in found] == [
        [getattr(row, name) for name in SAME] for row in rows
    ]
    assert slippage == tuple(
        total_slippage(list(column)) for column in zip(*(row.slippage for row in rows), strict=True)
    )


def test_report_leaves_out_trades_of_others() -> None:
    theirs = [OwnedFill(FOREIGN, fill(n, side=side).fill) for n, side in enumerate((Side.BUY, Side.SELL))]
    assert report_trades(past(theirs), Choice()) == ((), ())
