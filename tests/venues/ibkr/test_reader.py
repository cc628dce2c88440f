"""Reads over the embedded exchange's TWS: what is held, what is open, and what became of orders together."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.kit.adapters.ibkr import VALUES, Connection, Exchange, Message, desk, intent, made, scripted, usual
from tests.kit.values import there as known
from tests.venues.ibkr.test_orders import cancel, said
from tradebot.errors import OperatorError, TemporaryError
from tradebot.model.candidate import Purpose, Side
from tradebot.model.intent import Operation
from tradebot.model.order import Executed, Fee, Fill, OrderStatus, OrderType
from tradebot.model.venue import End
from tradebot.venues.ibkr.prices import details_of, listing
from tradebot.venues.ibkr.reader import read

LONG_AGO = datetime(2026, 11, 1, tzinfo=UTC)


def trades(one: Connection, there: Exchange, side: Side, quantity: int = 2) -> str:
    """Trade at the market, and return our mark."""
    asked = intent(side, order_type=OrderType.MARKET, limit_price=None, quantity=Decimal(quantity), at=there.now)
    made(one.orders.submit(asked))
    there.passes(120)
    return asked.client_order_id


def test_filled_without_its_executions_is_filled_at_a_price_they_will_tell(one: Connection, there: Exchange) -> None:
    there.trouble("missing_rows", request="activities")
    asked = intent(order_type=OrderType.MARKET, limit_price=None, at=there.now)
    made(one.orders.submit(asked))
    there.passes(120)
    proof = one.reader.end_of(asked, [], there.now)
    order = known(proof.order)
    assert (proof.end, order.status, order.filled_average_price) == (End.OVER, OrderStatus.FILLED, None)
    there.calm()
    assert known(one.reader.end_of(asked, [], there.now).order).filled_average_price
    trades(one, there, Side.SELL)


def test_a_row_cut_short_is_counted_as_unreadable(one: Connection, there: Exchange) -> None:
    trades(one, there, Side.BUY)
    there.trouble("truncated_json", request="positions")
    view = one.reader.view()
    assert view.positions == ()
    assert view.unreadable > 0
    there.calm()
    one.reader.view()
    assert one.reader.view().unreadable == 0
    trades(one, there, Side.SELL)


def test_two_orders_with_one_mark_are_a_finding_and_the_newest_counts(one: Connection) -> None:
    asked = intent()
    first, second = made(one.orders.submit(asked)), made(one.orders.submit(asked))
    assert first.venue_id != second.venue_id
    assert known(one.reader.order(asked.client_order_id)).venue_id == second.venue_id
    assert [text for text in one.findings if "orderRef" in text and second.venue_id in text]
    for order in (first, second):
        one.orders.cancel(cancel(order.venue_id))


@pytest.mark.parametrize(
    ("purpose", "operation", "end"),
    [
        (Purpose.OPEN, Operation.SUBMIT, End.UNKNOWN),
        (Purpose.CLOSE, Operation.SUBMIT, End.OVER),
        (Purpose.PROTECT, Operation.SUBMIT, End.OVER),
        (Purpose.CLOSE, Operation.REPLACE, End.UNKNOWN),
    ],
)
def test_absence_on_another_day_proves_nothing_of_an_entry_and_that_an_exit_is_over(
    one: Connection, there: Exchange, purpose: Purpose, operation: Operation, end: End
) -> None:
    asked = intent(at=there.now - timedelta(days=1), purpose=purpose, operation=operation)
    assert one.reader.end_of(asked, [], there.now).end is end


def test_listings_are_the_venues_and_leave_out_what_it_does_not_have(one: Connection, there: Exchange) -> None:
    listed = one.reader.listings(["ESZ6", "ESH7", "QQQ"])
    assert set(listed) == {"ESZ6", "ESH7"}
    es = listed["ESZ6"]
    assert (es.instrument.multiplier, es.ticks[0].tick, es.minimum) == (Decimal(50), Decimal("0.25"), Decimal(1))
    assert (str(es.last_trading_day), es.instrument.underlying, es.read_at) == ("2026-12-18", "ES", there.now)


def test_quotes_stream_and_what_has_none_is_rejected_with_words(one: Connection) -> None:
    found = one.reader.quotes(["ESZ6", "QQQ"])
    assert set(found) == {"ESZ6"}
    assert one.reader.rejected_quotes == {"QQQ": "QQQ isn't listed"}
    quote = found["ESZ6"]
    assert 0 < quote.bid <= quote.last <= quote.ask
    assert one.reader.quotes_again(["ESZ6"])["ESZ6"].bid == quote.bid


def test_a_clock_an_hour_off_is_the_venues_own(one: Connection, there: Exchange) -> None:
    there.trouble({"clock_skew": "1h"}, request="clock")
    assert one.reader.clock().now - there.now == timedelta(hours=1)


def executed(**changes: object) -> Message:
    """Return an execution as it is on the wire."""
    named: dict[str, object] = {
        "orderId": 1, "conId": 1, "symbol": "ES", "secType": "FUT", "last": "20261218", "strike": 0, "right": "",
        "multiplier": 50, "exchange": "CME", "currency": "USD", "localSymbol": "ESZ6", "tradingClass": "ES",
        "execId": "0000e0d5.6.01.01", "time": "20261116 01:00:00 UTC", "account": "DU1", "at": "CME", "side": "BOT",
        "shares": 2, "price": 5000.25, "permId": 11, "clientId": 9102, "liquidation": 0, "cumQty": 2,
        "avgPrice": 5000.25, "orderRef": "tb1.x", "evRule": "", "evMultiplier": "", "model": "", "liquidity": 1,
        "revised": 0,
    }  # fmt: skip
    return (11, "REQ", *{**named, **changes}.values())


def commission(exec_id: str, amount: object, currency: str = "USD") -> Message:
    """Return a commission as it is on the wire."""
    return (59, 1, exec_id, amount, currency, 0, 0, 0)


def telling(*messages: Message) -> Any:
    """Return a Gateway's answers: these executions, and the usual ones."""

    def answer(fields: Sequence[str]) -> list[Message]:
        if fields[0] != "7":
            return usual(fields)
        return [*(tuple(fields[2] if one == "REQ" else one for one in row) for row in messages), (55, 1, fields[2])]

    return answer


@pytest.mark.parametrize("listed", ["both", "the newest alone"])
def test_a_correction_tells_what_its_execution_is_now(listed: str) -> None:
    later = executed(execId="0000e0d5.6.01.03", price=5001.25, shares=1)
    rows = (executed(), later) if listed == "both" else (later,)
    with scripted(telling(*rows, commission("0000e0d5.6.01.03", 4.5))) as gateway, desk(gateway.port) as one:
        (fill,) = one.reader.fills(None)
        first = (Decimal("5000.25"), Decimal(2)) if listed == "both" else (Decimal("5001.25"), Decimal(1))
        assert (fill.activity_id, fill.price, fill.quantity) == ("0000e0d5.6.01", *first)
        told = {row.id: row for row in one.reader.activities(LONG_AGO)}
        assert told.keys() == {"correction:0000e0d5.6.01.0003", "fee:0000e0d5.6.01"}
        now = told["correction:0000e0d5.6.01.0003"]
        assert (now.quantity, now.price, now.net_amount) == (Decimal(1), Decimal("5001.25"), Decimal(0))
        assert now.corrects is not None
        assert now.corrects.fill_id == fill.activity_id
        assert now.corrects.earlier == ("correction:0000e0d5.6.01.0002",)
        assert now.corrects.later[0] == "correction:0000e0d5.6.01.0004"
        assert now.words == "correction ESZ6 of 2026-11-16, which is 1 at 5001.25 now"
        assert not one.findings, "a correction is understood"


def test_a_commission_that_has_not_come_is_unknown_and_one_in_another_currency_is_no_cash_of_ours() -> None:
    rows = (executed(), executed(execId="0000e0d5.7.01.01"), commission("0000e0d5.7.01.01", 3, "EUR"))
    with scripted(telling(*rows)) as gateway, desk(gateway.port) as one:
        assert [fill.fee for fill in one.reader.fills(None)] == [Fee(None), Fee(None)]
        assert list(one.reader.activities(LONG_AGO)) == []
        assert "currency is not USD: EUR" in one.findings


@pytest.mark.parametrize(
    "changes",
    [{"price": 0}, {"price": -1}, {"shares": 0}, {"side": "X"}, {"execId": "one"}, {"time": "20261116 01:00:00"}],
)
def test_an_execution_that_is_none_or_has_no_time_zone_is_counted_and_left_out(changes: dict[str, object]) -> None:
    with scripted(telling(executed(**changes))) as gateway, desk(gateway.port) as one:
        assert list(one.reader.fills(None)) == []
        assert one.reader.unreadable_fills == 1


def test_an_execution_without_an_order_is_a_fill_and_no_order_is_proven_by_it() -> None:
    asked = intent()
    mine = executed(orderRef=asked.client_order_id)
    with scripted(telling(mine)) as gateway, desk(gateway.port) as one:
        assert [fill.venue_order_id for fill in one.reader.fills(None)] == ["11"]
        assert one.reader.end_of(asked, [], asked.at + timedelta(hours=1)).end is End.UNKNOWN


@pytest.mark.parametrize("name", ["NetLiquidation", "PreviousDayEquityWithLoanValue", "InitMarginReq"])
def test_a_figure_of_the_account_that_is_missing_is_never_zero(name: str) -> None:
    def answer(fields: Sequence[str]) -> list[Message]:
        return [one for one in usual(fields) if name not in one]

    assert name in VALUES
    with scripted(answer) as gateway, desk(gateway.port) as one, pytest.raises(OperatorError, match=name):
        one.reader.account()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(1, 6, "REQ", kind, 0, 1, 0) for kind in (1, 2, 4)], "not above zero"),
        ([(1, 6, "REQ", kind, -1, 1, 0) for kind in (1, 2, 4)], "not above zero"),
        ([(1, 6, "REQ", kind, 5000, 1, 0) for kind in (66, 67, 68)], "delayed"),
        ([(4, 2, "REQ", 354, "Requested market data is not subscribed", "")], "not subscribed"),
    ],
)
def test_prices_of_zero_or_below_delayed_prices_and_refused_ones_are_told(rows: list[Message], words: str) -> None:
    def answer(fields: Sequence[str]) -> list[Message]:
        if fields[0] == "1":
            return [tuple(fields[2] if one == "REQ" else one for one in row) for row in rows]
        return list(said()(fields))

    with scripted(answer) as gateway, desk(gateway.port) as one:
        assert one.reader.quotes(["ESZ6"]) == {}
        assert words in one.reader.rejected_quotes["ESZ6"]


def test_positions_that_cannot_be_read_leave_nothing_known() -> None:
    def answer(fields: Sequence[str]) -> list[Message]:
        if fields[0] == "61":
            named = ("DU1", 1, "ES", "FUT", "20261218", 0, "", "x", "CME", "USD", "ESZ6", "ES")
            return [(61, 3, *named, 2, 250_000), (62, 1)]
        return usual(fields)

    with scripted(answer) as gateway, desk(gateway.port) as one:
        assert one.reader.view().unreadable == 1
        with pytest.raises(TemporaryError):
            one.reader.position("ESZ6")


def test_a_contract_whose_hours_cannot_be_read_or_whose_tick_has_changed_is_doubtful(one: Connection) -> None:
    details = known(one.reader._read(lambda line: details_of(line, "ESH7")))
    now = one.reader.clock().now
    listed = listing(details, now, ())
    assert listed.doubt == ""
    assert listed.hours is not None
    assert listed.hours.tells(now)
    unreadable = listing(replace(details, tradingHours="20261126:2500-1600"), now, ())
    assert unreadable.hours is None
    assert unreadable.doubt.startswith("ES: trading hours can't be read: ")
    assert listing(replace(details, minTick=0.5), now, ()).doubt == "ES: tick 0.5, not 0.25"


ROW = {
    "assetCategory": "FUT",
    "symbol": "MESZ6",
    "multiplier": "5",
    "levelOfDetail": "EXECUTION",
    "quantity": "-2",
    "buySell": "SELL",
    "tradePrice": "5993.25",
    "dateTime": "20261130;181900",
    "ibCommission": "-1.24",
    "ibCommissionCurrency": "USD",
    "ibExecID": "0000e0d5.1.01.01",
    "ibOrderID": "17",
    "orderReference": "tb1.it",
}


def statement(*rows: dict[str, str], account: str = "U1", before: str = "") -> bytes:
    fields = (" ".join(f'{name}="{value}"' for name, value in (ROW | row).items()) for row in rows)
    told = "".join(f"<Trade {one}/>" for one in fields)
    return f'{before}<Flex><FlexStatement accountId="{account}"><Trades>{told}</Trades></FlexStatement></Flex>'.encode()


def test_execution_has_its_order_its_fee_and_its_time_in_utc() -> None:
    at, fee = datetime(2026, 11, 30, 23, 19, tzinfo=UTC), Fee(Decimal("1.24"))
    fill = Fill("0000e0d5.1.01", "17", "MESZ6", Side.SELL, Decimal(2), Decimal("5993.25"), at, Decimal(5), fee)
    others = {"levelOfDetail": "ORDER", "ibExecID": ""}, {"assetCategory": "STK"}
    assert read(statement({}, *others), "U1") == (Executed(fill, "tb1.it"),)


def test_execution_counts_as_it_was_last_corrected() -> None:
    rows = {"ibExecID": "a.1.02", "tradePrice": "2"}, {"ibExecID": "a.1.01", "tradePrice": "1"}
    assert [one.fill.price for one in read(statement(*rows), "U1")] == [2]


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"no xml", "syntax error"),
        (statement({}, account="U2"), "has no statement of account"),
        (statement({"dateTime": "11/30/2026;181900"}), "isn't yyyyMMdd"),
        (statement({"tradePrice": "NaN"}), "tradePrice"),
        (statement({"buySell": "SELL (Ca.)"}), "neither BUY nor SELL"),
        (statement({"ibExecID": ""}), "ibExecID is missing"),
        (statement({}, before='<!DOCTYPE a [<!ENTITY b "b">]>'), "declares entities"),
    ],
)
def test_statement_that_cannot_be_understood_whole_is_refused(file: bytes, why: str) -> None:
    with pytest.raises(OperatorError, match=why):
        read(file, "U1")
