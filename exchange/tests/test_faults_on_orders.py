"""What a venue may refuse, reject or acknowledge late without a fill: the word, the order, and what the log holds."""

import json
from typing import Any

import pytest

from exchange.tests.kit.app import World
from exchange.tests.kit.pit import Pit

FAULTS = "/exchange/v1/faults"
ENTRY = {"symbol": "SPY", "side": "buy", "type": "market", "qty": 1, "time_in_force": "day"}


def resting(world: World, name: str = "low") -> Any:
    """Place an order that nothing fills."""
    return world.order("AAPL", "buy", 2, limit_price="1.00", client_order_id=name).json


def get_order(world: World, order_id: str) -> Any:
    return world.get(f"/v2/orders/{order_id}")


def logged_events(world: World, order_id: str) -> list[str]:
    """Return what the log tells of an order, as `event status`."""
    return [f"{event['event']} {event['status']}" for event in world.events() if event.get("order_id") == order_id]


def test_a_refused_cancel_is_answered_422_and_the_order_goes_on(venue: World) -> None:
    order = resting(venue)
    venue.arm("refused", request="cancel", nth=1)
    answer = venue.ask("DELETE", f"/v2/orders/{order['id']}")
    assert (answer.status, answer.json) == (422, {"code": 42210000, "message": "order is not cancelable"})
    assert get_order(venue, order["id"])["status"] == "new"
    assert venue.ask("DELETE", f"/v2/orders/{order['id']}").status == 204
    assert logged_events(venue, order["id"]) == [
        "order_accepted pending_new",
        "order_new new",
        "order_canceled canceled",
    ]
    (refused,) = [event for event in venue.events() if event["event"] == "request_refused"]
    assert refused["message"] == "order is not cancelable"


def test_a_refused_replacement_is_answered_422_and_makes_no_order(venue: World) -> None:
    order = resting(venue)
    venue.arm("refused", request="replace", nth=1)
    answer = venue.ask("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "1.50"})
    assert (answer.status, answer.json["code"]) == (422, 42210000)
    assert [row["limit_price"] for row in venue.get("/v2/orders?status=all")] == ["1"]
    assert venue.ask("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "1.50"}).status == 200


def test_each_row_of_a_refused_cancel_of_all_orders_says_so(venue: World) -> None:
    orders = [resting(venue, name) for name in ("one", "two")]
    venue.arm("refused", request="cancel_all")
    rows = venue.ask("DELETE", "/v2/orders").json
    assert [(row["id"], row["status"], row["body"]["code"]) for row in rows] == [
        (order["id"], 500, 42210000) for order in orders
    ]
    assert {row["status"] for row in venue.get("/v2/orders")} == {"new"}


def test_a_replacement_is_accepted_then_rejected_and_the_old_order_goes_on(venue: World) -> None:
    order = resting(venue)
    venue.arm("reject_after_acceptance", request="replace", nth=1)
    answer = venue.ask("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "1.50"})
    assert answer.status == 200
    assert (get_order(venue, answer.json["id"])["status"], get_order(venue, order["id"])["status"]) == (
        "rejected",
        "new",
    )
    assert logged_events(venue, order["id"])[2:] == [
        "order_pending_replace pending_replace",
        "order_replace_rejected new",
    ]
    assert venue.ask("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "1.50"}).status == 200
    assert get_order(venue, order["id"])["status"] == "replaced"


def test_a_cancel_is_accepted_then_rejected_once_and_the_order_goes_on(venue: World) -> None:
    order = resting(venue)
    venue.arm("reject_after_acceptance", request="cancel", nth=1)
    assert venue.ask("DELETE", f"/v2/orders/{order['id']}").status == 204
    assert logged_events(venue, order["id"])[2:] == ["order_pending_cancel pending_cancel", "order_cancel_rejected new"]
    assert venue.ask("DELETE", f"/v2/orders/{order['id']}").status == 204
    assert get_order(venue, order["id"])["status"] == "canceled"


def test_a_rejected_cancel_leaves_an_order_that_waits_for_the_open_waiting(venue: World) -> None:
    venue.tick(to="close")
    order = resting(venue)
    venue.arm("reject_after_acceptance", request="cancel")
    assert venue.ask("DELETE", f"/v2/orders/{order['id']}").status == 204
    assert get_order(venue, order["id"])["status"] == "accepted"
    venue.tick(to="next_open")
    assert get_order(venue, order["id"])["status"] == "new"


@pytest.mark.parametrize("status", ["pending_new", "accepted"])
def test_a_late_acknowledgement_keeps_an_order_from_the_market_for_so_long(venue: World, status: str) -> None:
    venue.arm({"late_acknowledgement": "90s", "status": status}, request="submit")
    order = venue.order("SPY", "buy", 2).json
    assert order["status"] == "pending_new"
    venue.tick(seconds=60)
    assert (get_order(venue, order["id"])["status"], get_order(venue, order["id"])["filled_qty"]) == (status, "0")
    venue.tick(seconds=30)
    assert get_order(venue, order["id"])["status"] == "new"
    venue.tick(seconds=120)
    assert get_order(venue, order["id"])["status"] == "filled"


def test_an_order_that_is_not_acknowledged_yet_can_be_canceled_and_not_replaced(venue: World) -> None:
    venue.arm({"late_acknowledgement": "90s"}, request="submit")
    order = resting(venue)
    answer = venue.ask("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "1.50"})
    assert (answer.status, answer.json["message"]) == (422, "cannot replace order in pending_new status")
    assert venue.ask("DELETE", f"/v2/orders/{order['id']}").status == 204
    venue.tick(seconds=120)
    assert logged_events(venue, order["id"]) == ["order_accepted pending_new", "order_canceled canceled"]


def test_an_order_acknowledged_after_the_close_waits_for_the_next_open_and_a_day_order_expires() -> None:
    pit = Pit(minute=389)
    orders = {tif: pit.submit("buy", 1, limit=90, tif=tif) for tif in ("day", "gtc")}
    for order in orders.values():
        pit.engine.settle_late(order, 120_000_000, "accepted")
    pit.to_minute(1, session=1)
    assert pit.new_events(orders)[2:] == ["389 day accepted", "389 gtc accepted", "390 day expired", "1440 gtc new"]


def protect(world: World, **more: object) -> tuple[Any, Any]:
    """Hold ten shares, ask for a gtc pair over them, and return the answer's JSON and the last price."""
    world.ask("POST", "/exchange/v1/journal", {"symbol": "AAPL", "qty": 10})
    last = world.get("/v2/stocks/AAPL/trades/latest")["trade"]["p"]
    target, stop = f"{last * 1.05:.2f}", f"{last * 0.95:.2f}"
    legs = {"take_profit": {"limit_price": target}, "stop_loss": {"stop_price": stop}}
    body: dict[str, Any] = {"order_class": "oco", "limit_price": target, "time_in_force": "gtc", **legs, **more}
    return world.order("AAPL", "sell", 10, **body).json, last


def refusals(world: World) -> list[tuple[int, int, str]]:
    """Return what the log says was refused: status, code and message."""
    events = [event for event in world.events() if event["event"] in ("order_rejected", "request_refused")]
    return [(event["status"], event["code"], event["message"]) for event in events]


def test_a_class_of_orders_can_be_refused_while_others_are_accepted(venue: World) -> None:
    venue.arm({"class_refused": "oco"})
    answer, _ = protect(venue)
    assert (answer["code"], answer["message"]) == (42210000, "oco orders are not supported")
    assert refusals(venue) == [(422, 42210000, "oco orders are not supported")]
    legs = {"take_profit": {"limit_price": "1000.00"}, "stop_loss": {"stop_price": "1.00"}}
    assert venue.ask("POST", "/v2/orders", ENTRY | legs | {"order_class": "bracket"}).status == 200


def test_legs_that_an_answer_leaves_out_are_found_by_asking_for_the_order(venue: World) -> None:
    venue.arm("legs_left_out")
    placed, last = protect(venue)
    assert placed["legs"] is None
    (leg,) = venue.get(f"/v2/orders/{placed['id']}?nested=true")["legs"]
    assert leg["type"] == "stop"
    moved = venue.ask("PATCH", f"/v2/orders/{placed['id']}", {"limit_price": f"{last * 1.04:.2f}"}).json
    assert moved["legs"] is None
    assert [row["id"] for row in venue.get(f"/v2/orders/{moved['id']}?nested=true")["legs"]] == [leg["id"]]


def test_a_stop_that_is_shown_as_held_works_all_the_same(venue: World) -> None:
    venue.arm("legs_shown_held", request="submit", nth=1)
    placed, last = protect(venue)
    stop = placed["legs"][0]["id"]
    assert get_order(venue, stop)["status"] == "held"
    assert logged_events(venue, stop) == ["order_held held", "order_new new"]
    moved = venue.ask("PATCH", f"/v2/orders/{stop}", {"stop_price": f"{last * 0.999:.2f}"}).json
    assert get_order(venue, moved["id"])["status"] == "held"
    venue.tick(to="close")
    venue.tick(to="close")
    assert get_order(venue, moved["id"])["status"] == "filled"
    assert get_order(venue, placed["id"])["status"] == "canceled"


@pytest.mark.parametrize("way", ["one", "all", "close"])
def test_shares_of_canceled_exits_come_back_late(venue: World, way: str) -> None:
    placed, _ = protect(venue)
    venue.arm({"shares_freed_late": "2s"})
    paths = {"one": f"orders/{placed['legs'][0]['id']}", "all": "orders", "close": "positions?cancel_orders=true"}
    answer = venue.ask("DELETE", f"/v2/{paths[way]}")
    if way == "close":
        assert [(row["status"], row["body"]["available"]) for row in answer.json] == [(403, "0")]
    assert get_order(venue, placed["id"])["status"] == "canceled"
    assert venue.get("/v2/positions/AAPL")["qty_available"] == "0"
    assert venue.order("AAPL", "sell", 10).status == 403
    venue.tick(seconds=2)
    assert venue.get("/v2/positions/AAPL")["qty_available"] == "10"
    assert venue.order("AAPL", "sell", 10).status == 200
    canceled, freed = (
        next(event for event in venue.events() if event["event"] == name) for name in ("order_canceled", "shares_freed")
    )
    assert (freed["qty"], canceled["at"][-4:], freed["at"][-4:]) == ("10", ":00Z", ":02Z")


@pytest.mark.parametrize(
    ("what", "status", "code", "message"),
    [
        ("marketable_exit_refused", 422, 42210000, "take_profit.limit_price must be >= base_price + 0.01"),
        ("replace_needs_shares", 403, 40310000, "insufficient qty available for order (requested: 10, available: 0)"),
    ],
)
def test_refused_replacement_of_an_exit_leaves_the_pair_working_and_a_lost_reply_adds_up_with_it(
    venue: World, what: str, status: int, code: int, message: str
) -> None:
    placed, last = protect(venue)
    venue.arm(what, request="replace", at_most=2)
    venue.arm({"status": 504, "acceptance": "after"}, request="replace", nth=2)
    patch = ("PATCH", f"/v2/orders/{placed['id']}", {"limit_price": f"{last * 0.99:.2f}"})
    assert [venue.ask(*patch).status for _ in range(2)] == [status, 504]
    assert refusals(venue) == [(status, code, message)] * 2
    assert [get_order(venue, one)["status"] for one in (placed["id"], placed["legs"][0]["id"])] == ["new", "new"]
    assert venue.ask(*patch).status == 200


@pytest.mark.parametrize(
    ("what", "policy"),
    [
        ({"class_refused": "oto"}, {"refuses_class": "oto"}),
        ({"exits_told_late": "1h"}, {"tells_after_us": 3_600_000_000}),
        ("legs_left_out", {"leaves_legs_out": True}),
        ("legs_shown_held", {"holds_legs": True}),
        ("marketable_exit_refused", {"refuses_marketable": True}),
        ("replace_needs_shares", {"counts_own_shares": True}),
        ("replace_starts_over", {"starts_over": True}),
    ],
)
def test_fault_of_policy_is_logged_with_the_request_that_it_decides(venue: World, what: Any, policy: Any) -> None:
    order = resting(venue)
    venue.arm(what)
    moved = venue.ask("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "1.50"})
    resting(venue, "other")
    decided = [json.loads(line["effects"]) for line in venue.logged("request") if line["effects"]]
    assert decided == [[{"policy": policy}]] * len(decided)
    assert decided
    assert venue.engine.main.order(moved.json["id"]).starts_over == ("starts_over" in policy)
    assert venue.engine.main.by_client_id["other"].tells_after_us == policy.get("tells_after_us", 0)
