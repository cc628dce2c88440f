"""Scripts of faults name this face's requests: orders, cancels, reads and history, also by symbol and client id."""

import pytest

from exchange.tests.kit.kraken import HISTORY, PEPE, V3, XBT, KrakenExchange
from papervenue.faults.kinds import is_in_reach, is_of_kind, kind_of


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (f"POST {V3}/sendorder", "submit"),
        (f"POST {V3}/cancelorder", "cancel"),
        (f"POST {V3}/cancelallorders", "cancel_all"),
        (f"GET {V3}/openorders", "orders"),
        (f"GET {HISTORY}/executions", "order"),
        (f"POST {V3}/orders/status", "order"),
        (f"GET {V3}/accounts", "account"),
        (f"GET {V3}/openpositions", "positions"),
        (f"GET {HISTORY}/account-log", "activities"),
        (f"GET {V3}/fills", "activities"),
        (f"GET {V3}/tickers", "snapshots"),
        (f"GET {V3}/orderbook", "snapshots"),
        ("GET /api/charts/v1/trade/PF_XBTUSD/1m", "bars"),
    ],
)
def test_requests_are_of_the_kinds_that_scripts_know(desk: KrakenExchange, target: str, kind: str) -> None:
    assert kind_of(target) == kind
    assert is_of_kind(target, "any")
    assert is_in_reach(target)
    assert is_of_kind(target, "any change") == (kind in ("submit", "cancel", "cancel_all"))


def test_leverage_is_a_change_that_no_other_word_names(desk: KrakenExchange) -> None:
    target = f"PUT {V3}/leveragepreferences"
    assert [word for word in ("submit", "cancel", "any change", "any") if is_of_kind(target, word)] == [
        "any change",
        "any",
    ]
    desk.world.arm({"status": 503}, request="any change")
    assert desk.ask("PUT", f"{V3}/leveragepreferences", symbol=XBT, maxLeverage=5).status == 503
    assert desk.engine.main.leverages == {}


def test_order_is_lost_by_its_symbol_its_side_or_its_client_id(desk: KrakenExchange) -> None:
    desk.world.arm({"status": 503}, request="submit", symbol=PEPE)
    desk.world.arm({"status": 504}, request="submit", side="sell")
    desk.world.arm({"status": 502}, request="submit", client_order_id="mine*")
    assert desk.send()["status"] == "placed"
    for status, order in (
        (503, {"symbol": PEPE, "side": "buy"}),
        (504, {"symbol": XBT, "side": "sell"}),
        (502, {"symbol": XBT, "side": "buy", "cliOrdId": "mine-1"}),
    ):
        assert desk.ask("POST", f"{V3}/sendorder", orderType="mkt", size="0.1", **order).status == status
    assert len(desk.engine.main.orders) == 1


def test_order_arrives_later_unless_it_says_until_when_it_may(desk: KrakenExchange) -> None:
    desk.world.arm({"late_arrival": "60s"}, request="submit")
    for name, until in (("late", "2026-11-24T01:00:30Z"), ("later", "2026-11-24T01:02:00Z")):
        order = {"orderType": "mkt", "symbol": XBT, "side": "buy", "size": "0.1"}
        assert desk.ask("POST", f"{V3}/sendorder", **order, cliOrdId=name, processBefore=until).status == 504
    desk.world.clear_rules()
    desk.world.tick(seconds=61)
    assert {fields["order"]["clientId"] for name, fields in desk.events("orders") if name == "OrderPlaced"} == {"later"}


def test_cancel_and_edit_are_found_by_the_order_that_they_name(desk: KrakenExchange) -> None:
    names = ("keep", "drop")
    ids = {name: desk.send("lmt", limitPrice=80_000, cliOrdId=name)["order_id"] for name in names}
    desk.world.arm("refused", request=["cancel", "replace"], client_order_id="keep")
    edited = desk.post("editorder", orderId=ids["keep"], size="0.2")
    assert edited["editStatus"]["status"] == "orderForEditNotFound"
    assert desk.post("cancelorder", order_id=ids["keep"])["error"] == "marketUnavailable"
    assert desk.post("cancelorder", cliOrdId="keep")["error"] == "marketUnavailable"
    assert desk.post("cancelorder", cliOrdId="drop")["cancelStatus"]["status"] == "cancelled"
    desk.world.clear_rules()
    desk.world.arm("fill_during_cancel", request="cancel")
    assert desk.post("cancelorder", order_id=ids["keep"])["cancelStatus"]["status"] == "filled"


def test_order_may_be_rejected_after_it_was_placed(desk: KrakenExchange) -> None:
    desk.world.arm("reject_after_acceptance", request="submit")
    assert desk.send(cliOrdId="no")["status"] == "placed"
    ((name, fields),) = desk.events("orders")
    assert (name, fields["order"]["clientId"], fields["order"]["filled"]) == ("OrderRejected", "no", "0")


def test_stop_that_is_suspended_looks_as_before_in_every_answer(desk: KrakenExchange) -> None:
    """So the campaigns don't ask a bot to tell of it. Kraken suspends markets, and has no word for a single order."""
    desk.send(size="0.5")
    stop = desk.send("stp", "sell", "0.5", stopPrice=85_000, reduceOnly="true", cliOrdId="stop")["order_id"]

    def read_state() -> object:
        listed = desk.v3("openorders")["openOrders"], desk.post("orders/status", orderIds=stop)["orders"]
        return listed, [desk.events(name) for name in ("orders", "triggers", "executions")]

    before = read_state()
    assert desk.world.ask("POST", "/exchange/v1/orders", {"order": stop, "do": "suspend"}).status == 200
    assert desk.engine.main.orders[stop].status == "suspended"
    assert read_state() == before


def test_order_may_come_to_the_market_late_or_twice(desk: KrakenExchange) -> None:
    desk.world.arm({"late_acknowledgement": "30s"}, request="submit", nth=1)
    assert [event["type"] for event in desk.send(cliOrdId="slow")["orderEvents"]] == ["PLACE"]
    assert desk.events("orders") == []
    desk.world.tick(seconds=31)
    assert [name for name, _ in desk.events("orders")] == ["OrderPlaced", "OrderUpdated"]
    desk.world.clear_rules()
    desk.world.arm("delivered_twice", request="submit")
    assert desk.send("lmt", limitPrice=80_000, cliOrdId="twin")["status"] == "clientOrderIdAlreadyExist"


def test_rows_are_left_out_or_never_rest(desk: KrakenExchange) -> None:
    for name in ("mine", "other"):
        desk.send("lmt", limitPrice=80_000, cliOrdId=name)
    desk.world.arm({"missing_rows": None, "client_order_id": "mine"}, request="orders")
    assert [row["cliOrdId"] for row in desk.v3("openorders")["openOrders"]] == ["other"]
    desk.world.clear_rules()
    for field, name in (("limit_price", "limitPrice"), ("qty", "unfilledSize"), ("status", "status")):
        desk.world.arm({"restless_orders": field}, request="orders")
        first, second = (desk.v3("openorders")["openOrders"][0][name] for _ in range(2))
        assert first != second
        desk.world.clear_rules()
    desk.send()
    desk.world.arm("opposite_side", request="positions")
    assert desk.v3("openpositions")["openPositions"][0]["side"] == "short"
    desk.world.clear_rules()
    desk.world.arm({"missing_rows": None, "symbol": XBT}, request="activities")
    assert desk.v3("fills")["fills"] == desk.history("account-log")["logs"] == []


def test_clock_is_a_minute_off_and_keys_expire(desk: KrakenExchange) -> None:
    desk.world.arm({"clock_skew": "-60s"}, request="clock")
    assert desk.v3("openpositions")["serverTime"].startswith("2026-11-24T00:59:00")
    desk.world.clear_rules()
    desk.world.arm("expired_keys", account="main")
    assert desk.ask("GET", f"{V3}/accounts").status == 401


@pytest.mark.parametrize("acceptance", ["before", "after"])
def test_error_comes_inside_success_of_http_whatever_became_of_the_order(desk: KrakenExchange, acceptance: str) -> None:
    desk.world.arm({"error_inside": "apiLimitExceeded", "acceptance": acceptance}, request="submit")
    reply = desk.post("sendorder", orderType="mkt", symbol=XBT, side="buy", size="0.1")
    assert reply == {"result": "error", "error": "apiLimitExceeded"}
    assert len(desk.engine.main.orders) == (acceptance == "after")


def test_server_error_lists_what_was_wrong(desk: KrakenExchange) -> None:
    desk.world.arm({"error_inside": "INSUFFICIENT_MARGIN", "status": 500}, request="submit")
    answer = desk.ask("POST", f"{V3}/sendorder", orderType="mkt", symbol=XBT, side="buy", size="0.1")
    assert (answer.status, answer.json["errors"]) == (500, [{"code": 92, "message": "INSUFFICIENT_MARGIN"}])


@pytest.mark.parametrize(("given", "shown"), [("0", 0), ("-1", -1), ("null", None), (0, 0), ("false", False)])
def test_field_holds_a_wrong_value(desk: KrakenExchange, given: object, shown: object) -> None:
    desk.world.arm({"wrong_value": "markPrice", "is": given}, request="snapshots")
    assert [row["markPrice"] for row in desk.v3("tickers")["tickers"]] == [shown, shown]


def test_field_may_hold_what_is_no_number(desk: KrakenExchange) -> None:
    desk.world.arm({"wrong_value": "maintenanceMargin", "is": "NaN"}, request="account")
    assert b'"maintenanceMargin":NaN' in desk.ask("GET", f"{V3}/accounts").body


def test_position_is_told_twice_and_a_fee_differs(desk: KrakenExchange) -> None:
    desk.send()
    desk.world.arm("repeated_rows", request="positions")
    first, second = desk.v3("openpositions")["openPositions"]
    assert first == second
    desk.world.arm({"repeated_rows": "fee", "symbol": XBT}, request="activities")
    rows = [row for row in desk.history("account-log")["logs"] if row["asset"] == "usd"]
    assert (rows[1]["fee"], rows[1]["id"]) == (rows[0]["fee"] + 1, rows[0]["id"])


def test_filled_order_seems_canceled_with_nothing_filled_but_its_executions_stay(desk: KrakenExchange) -> None:
    for name in ("mine", "other"):
        desk.send(cliOrdId=name)
    desk.world.arm({"false_end": None, "client_order_id": "mine"}, request="order")
    ends = [(name, fields) for name, fields in desk.events("orders") if name != "OrderPlaced"]
    assert [name for name, _ in ends] == ["OrderCancelled", "OrderUpdated"]
    order = ends[0][1]["order"]
    assert (order["clientId"], order["quantity"], order["filled"]) == ("mine", "0.1", "0")
    assert desk.history("executions")["len"] == 2
