"""Reading orders: every filter, both bounds, legs nested or flat, and rows of what was canceled together."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.exchange.worlds import World, open_world

BRACKET = {
    "time_in_force": "gtc",
    "order_class": "bracket",
    "take_profit": {"limit_price": 999},
    "stop_loss": {"stop_price": "1", "limit_price": 0.9},
}


@pytest.fixture
def desk(new_folder: Callable[[], Path]) -> World:
    world = open_world(new_folder())
    world.tick(to="open")
    world.tick(seconds=600)
    return world


def placed(world: World, *asked: Any, **fields: Any) -> Any:
    answer = world.order(*asked, **fields)
    assert answer.status == 200, answer
    return answer.json


def ids(world: World, query: str = "") -> list[str]:
    return [order["id"] for order in world.get(f"/v2/orders{query}")]


def test_orders_are_filtered_by_status_side_symbol_and_class_the_newest_first(desk: World) -> None:
    first = placed(desk, "AAPL", "buy", 1, limit_price=1)["id"]
    second = placed(desk, "SPY", "buy", 1, limit_price=1)["id"]
    third = placed(desk, "SPY", "buy", 2, limit_price=1)["id"]
    assert desk.ask("DELETE", f"/v2/orders/{second}").status == 204
    assert ids(desk) == [third, first]
    assert ids(desk, "?status=closed") == [second]
    assert ids(desk, "?status=all&direction=asc") == [first, second, third]
    assert ids(desk, "?status=all&symbols=SPY,ZAAC&limit=1") == [third]
    assert ids(desk, "?symbols=AAPL&symbols=SPY") == [third, first]
    assert ids(desk, "?side=sell") == []
    assert ids(desk, "?asset_class=crypto") == []
    assert ids(desk, "?asset_class=us_equity,crypto&side=buy") == [third, first]


def test_orders_are_bounded_by_moments_or_by_other_orders_both_exclusive(desk: World) -> None:
    rows = []
    for _ in range(3):
        rows.append(placed(desk, "AAPL", "buy", 1, limit_price=1))
        desk.tick(seconds=1)
    first, second, third = (row["id"] for row in rows)
    at = quote(rows[1]["submitted_at"])
    assert ids(desk, f"?after={at}") == [third]
    assert ids(desk, f"?until={at}") == [first]
    assert ids(desk, f"?after_order_id={first}&before_order_id=") == [third, second]
    assert ids(desk, f"?before_order_id={third}&direction=asc") == [first, second]
    assert desk.ask("GET", f"/v2/orders?before_order_id={third}&after_order_id={first}").status == 422
    assert desk.ask("GET", "/v2/orders?after_order_id=00000000-0000-4000-8000-000000000000").status == 404


def test_legs_stand_inside_their_order_when_nested_and_beside_it_when_not(desk: World) -> None:
    parent = placed(desk, "AAPL", "buy", 2, limit_price=50, **BRACKET)
    legs = [leg["id"] for leg in parent["legs"]]
    assert len(legs) == 2
    assert {leg["order_class"] for leg in parent["legs"]} == {"bracket"}
    flat = desk.get("/v2/orders")
    assert {order["id"] for order in flat} == {parent["id"], *legs}
    assert all(order["legs"] is None for order in flat)
    (rolled,) = desk.get("/v2/orders?nested=True")
    assert [leg["id"] for leg in rolled["legs"]] == legs
    assert desk.get(f"/v2/orders/{parent['id']}")["legs"] is None
    assert [leg["id"] for leg in desk.get(f"/v2/orders/{parent['id']}?nested=1")["legs"]] == legs


def test_a_nested_list_keeps_legs_whose_order_is_not_in_it(desk: World) -> None:
    parent = placed(desk, "AAPL", "buy", 1, **BRACKET)
    desk.tick(seconds=120)
    assert desk.get(f"/v2/orders/{parent['id']}")["status"] == "filled"
    legs = {leg["id"] for leg in parent["legs"]}
    assert set(ids(desk, "?nested=true&status=open")) == legs
    assert ids(desk, "?nested=true&status=all") == [parent["id"]]


def test_an_order_may_name_its_asset_by_id_and_shows_the_symbol(desk: World) -> None:
    asset = desk.get("/v2/assets/SPY")["id"]
    assert placed(desk, asset, "buy", 1, limit_price=1)["symbol"] == "SPY"


def test_a_replaced_order_and_the_new_one_name_each_other(desk: World) -> None:
    old = placed(desk, "AAPL", "buy", 2, limit_price=1, time_in_force="gtc")
    answer = desk.ask("PATCH", f"/v2/orders/{old['id']}", {"qty": "5", "client_order_id": "better"})
    assert (answer.status, answer.json["replaces"]) == (200, old["id"])
    assert desk.get("/v2/orders:by_client_order_id?client_order_id=better")["qty"] == "5"
    gone = desk.get(f"/v2/orders/{old['id']}")
    assert (gone["status"], gone["replaced_by"]) == ("replaced", answer.json["id"])
    assert gone["replaced_at"]
