"""Reading orders: every filter, both bounds, legs nested or flat, and rows of what was canceled together."""

from typing import Any
from urllib.parse import quote

from exchange.tests.kit.app import World

BRACKET = {
    "time_in_force": "gtc",
    "order_class": "bracket",
    "take_profit": {"limit_price": 999},
    "stop_loss": {"stop_price": "1", "limit_price": 0.9},
}


def placed(world: World, *words: Any, **fields: Any) -> Any:
    answer = world.order(*words, **fields)
    assert answer.status == 200, answer
    return answer.json


def ids(world: World, query: str = "") -> list[str]:
    return [order["id"] for order in world.get(f"/v2/orders{query}")]


def test_orders_are_filtered_by_status_side_symbol_and_class_the_newest_first(trading: World) -> None:
    first = placed(trading, "AAPL", "buy", 1, limit_price=1)["id"]
    second = placed(trading, "SPY", "buy", 1, limit_price=1)["id"]
    third = placed(trading, "SPY", "buy", 2, limit_price=1)["id"]
    assert trading.ask("DELETE", f"/v2/orders/{second}").status == 204
    assert ids(trading) == [third, first]
    assert ids(trading, "?status=closed") == [second]
    assert ids(trading, "?status=all&direction=asc") == [first, second, third]
    assert ids(trading, "?status=all&symbols=SPY,ZAAC&limit=1") == [third]
    assert ids(trading, "?symbols=AAPL&symbols=SPY") == [third, first]
    assert ids(trading, "?side=sell") == []
    assert ids(trading, "?asset_class=crypto") == []
    assert ids(trading, "?asset_class=us_equity,crypto&side=buy") == [third, first]


def test_orders_are_bounded_by_moments_or_by_other_orders_both_exclusive(trading: World) -> None:
    rows = []
    for _ in range(3):
        rows.append(placed(trading, "AAPL", "buy", 1, limit_price=1))
        trading.tick(seconds=1)
    first, second, third = (row["id"] for row in rows)
    at = quote(rows[1]["submitted_at"])
    assert ids(trading, f"?after={at}") == [third]
    assert ids(trading, f"?until={at}") == [first]
    assert ids(trading, f"?after_order_id={first}&before_order_id=") == [third, second]
    assert ids(trading, f"?before_order_id={third}&direction=asc") == [first, second]
    assert trading.ask("GET", f"/v2/orders?before_order_id={third}&after_order_id={first}").status == 422
    assert trading.ask("GET", "/v2/orders?after_order_id=00000000-0000-4000-8000-000000000000").status == 404


def test_legs_stand_inside_their_order_when_nested_and_beside_it_when_not(trading: World) -> None:
    parent = placed(trading, "AAPL", "buy", 2, limit_price=50, **BRACKET)
    legs = [leg["id"] for leg in parent["legs"]]
    assert len(legs) == 2
    assert {leg["order_class"] for leg in parent["legs"]} == {"bracket"}
    flat = trading.get("/v2/orders")
    assert {order["id"] for order in flat} == {parent["id"], *legs}
    assert all(order["legs"] is None for order in flat)
    (rolled,) = trading.get("/v2/orders?nested=True")
    assert [leg["id"] for leg in rolled["legs"]] == legs
    assert trading.get(f"/v2/orders/{parent['id']}")["legs"] is None
    assert [leg["id"] for leg in trading.get(f"/v2/orders/{parent['id']}?nested=1")["legs"]] == legs


def test_a_nested_list_keeps_legs_whose_order_is_not_in_it(trading: World) -> None:
    parent = placed(trading, "AAPL", "buy", 1, **BRACKET)
    trading.tick(seconds=120)
    assert trading.get(f"/v2/orders/{parent['id']}")["status"] == "filled"
    legs = {leg["id"] for leg in parent["legs"]}
    assert set(ids(trading, "?nested=true&status=open")) == legs
    assert ids(trading, "?nested=true&status=all") == [parent["id"]]


def test_an_order_may_name_its_asset_by_id_and_shows_the_symbol(trading: World) -> None:
    assert placed(trading, trading.get("/v2/assets/SPY")["id"], "buy", 1, limit_price=1)["symbol"] == "SPY"


def test_a_replaced_order_and_the_new_one_name_each_other(trading: World) -> None:
    old = placed(trading, "AAPL", "buy", 2, limit_price=1, time_in_force="gtc")
    answer = trading.ask("PATCH", f"/v2/orders/{old['id']}", {"qty": "5", "client_order_id": "better"})
    assert (answer.status, answer.json["replaces"]) == (200, old["id"])
    assert trading.get("/v2/orders:by_client_order_id?client_order_id=better")["qty"] == "5"
    gone = trading.get(f"/v2/orders/{old['id']}")
    assert (gone["status"], gone["replaced_by"]) == ("replaced", answer.json["id"])
    assert gone["replaced_at"]
