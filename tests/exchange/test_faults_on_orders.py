"""What a venue may refuse, reject or acknowledge late without a fill: the word, the order, and what the log holds."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.exchange.pit import Pit
from tests.exchange.worlds import World, open_world
from tradebot.exchange.engine.acknowledging import Acknowledgement, settle_late
from tradebot.exchange.exchange import open_exchange
from tradebot.exchange.market.fill import NEXT_BAR

FAULTS = "/exchange/v1/faults"


@pytest.fixture
def venue(new_folder: Callable[[], Path]) -> Iterator[World]:
    """Yield an exchange half an hour into its first session; afterwards its log must replay."""
    folder = new_folder()
    world = open_world(folder)
    world.tick(to="open")
    world.tick(seconds=1800)
    yield world
    world.exchange.commit()
    lines = world.exchange.log.lines()
    assert open_exchange(folder).log.lines()[: len(lines)] == lines


def arm(world: World, what: object, **when: object) -> None:
    answer = world.ask("POST", FAULTS, [{"name": "rule", "when": when, "what": what}])
    assert answer.status == 200, answer.body


def resting(world: World, name: str = "low") -> Any:
    """Place an order that nothing fills."""
    return world.order("AAPL", "buy", 2, limit_price="1.00", client_order_id=name).json


def found(world: World, order_id: str) -> Any:
    return world.get(f"/v2/orders/{order_id}")


def told(world: World, order_id: str) -> list[str]:
    """Return what the log tells of an order, as `event status`."""
    return [f"{event['event']} {event['status']}" for event in world.events() if event.get("order_id") == order_id]


def test_a_refused_cancel_is_answered_422_and_the_order_goes_on(venue: World) -> None:
    order = resting(venue)
    arm(venue, "refused", request="cancel", nth=1)
    answer = venue.ask("DELETE", f"/v2/orders/{order['id']}")
    assert (answer.status, answer.json) == (422, {"code": 42210000, "message": "order is not cancelable"})
    assert found(venue, order["id"])["status"] == "new"
    assert venue.ask("DELETE", f"/v2/orders/{order['id']}").status == 204
    assert told(venue, order["id"]) == ["order_accepted pending_new", "order_new new", "order_canceled canceled"]
    (refused,) = [event for event in venue.events() if event["event"] == "request_refused"]
    assert refused["message"] == "order is not cancelable"


def test_a_refused_replacement_is_answered_422_and_makes_no_order(venue: World) -> None:
    order = resting(venue)
    arm(venue, "refused", request="replace", nth=1)
    answer = venue.ask("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "1.50"})
    assert (answer.status, answer.json["code"]) == (422, 42210000)
    assert [row["limit_price"] for row in venue.get("/v2/orders?status=all")] == ["1"]
    assert venue.ask("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "1.50"}).status == 200


def test_each_row_of_a_refused_cancel_of_all_orders_says_so(venue: World) -> None:
    orders = [resting(venue, name) for name in ("one", "two")]
    arm(venue, "refused", request="cancel_all")
    rows = venue.ask("DELETE", "/v2/orders").json
    assert [(row["id"], row["status"], row["body"]["code"]) for row in rows] == [
        (order["id"], 500, 42210000) for order in orders
    ]
    assert {row["status"] for row in venue.get("/v2/orders")} == {"new"}


def test_a_replacement_is_accepted_then_rejected_and_the_old_order_goes_on(venue: World) -> None:
    order = resting(venue)
    arm(venue, "reject_after_acceptance", request="replace", nth=1)
    answer = venue.ask("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "1.50"})
    assert answer.status == 200
    assert (found(venue, answer.json["id"])["status"], found(venue, order["id"])["status"]) == ("rejected", "new")
    assert told(venue, order["id"])[2:] == ["order_pending_replace pending_replace", "order_replace_rejected new"]
    assert venue.ask("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "1.50"}).status == 200
    assert found(venue, order["id"])["status"] == "replaced"


def test_a_cancel_is_accepted_then_rejected_once_and_the_order_goes_on(venue: World) -> None:
    order = resting(venue)
    arm(venue, "reject_after_acceptance", request="cancel", nth=1)
    assert venue.ask("DELETE", f"/v2/orders/{order['id']}").status == 204
    assert told(venue, order["id"])[2:] == ["order_pending_cancel pending_cancel", "order_cancel_rejected new"]
    assert venue.ask("DELETE", f"/v2/orders/{order['id']}").status == 204
    assert found(venue, order["id"])["status"] == "canceled"


def test_a_rejected_cancel_leaves_an_order_that_waits_for_the_open_waiting(venue: World) -> None:
    venue.tick(to="close")
    order = resting(venue)
    arm(venue, "reject_after_acceptance", request="cancel")
    assert venue.ask("DELETE", f"/v2/orders/{order['id']}").status == 204
    assert found(venue, order["id"])["status"] == "accepted"
    venue.tick(to="next_open")
    assert found(venue, order["id"])["status"] == "new"


def test_a_cancel_that_is_late_is_rejected_when_it_arrives_and_a_part_filled_meanwhile_stays() -> None:
    pit = Pit({10: (100, 30), 11: None}, NEXT_BAR._replace(latency_s=90))
    order = pit.order("buy", 6, limit=100.01)
    pit.pass_minutes(0.75)
    order.fate = "reject"
    pit.cancel(order)
    pit.pass_minutes(2)
    assert pit.heard()[2:] == ["10.75 pending_cancel", "11 partial_fill 3@100.01", "12.25 order_cancel_rejected"]


@pytest.mark.parametrize("status", ["pending_new", "accepted"])
def test_a_late_acknowledgement_keeps_an_order_from_the_market_for_so_long(venue: World, status: str) -> None:
    arm(venue, {"late_acknowledgement": "90s", "status": status}, request="submit")
    order = venue.order("SPY", "buy", 2).json
    assert order["status"] == "pending_new"
    venue.tick(seconds=60)
    assert (found(venue, order["id"])["status"], found(venue, order["id"])["filled_qty"]) == (status, "0")
    venue.tick(seconds=30)
    assert found(venue, order["id"])["status"] == "new"
    venue.tick(seconds=120)
    assert found(venue, order["id"])["status"] == "filled"


def test_an_order_that_is_not_acknowledged_yet_can_be_canceled_and_not_replaced(venue: World) -> None:
    arm(venue, {"late_acknowledgement": "90s"}, request="submit")
    order = resting(venue)
    answer = venue.ask("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "1.50"})
    assert (answer.status, answer.json["message"]) == (422, "cannot replace order in pending_new status")
    assert venue.ask("DELETE", f"/v2/orders/{order['id']}").status == 204
    venue.tick(seconds=120)
    assert told(venue, order["id"]) == ["order_accepted pending_new", "order_canceled canceled"]


def test_an_order_acknowledged_after_the_close_waits_for_the_next_open_and_a_day_order_expires() -> None:
    pit = Pit(minute=389)
    orders = {tif: pit.submit("buy", 1, limit=90, tif=tif) for tif in ("day", "gtc")}
    for order in orders.values():
        settle_late(pit.engine, order, Acknowledgement(120_000_000, "accepted"))
    pit.to_minute(1, session=1)
    assert pit.heard(orders)[2:] == ["389 day accepted", "389 gtc accepted", "390 day expired", "1440 gtc new"]
