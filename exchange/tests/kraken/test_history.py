"""The history proves what became of orders after everything else has forgotten them."""

from itertools import pairwise

import pytest

from exchange.tests.kit.app import folders_of
from exchange.tests.kit.kraken import PEPE, XBT, KrakenExchange, spec
from exchange.tests.kit.ring import keep
from papervenue.market.spec import NEXT_BAR
from papervenue.times import SECOND


def test_order_that_fills_at_once_is_never_open_but_in_the_history(desk: KrakenExchange) -> None:
    order = desk.send(size="0.5", cliOrdId="quick")["order_id"]
    assert desk.v3("openorders")["openOrders"] == []
    (placed, one), (updated, other) = desk.events("orders")
    assert (placed, one["order"]["quantity"], one["order"]["filled"]) == ("OrderPlaced", "0.5", "0")
    assert (updated, other["newOrder"]["quantity"], other["newOrder"]["filled"]) == ("OrderUpdated", "0", "0.5")
    assert (one["order"]["uid"], one["order"]["clientId"], one["order"]["direction"]) == (order, "quick", "Buy")
    assert (other["reason"], other["oldOrder"]["filled"]) == ("full_fill", "0")
    ((name, fields),) = desk.events("executions")
    execution, fill = fields["execution"], desk.v3("fills")["fills"][0]
    assert (name, execution["uid"], execution["order"]["uid"]) == ("Execution", fill["fill_id"], order)
    assert (float(execution["price"]), execution["quantity"]) == (fill["price"], "0.5")
    assert (execution["orderData"]["positionSize"], execution["orderData"]["fillType"]) == ("0.5", "taker")
    assert float(execution["orderData"]["fee"]) == pytest.approx(fill["price"] * 0.5 * 0.0005)


def test_statuses_forget_an_order_five_seconds_after_its_end(desk: KrakenExchange) -> None:
    order = desk.send(cliOrdId="gone")["order_id"]
    rests = desk.send("lmt", limitPrice=80_000)["order_id"]
    desk.world.tick(seconds=5)
    statuses = desk.post("orders/status", orderIds=f"{order},{rests}")["orders"]
    assert {one["order"]["orderId"]: one["status"] for one in statuses} == {
        order: "FULLY_EXECUTED",
        rests: "ENTERED_BOOK",
    }
    assert [one["status"] for one in desk.post("orders/status", cliOrdIds="gone")["orders"]] == ["FULLY_EXECUTED"]
    desk.world.tick(seconds=1)
    statuses = desk.post("orders/status", orderIds=f"{order},{rests}")["orders"]
    assert [one["order"]["orderId"] for one in statuses] == [rests]
    assert [name for name, _ in desk.events("orders")] == ["OrderPlaced", "OrderUpdated", "OrderPlaced"]


def test_stop_is_a_trigger_until_it_acts_and_then_an_order_with_the_same_id(desk: KrakenExchange) -> None:
    desk.send(size="0.5")
    above = round(desk.price()) + 5_000
    stop = desk.send("stp", "sell", "0.5", stopPrice=above, triggerSignal="mark", reduceOnly="true", cliOrdId="stop")
    ((name, fields),) = desk.events("triggers")
    order = fields["order"]
    assert (name, order["uid"]) == ("OrderTriggerPlaced", stop["order_id"])
    assert (order["quantity"], order["clientId"]) == ("0.5", "stop")
    options = {"triggerPrice": str(above), "triggerSide": "Below", "triggerSignal": "MarkPrice"}
    assert order["triggerOptions"] == options
    assert [one["order"]["uid"] for _, one in desk.events("orders")[2:]] == []
    desk.world.tick(seconds=120)
    _, (name, fields) = desk.events("triggers")
    assert (name, fields["order"]["uid"]) == ("OrderTriggerActivated", stop["order_id"])
    (placed, one), (updated, other) = desk.events("orders")[2:]
    assert (placed, one["reason"], one["order"]["uid"]) == ("OrderPlaced", "stop_order_triggered", stop["order_id"])
    assert (updated, other["newOrder"]["filled"]) == ("OrderUpdated", "0.5")
    assert desk.v3("openpositions")["openPositions"] == []


def test_reduce_only_orders_shrink_and_end_with_their_position(desk: KrakenExchange) -> None:
    desk.send(size="0.5")
    desk.send("stp", "sell", "0.5", stopPrice=85_000, reduceOnly="true")
    desk.send("lmt", "sell", "0.5", limitPrice=99_000, reduceOnly="true")
    desk.send(side="sell", size="0.2", reduceOnly="true")
    _, (name, fields) = desk.events("triggers")
    assert (name, fields["newOrderTrigger"]["quantity"]) == ("OrderTriggerUpdated", "0.3")
    target = next(
        fields["newOrder"] for name, fields in desk.events("orders") if fields["reason"] == "reduced_to_position"
    )
    assert (target["quantity"], target["filled"]) == ("0.3", "0")
    desk.send(side="sell", size="0.3", reduceOnly="true")
    name, fields = desk.events("triggers")[-1]
    assert (name, fields["reason"]) == ("OrderTriggerCancelled", "would_not_reduce_position")
    ended = [fields["reason"] for name, fields in desk.events("orders") if name == "OrderCancelled"]
    assert ended == ["would_not_reduce_position"]


def test_market_order_takes_what_a_minute_offers_and_the_rest_is_canceled(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    desk = KrakenExchange(folders_of(spec((XBT,), NEXT_BAR, 10_000_000), tmp_path_factory)())
    whole = desk.send(size="100", cliOrdId="large")
    rests = desk.send("lmt", size="20", limitPrice=99_000)["order_id"]
    assert [event["type"] for event in whole["orderEvents"]] == ["PLACE"]
    desk.world.tick(seconds=240)
    (cancelled,) = [one for kind, one in desk.events("orders") if kind == "OrderCancelled"]
    filled = sum(fill["size"] for fill in desk.v3("fills")["fills"] if fill.get("cliOrdId") == "large")
    assert cancelled["reason"] == "ioc_order_failed_because_it_would_not_be_executed"
    assert filled > 0
    assert float(cancelled["order"]["filled"]) == pytest.approx(filled)
    assert float(cancelled["order"]["quantity"]) == pytest.approx(100 - filled)
    executions = (fields["execution"] for _, fields in desk.events("executions"))
    parts = [one for one in executions if one["order"]["uid"] == rests]
    assert len(parts) > 1
    assert [float(one["order"]["quantity"]) + float(one["order"]["filled"]) for one in parts] == [20] * len(parts)
    assert float(parts[1]["order"]["filled"]) == float(parts[0]["quantity"])


def test_pages_go_on_where_the_last_one_ended_in_both_directions(desk: KrakenExchange) -> None:
    for number in range(5):
        desk.send(cliOrdId=f"o{number}")
        desk.world.tick(seconds=1)
    for sort in ("asc", "desc"):
        page = desk.history("orders", sort=sort, count=3)
        seen = [one["uid"] for one in page["elements"]]
        while "continuationToken" in page:
            page = desk.history("orders", sort=sort, count=3, continuation_token=page["continuationToken"])
            assert page["len"] == len(page["elements"]) <= 3
            seen += [one["uid"] for one in page["elements"]]
        whole = desk.history("orders", sort=sort)
        assert (seen, len(set(seen))) == ([one["uid"] for one in whole["elements"]], 10)
        times = [one["timestamp"] for one in whole["elements"]]
        assert all((early <= late) == (sort == "asc") or early == late for early, late in pairwise(times))


def test_page_holds_what_happened_in_its_span_and_of_its_symbol(desk: KrakenExchange) -> None:
    began_ms = desk.engine.now_us // 1000
    desk.send()
    desk.world.tick(seconds=10)
    desk.send(symbol=PEPE, size=1_000_000)
    desk.world.tick(seconds=10)
    moments = [("since", began_ms), ("since", began_ms + 1), ("before", began_ms + 1), ("before", began_ms)]
    spans: list[dict[str, object]] = [*(dict[str, object]([one]) for one in moments), {"tradeable": PEPE}]
    for name, each in (("executions", 1), ("orders", 2)):
        assert [desk.history(name, **span)["len"] for span in spans] == [2 * each, each, each, 0, each]


@pytest.mark.parametrize("query", [{"since": "soon"}, {"sort": "up"}, {"count": 0}, {"continuation_token": "%"}])
def test_page_that_cannot_be_read_is_refused(desk: KrakenExchange, query: dict[str, object]) -> None:
    assert desk.history("orders", **query)["error"] == "invalidArgument"


def test_history_is_that_of_the_past_while_a_script_shows_the_account_as_it_was(desk: KrakenExchange) -> None:
    desk.send()
    desk.world.tick(seconds=60)
    desk.send()
    desk.world.arm({"stale_account": "30s"}, request="order")
    assert (desk.history("executions")["len"], desk.history("orders")["len"]) == (1, 2)
    desk.world.clear_rules()
    assert (desk.history("executions")["len"], desk.history("orders")["len"]) == (2, 4)
    for requests, rows in (("activities", 2), ("none", 4)):
        desk.world.arm({"stale_account": "30s"}, request=requests.replace("none", "order"))
        assert len(desk.history("account-log")["logs"]) == rows
        desk.world.clear_rules()


def test_order_of_the_market_itself_is_told_like_any_other(desk: KrakenExchange) -> None:
    """A fill between two of the history's blocks is found from either side."""
    for _ in range(200):
        desk.send()
        desk.send(side="sell", reduceOnly="true")
    desk.engine.advance(desk.engine.now_us + SECOND)
    assert desk.engine.main.updates.blocks
    counted = desk.history("orders", count=1000)
    assert (counted["len"], len({one["uid"] for one in counted["elements"]})) == (800, 800)


def test_fills_come_in_pages_of_a_hundred_older_than_a_time(desk: KrakenExchange) -> None:
    for _ in range(60):
        desk.send()
        desk.send(side="sell", reduceOnly="true")
        desk.world.tick(seconds=1)
    first = desk.v3("fills")["fills"]
    rest = desk.v3("fills", lastFillTime=first[-1]["fillTime"])["fills"]
    assert (len(first), len(rest)) == (100, 20)
    assert len({one["fill_id"] for one in first + rest}) == 120
    assert first[0]["fillTime"] > rest[-1]["fillTime"]
    assert desk.v3("fills", lastFillTime="soon")["error"] == "invalidArgument: lastFillTime"


def test_exchange_that_starts_again_tells_the_same_history(desk: KrakenExchange) -> None:
    desk.send(size="0.5")
    desk.send("stp", "sell", "0.5", stopPrice=85_000, reduceOnly="true")
    desk.send("lmt", limitPrice=80_000, symbol=XBT)
    histories = [desk.history(name) for name in ("orders", "triggers", "executions", "account-log")]
    desk.world.exchange.commit()
    again = KrakenExchange(desk.folder)
    assert [again.history(name) for name in ("orders", "triggers", "executions", "account-log")] == histories
    # What keys had as nonces is forgotten, so the same ones are taken again.
    assert again.nonce < desk.nonce
    keep(desk.world.exchange, desk.folder)
    kept = KrakenExchange(desk.folder)
    assert kept.world.exchange.log.known_lines
    assert [kept.history(name) for name in ("orders", "triggers", "executions", "account-log")] == histories
