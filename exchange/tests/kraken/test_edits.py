"""An open order is changed in place, and a batch carries out what each of its commands says."""

import json
from typing import Any

import pytest

from exchange.tests.kit.kraken import PEPE, V3, XBT, KrakenExchange
from exchange.tests.kit.ring import Ring
from papervenue.engine import unsolicited
from papervenue.engine.orders import Replacement
from papervenue.refusal import Refusal


def rests(desk: KrakenExchange, **more: str) -> str:
    order: str = desk.send("lmt", limitPrice=80_000, **more)["order_id"]
    return order


def edit(desk: KrakenExchange, order: str, **changes: object) -> Any:
    return desk.post("editorder", orderId=order, **changes)["editStatus"]


def test_order_keeps_its_id_when_its_size_and_price_change(desk: KrakenExchange) -> None:
    order = rests(desk, cliOrdId="mine")
    status = edit(desk, order, size="0.2", limitPrice=81_000)
    (event,) = status["orderEvents"]
    assert (status["status"], status["orderId"], event["type"]) == ("edited", order, "EDIT")
    assert [(event[name]["quantity"], event[name]["limitPrice"]) for name in ("old", "new")] == [
        (0.1, 80_000),
        (0.2, 81_000),
    ]
    (row,) = desk.v3("openorders")["openOrders"]
    assert (row["order_id"], row["cliOrdId"], row["unfilledSize"], row["limitPrice"]) == (order, "mine", 0.2, 81_000)
    name, fields = desk.events("orders")[-1]
    assert (name, fields["newOrder"]["quantity"], fields["reason"]) == ("OrderUpdated", "0.2", "edited_by_user")
    desk.post("cancelorder", order_id=order)
    name, fields = desk.events("orders")[-1]
    assert (name, fields["order"]["uid"], fields["reason"]) == ("OrderCancelled", order, "cancelled_by_user")
    assert (fields["order"]["quantity"], fields["order"]["filled"]) == ("0.2", "0")


def test_stop_moves_and_still_acts_where_it_is_then(desk: KrakenExchange) -> None:
    desk.send(size="0.5")
    stop = desk.send("stp", "sell", "0.5", stopPrice=50_000, triggerSignal="mark", reduceOnly="true")["order_id"]
    above = round(desk.price()) + 5_000
    assert edit(desk, stop, stopPrice=above)["orderEvents"][0]["new"]["triggerPrice"] == above
    assert desk.events("triggers")[-1][1]["newOrderTrigger"]["triggerOptions"]["triggerPrice"] == str(above)
    desk.world.tick(seconds=120)
    assert desk.v3("openpositions")["openPositions"] == []


@pytest.mark.parametrize(
    ("word", "changes"),
    [
        ("orderForEditNotFound", {"orderId": "none", "size": "1"}),
        ("orderForEditNotAStop", {"stopPrice": 70_000}),
        ("invalidPrice", {"limitPrice": "80000.5"}),
        ("invalidSize", {"size": "0"}),
        ("invalidSize", {"size": "0.00005"}),
        ("insufficientAvailableFunds", {"size": "50"}),
    ],
)
def test_order_that_cannot_be_changed_like_this_stays_as_it_is(
    desk: KrakenExchange, word: str, changes: dict[str, Any]
) -> None:
    order = rests(desk)
    before = desk.v3("openorders")["openOrders"]
    assert desk.post("editorder", **{"orderId": order, **changes})["editStatus"]["status"] == word
    assert desk.v3("openorders")["openOrders"] == before
    # All that is available goes into what the order already has: it may be moved, because only size needs margin.
    assert edit(desk, order, limitPrice=79_000)["status"] == "edited"


def test_order_may_always_be_made_smaller(desk: KrakenExchange) -> None:
    desk.send(side="sell", size="1")
    assert edit(desk, rests(desk, size="18.9"), size="1.1")["status"] == "edited"


def test_venue_without_edits_refuses_them() -> None:
    ring = Ring({0: "100"}, cash="1000", to=1)
    order = ring.order("buy", 1, limit="90")
    with pytest.raises(Refusal) as refused:
        unsolicited.restate(ring.engine, order, Replacement(None, 80 * 10_000, None, None, None, None))
    assert (refused.value.body["code"], order.request.limit) == ("unsupported_edit", 90 * 10_000)


def test_ended_order_is_not_found_for_an_edit(desk: KrakenExchange) -> None:
    assert edit(desk, desk.send()["order_id"], size="0.2")["status"] == "orderForEditNotFound"


def test_batch_tells_what_became_of_each_of_its_commands(desk: KrakenExchange) -> None:
    order = rests(desk)
    stop = {"stopPrice": 80_000, "reduceOnly": True, "triggerSignal": "mark"}
    commands = [
        {"order": "send", "order_tag": "a", "orderType": "mkt", "symbol": XBT, "side": "buy", "size": 0.5},
        {"order": "send", "order_tag": "b", "orderType": "mkt", "symbol": XBT, "side": "buy", "size": 60},
        {"order": "send", "order_tag": "c", "orderType": "stp", "symbol": XBT, "side": "sell", "size": 0.5} | stop,
        {"order": "edit", "orderId": order, "limitPrice": 79_000},
        {"order": "cancel", "order_id": order},
        {"order": "send", "order_tag": "d", "orderType": "mkt", "symbol": PEPE},
        {"order": "dance"},
    ]
    statuses = desk.post("batchorder", json=json.dumps({"batchOrder": commands}))["batchStatus"]
    words = ["placed", "insufficientAvailableFunds", "placed", "edited", "cancelled", "requiredArgumentMissing"]
    assert [one["status"] for one in statuses] == [*words, "invalidArgument"]
    assert [one.get("order_tag") for one in statuses] == ["a", "b", "c", None, None, "d", None]
    (left,) = desk.v3("openorders")["openOrders"]
    assert (left["order_id"], left["reduceOnly"]) == (statuses[2]["order_id"], True)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"batchOrder": {}}', json.dumps({"batchOrder": [{}] * 11})])
def test_batch_that_cannot_be_read_does_nothing(desk: KrakenExchange, text: str) -> None:
    assert desk.ask("POST", f"{V3}/batchorder", json=text).json["error"] == "invalidArgument: json"


def test_batch_costs_by_its_size_and_an_edit_what_an_order_costs(desk: KrakenExchange) -> None:
    def spent() -> int:
        return int(desk.world.get("/exchange/v1/status")["most_spent"]["trading"])

    commands = [{"order": "cancel", "order_id": "none"}] * 3
    desk.post("batchorder", json=json.dumps({"batchOrder": commands}))
    assert spent() == 12
    edit(desk, "none")
    assert spent() == 22


def test_statuses_may_be_asked_for_in_the_query(desk: KrakenExchange) -> None:
    order = desk.send()["order_id"]
    assert [one["status"] for one in desk.v3("orders/status", orderIds=order)["orders"]] == ["FULLY_EXECUTED"]
