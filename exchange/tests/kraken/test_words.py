"""What became of an order is in its status: each word of acceptance and refusal, and errors inside HTTP 200."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from exchange.tests.kit.app import folders_of
from exchange.tests.kit.kraken import PEPE, V3, XBT, KrakenExchange, spec
from exchange.tests.kit.ring import PERPETUAL, Ring
from papervenue.market.venue import Grid
from papervenue.refusal import Refusal
from papervenue.state import read_market, write_market
from papervenue.times import to_datetime

PERPETUAL_GRID = Grid(PERPETUAL)


def test_market_order_is_placed_and_tells_its_executions(desk: KrakenExchange) -> None:
    status = desk.send(size="0.5", cliOrdId="one")
    assert (status["status"], status["cliOrdId"]) == ("placed", "one")
    (event,) = status["orderEvents"]
    assert (event["type"], event["amount"], event["orderPriorExecution"]["filled"]) == ("EXECUTION", 0.5, 0)
    assert event["price"] == desk.v3(f"tickers/{XBT}")["ticker"]["ask"]


def test_resting_order_and_waiting_stop_tell_how_they_were_placed(desk: KrakenExchange) -> None:
    (placed,) = desk.send("lmt", limitPrice=80_000, cliOrdId="rests")["orderEvents"]
    assert (placed["type"], placed["order"]["cliOrdId"], placed["order"]["limitPrice"]) == ("PLACE", "rests", 80_000)
    desk.send(size="0.5")
    status = desk.send(
        "stp", "sell", "0.7", stopPrice=85_000, triggerSignal="mark", reduceOnly="true", cliOrdId="guard"
    )
    (placed,) = status["orderEvents"]
    trigger = placed["orderTrigger"]
    # It is made smaller than asked for, because the position is.
    assert (trigger["uid"], trigger["quantity"], placed["reducedQuantity"]) == (status["order_id"], 0.5, 0.2)
    assert (trigger["triggerPrice"], trigger["triggerSignal"], trigger["triggerSide"]) == (
        85_000,
        "mark_price",
        "trigger_below",
    )
    rests, guard = desk.v3("openorders")["openOrders"]
    assert (rests["orderType"], rests["unfilledSize"], rests["status"]) == ("lmt", 0.1, "untouched")
    assert (guard["orderType"], guard["stopPrice"], guard["triggerSignal"]) == ("stop", 85_000, "mark")
    assert "unfilledSize" not in guard
    assert "limitPrice" not in guard


@pytest.mark.parametrize(
    ("word", "order"),
    [
        ("invalidOrderType", {"kind": "iceberg"}),
        ("wouldNotReducePosition", {"kind": "take_profit", "stopPrice": 95_000, "reduceOnly": "true"}),
        ("invalidSide", {"side": "long"}),
        ("invalidSize", {"size": "0.00005"}),
        ("invalidSize", {"size": "0"}),
        ("invalidSize", {"size": "NaN"}),
        ("invalidPrice", {"kind": "lmt", "limitPrice": "80000.25"}),
        ("invalidPrice", {"kind": "lmt", "limitPrice": "-1"}),
        ("invalidPrice", {"kind": "lmt"}),
        ("invalidPrice", {"kind": "stp"}),
        ("insufficientAvailableFunds", {"size": "50"}),
        ("clientOrderIdTooLong", {"cliOrdId": "x" * 101}),
        ("clientOrderIdAlreadyExist", {"cliOrdId": "taken"}),
        ("postWouldExecute", {"kind": "post", "limitPrice": 99_000}),
        ("iocWouldNotExecute", {"kind": "ioc", "limitPrice": 80_000}),
        ("wouldNotReducePosition", {"side": "sell", "reduceOnly": "true"}),
        ("wouldNotReducePosition", {"kind": "stp", "side": "sell", "stopPrice": 85_000, "reduceOnly": "true"}),
    ],
)
def test_order_that_is_not_taken_says_why(desk: KrakenExchange, word: str, order: dict[str, object]) -> None:
    assert desk.send("lmt", limitPrice=80_000, cliOrdId="taken")["status"] == "placed"
    status = desk.send(**order)  # type: ignore[arg-type]
    (event,) = status["orderEvents"]
    assert (status["status"], event["type"]) == (word, "REJECT")
    assert "order_id" not in status
    assert len(desk.engine.main.orders) == 1
    assert desk.world.logged("order_rejected")[-1]["sendStatus"]["status"] == word


def test_page_shows_orders_that_were_refused_and_why(desk: KrakenExchange) -> None:
    desk.send("post", size="0.2", limitPrice=99_000)
    desk.post("sendorder", orderType="mkt", symbol="PF_NONEUSD", side="sell", size="1")
    second, first = desk.world.get("/exchange/v1/page")["ended_orders"]
    assert [first[name] for name in ("side", "symbol", "type", "qty", "limit", "status", "reason")] == [
        *("buy", XBT, "post", "0.2", "99000", "refused", "postWouldExecute")
    ]
    assert (second["side"], second["reason"]) == ("sell", "invalidArgument: symbol")


@pytest.mark.parametrize(("collar", "beyond"), [(None, "0.5"), (Decimal("0.1"), "0.1")])
def test_limit_across_the_spread_is_refused_outside_the_collar_around_the_mark(
    collar: Decimal | None, beyond: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = folders_of(spec((XBT,), cash=10_000_000, collar=collar), tmp_path_factory)()
    desk = KrakenExchange(folder)
    desk.world.tick(seconds=3600)
    mark, away = Decimal(str(desk.v3(f"tickers/{XBT}")["ticker"]["markPrice"])), Decimal(beyond)
    highest, lowest = int(mark * (1 + away)), int(mark * (1 - away)) + 1
    for side, limit, status in (
        ("buy", highest + 1, "outsidePriceCollar"),
        ("buy", highest, "placed"),
        ("sell", lowest - 1, "outsidePriceCollar"),
        ("sell", lowest, "placed"),
        ("buy", 9_200, "placed"),
        ("sell", 920_000, "placed"),
    ):
        assert desk.send("lmt", side, limitPrice=limit)["status"] == status
    stop = desk.send("stp", "sell", "0.1", stopPrice=80_000, limitPrice=10_000, reduceOnly="false")
    assert stop["status"] == "placed", "it doesn't cross the spread yet"


def test_market_of_the_second_edition_has_a_collar_only_if_it_is_set(fresh: Callable[[], Path]) -> None:
    folder = fresh()
    write_market(folder, read_market(folder)._replace(edition=2))
    assert KrakenExchange(folder).send("lmt", size="0.01", limitPrice=920_000)["status"] == "placed"


def test_position_has_a_size_that_it_may_not_exceed(tmp_path_factory: pytest.TempPathFactory) -> None:
    desk = KrakenExchange(folders_of(spec((XBT,), cash=10_000_000), tmp_path_factory)())
    most = Decimal(str(desk.v3("instruments")["instruments"][0]["maxPositionSize"]))
    assert desk.send(size=most + Decimal("0.0001"))["status"] == "maxPositionViolation"
    assert desk.send(size=most)["status"] == "placed"
    assert desk.send(size="0.0001")["status"] == "maxPositionViolation"
    assert desk.send(side="sell", size="0.0001")["status"] == "placed"


def test_halted_market_is_suspended(desk: KrakenExchange) -> None:
    desk.world.arm("halt_symbol", symbol=XBT)
    assert desk.send()["status"] == "marketSuspended"
    assert desk.v3(f"tickers/{XBT}")["ticker"]["suspended"] is True
    assert desk.send(symbol=PEPE, size=1_000_000)["status"] == "placed"


def test_client_id_is_free_again_once_its_order_has_ended(desk: KrakenExchange) -> None:
    first = desk.send(cliOrdId="again")["order_id"]
    assert desk.send(cliOrdId="again")["status"] == "placed"
    assert desk.post("cancelorder", order_id=first)["cancelStatus"]["status"] == "filled"


def test_cancel_says_whether_there_was_anything_to_cancel(desk: KrakenExchange) -> None:
    rests = desk.send("lmt", limitPrice=80_000, cliOrdId="rests")["order_id"]
    filled = desk.send()["order_id"]
    for order, word in (
        ({"cliOrdId": "rests"}, "cancelled"),
        ({"order_id": rests}, "notFound"),
        ({"order_id": filled}, "filled"),
        ({"order_id": "3c1f6d5e-0000-4000-8000-000000000000"}, "notFound"),
    ):
        assert desk.post("cancelorder", **order)["cancelStatus"]["status"] == word


def test_cancel_on_its_way_is_only_attempted(desk: KrakenExchange) -> None:
    desk.engine.latency_us = 1_000_000
    rests = desk.send("lmt", limitPrice=80_000)["order_id"]
    assert desk.post("cancelorder", order_id=rests)["cancelStatus"]["status"] == "attempted"
    desk.world.tick(seconds=2)
    assert desk.post("cancelorder", order_id=rests)["cancelStatus"]["status"] == "notFound"


def test_all_orders_or_those_of_a_symbol_are_cancelled_stops_too(desk: KrakenExchange) -> None:
    desk.send(size="0.5")
    stop = desk.send("stp", "sell", "0.5", stopPrice=85_000, reduceOnly="true")["order_id"]
    other = desk.send("lmt", symbol=PEPE, size=1_000_000, limitPrice="0.000003")["order_id"]
    one = desk.post("cancelallorders", symbol=PEPE)["cancelStatus"]
    assert ([row["order_id"] for row in one["cancelledOrders"]], one["cancelOnly"]) == ([other], "pf_pepeusd")
    both = desk.post("cancelallorders")["cancelStatus"]
    assert ([row["order_id"] for row in both["cancelledOrders"]], both["status"]) == ([stop], "cancelled")
    assert desk.post("cancelallorders")["cancelStatus"]["status"] == "noOrdersToCancel"


def test_request_that_comes_too_late_is_refused(desk: KrakenExchange) -> None:
    now = to_datetime(desk.engine.now_us)
    late = {"processBefore": (now - timedelta(seconds=1)).isoformat()}
    reply = desk.post("sendorder", orderType="mkt", symbol=XBT, side="buy", size="0.1", **late)
    assert (reply["result"], reply["error"].partition(":")[0]) == ("error", "requestTimeout")
    assert not desk.engine.main.orders
    assert desk.send(processBefore=(now + timedelta(seconds=1)).isoformat())["status"] == "placed"


@pytest.mark.parametrize(
    ("error", "changed"),
    [
        ("requiredArgumentMissing: side", {"side": ""}),
        ("invalidArgument: symbol", {"symbol": "PF_NONEUSD"}),
        ("invalidArgument: triggerSignal", {"triggerSignal": "moon"}),
        ("invalidArgument: processBefore", {"processBefore": "soon"}),
    ],
)
def test_request_that_cannot_be_read_is_an_error_inside_success_of_http(
    desk: KrakenExchange, error: str, changed: dict[str, str]
) -> None:
    order = {"orderType": "mkt", "symbol": XBT, "side": "buy", "size": "0.1"} | changed
    answer = desk.ask("POST", f"{V3}/sendorder", **order)
    assert (answer.status, answer.json["result"], answer.json["error"]) == (200, "error", error)


def test_post_only_order_rests_and_is_filled_at_its_limit_as_maker(desk: KrakenExchange) -> None:
    bid = desk.v3(f"tickers/{XBT}")["ticker"]["bid"]
    order = desk.send("post", size="0.01", limitPrice=bid)["order_id"]
    desk.world.tick(seconds=3600)
    fill = next(one for one in desk.v3("fills")["fills"] if one["order_id"] == order)
    assert (fill["price"], fill["fillType"]) == (bid, "maker")


def test_post_only_order_that_a_market_runs_over_gets_no_better_price() -> None:
    ring = Ring({0: "100", 10: "95"}, cash="1000", to=1)
    for post_only in (True, False):
        ring.order("buy", 1, limit="97", post_only=post_only)
    ring.to(12)
    assert [PERPETUAL_GRID.usd(one.price) for one in ring.fills] == [97, 95]
    assert [one.settled and one.settled.role for one in ring.fills] == ["maker", "taker"]
    with pytest.raises(Refusal) as refused:
        ring.order("sell", 1, post_only=True)
    assert refused.value.body["code"] == "unsupported_type"


def test_stop_at_the_mark_does_not_see_the_extremes_of_a_minute(desk: KrakenExchange) -> None:
    """Find a minute whose low is below both its open and its close, and put one stop of each kind between them."""
    market, index = desk.engine.market, 0
    bars = [bar for bar in market.day(XBT, index).bars if bar.start_us >= desk.engine.now_us]
    units, low = market.grids[XBT].units, float("inf")
    for bar in bars:
        body = min(bar.open, bar.close)
        if bar.low < body - units and bar.low < low - units:
            stop = max(bar.low, min(low, body) - units) if low != float("inf") else body - units
            if bar.low <= stop < min(low, body):
                break
        low = min(low, bar.low)
    desk.send(size="1")
    price = Decimal(stop) / units
    marked, last = (
        desk.send("stp", "sell", "0.5", stopPrice=price, triggerSignal=signal, reduceOnly="true")["order_id"]
        for signal in ("mark", "last")
    )
    desk.world.tick(seconds=(bar.end_us - desk.engine.now_us) // 1_000_000)
    assert [row["order_id"] for row in desk.v3("openorders")["openOrders"]] == [marked]
    assert desk.engine.main.orders[last].status == "filled"
