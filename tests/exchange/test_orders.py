"""Orders through the trading face: what is accepted, what is refused and how, what becomes of them."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.exchange.worlds import World, open_world
from tradebot.exchange.engine.life import reject
from tradebot.exchange.engine.orders import TERMINAL
from tradebot.exchange.market.spec import MarketSpec
from tradebot.exchange.process import create

ORDER = {"symbol": "AAPL", "side": "buy", "type": "market", "time_in_force": "day", "qty": "1"}


@pytest.fixture
def trading(world: World) -> World:
    world.tick(to="open")
    world.tick(seconds=600)
    return world


@pytest.mark.parametrize(
    ("change", "status", "code", "message"),
    [
        ({"qty": "0"}, 422, 40010001, "qty must be > 0"),
        ({"qty": "-3"}, 422, 40010001, "qty must be > 0"),
        ({"qty": "NaN"}, 422, 40010001, "invalid qty"),
        ({"qty": True}, 422, 40010001, "invalid qty"),
        ({"qty": ["1"]}, 422, 40010001, "invalid qty"),
        ({"qty": "1e99"}, 422, 40010001, "invalid qty"),
        ({"qty": None}, 422, 40010001, "qty or notional is required"),
        ({"notional": "5"}, 422, 40010001, "only one of qty or notional is accepted"),
        ({"qty": "1.0000000001"}, 422, 40010001, "qty can have at most 9 decimal places"),
        ({"side": "long"}, 422, 40010001, "invalid side"),
        ({"type": None}, 422, 40010001, "type is required"),
        ({"type": "stop", "stop_price": "1"}, 422, 42210000, "stop price must be greater than current price"),
        ({"time_in_force": "opg"}, 403, 40310000, "opg orders must be submitted after 7:00pm and before 9:28am"),
        ({"order_class": "bracket"}, 422, 40010001, None),
        ({"extended_hours": True}, 422, 42210000, "extended hours order must be DAY or GTC limit orders"),
        ({"symbol": "ZZZZ"}, 422, 42210000, 'asset "ZZZZ" not found'),
        ({"symbol": {"a": 1}}, 422, 40010001, "symbol is required"),
        ({"limit_price": "5"}, 422, 40010001, "market orders require no stop or limit price"),
        ({"type": "limit"}, 422, 40010001, "limit orders require a limit price"),
        ({"type": "limit", "limit_price": "-1"}, 422, 40010001, "limit price must be > 0"),
        (
            {"type": "limit", "limit_price": 290.123},
            422,
            42210000,
            "invalid limit_price 290.123. sub-penny increment does not fulfill minimum pricing criteria",
        ),
        ({"qty": "0.5", "time_in_force": "gtc"}, 422, 42210000, "fractional orders must be DAY orders"),
        ({"qty": "0.5", "side": "sell"}, 422, 42210000, "fractional orders cannot be sold short"),
        ({"qty": "0.5", "symbol": "ZAAC"}, 422, 42210000, "requested asset is not fractionable"),
        ({"symbol": "ZAAC", "side": "sell"}, 422, 42210000, 'asset "ZAAC" cannot be sold short'),
        (
            {"client_order_id": "x" * 129},
            422,
            40010001,
            "client_order_id must be no more than 128 characters",
        ),
        ({"client_order_id": "a\nb"}, 422, 40010001, "invalid client_order_id"),
        ({"position_intent": "sell_to_close"}, 422, 42210000, None),
        ({"qty": None, "notional": "0.5"}, 403, 40310000, "cost basis must be >= minimal amount of order 1"),
        ({"qty": "100000"}, 403, 40310000, "insufficient buying power"),
    ],
)
def test_an_order_that_breaks_a_rule_is_refused_with_its_code(
    trading: World, change: dict[str, Any], status: int, code: int, message: str | None
) -> None:
    body = {name: value for name, value in (ORDER | change).items() if value is not None}
    answer = trading.ask("POST", "/v2/orders", body)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert message in (None, answer.json["message"])
    assert trading.events()[-1]["event"] == "order_rejected"
    assert trading.get("/v2/orders?status=all") == []


def test_a_client_order_id_is_unique_for_ever(trading: World) -> None:
    first = trading.order("AAPL", "buy", 1, client_order_id="once").json
    assert trading.ask("DELETE", f"/v2/orders/{first['id']}").status == 204
    again = trading.order("AAPL", "buy", 1, client_order_id="once")
    assert (again.status, again.json["code"]) == (422, 40010001)
    assert trading.get("/v2/orders:by_client_order_id?client_order_id=once")["id"] == first["id"]


def test_sizes_and_prices_are_accepted_as_json_numbers_and_as_strings(trading: World) -> None:
    price = trading.get("/v2/stocks/quotes/latest?symbols=AAPL")["quotes"]["AAPL"]["ap"]
    for qty, limit in ((2, price), ("2", f"{price:.2f}")):
        answer = trading.order("AAPL", "buy", qty, limit_price=limit)
        assert (answer.status, answer.json["qty"]) == (200, "2")
    float_noise = trading.ask(
        "POST",
        "/v2/orders",
        b'{"symbol":"SPY","side":"buy","type":"market","time_in_force":"day","qty":0.30000000000000004}',
    )
    assert float_noise.json["qty"] == "0.3"


def test_opposite_orders_that_could_trade_with_each_other_are_refused(trading: World) -> None:
    resting = trading.order("AAPL", "buy", 1, limit_price="100").json
    market = trading.order("AAPL", "sell", 1)
    assert (market.status, market.json["code"]) == (403, 40310000)
    assert market.json["reject_reason"] == "opposite side limit order exists"
    assert market.json["existing_order_id"] == resting["id"]
    crossing = trading.order("AAPL", "sell", 1, limit_price="99")
    assert crossing.json["message"] == "potential wash trade detected. use complex orders"
    apart = trading.order("AAPL", "sell", 1, limit_price="900")
    assert apart.json["message"] == "cannot open a short sell while a long buy order is open"


def test_shares_claimed_by_one_sale_are_not_available_to_another(trading: World) -> None:
    trading.order("AAPL", "buy", 10)
    trading.tick(seconds=60)
    first = trading.order("AAPL", "sell", 7, limit_price="900").json
    second = trading.order("AAPL", "sell", 4, limit_price="900")
    assert second.status == 403
    assert second.json == {
        "code": 40310000,
        "message": "insufficient qty available for order (requested: 4, available: 3)",
        "available": "3",
        "existing_qty": "10",
        "held_for_orders": "7",
        "related_orders": [first["id"]],
        "symbol": "AAPL",
    }
    assert trading.get("/v2/positions/AAPL")["qty_available"] == "3"


def test_open_orders_reserve_buying_power_until_they_end(trading: World) -> None:
    before = Decimal(trading.get("/v2/account")["buying_power"])
    order = trading.order("AAPL", "buy", 10, limit_price="100").json
    assert Decimal(trading.get("/v2/account")["buying_power"]) == before - 1000
    trading.ask("DELETE", f"/v2/orders/{order['id']}")
    assert Decimal(trading.get("/v2/account")["buying_power"]) == before


def test_a_day_order_expires_at_the_close_and_a_gtc_order_rests(trading: World) -> None:
    day = trading.order("AAPL", "buy", 1, limit_price="1").json
    resting = trading.order("AAPL", "buy", 1, limit_price="1", time_in_force="gtc").json
    trading.tick(to="close")
    assert trading.get(f"/v2/orders/{day['id']}")["status"] == "expired"
    assert trading.get(f"/v2/orders/{day['id']}")["expired_at"] == "2025-03-03T21:00:00.000000000Z"
    assert [order["id"] for order in trading.get("/v2/orders")] == [resting["id"]]


def test_an_order_placed_while_the_market_is_closed_waits_for_the_open(world: World) -> None:
    order = world.order("AAPL", "buy", 1).json
    assert order["status"] == "accepted"
    world.tick(to="open")
    assert world.get(f"/v2/orders/{order['id']}")["status"] == "new"
    world.tick(seconds=60)
    filled = world.get(f"/v2/orders/{order['id']}")
    assert (filled["status"], filled["filled_at"]) == ("filled", "2025-03-03T14:31:00.000000000Z")


def test_canceling_an_order_that_has_ended_or_does_not_exist_is_refused(trading: World) -> None:
    first, second, third, _ = (trading.order("SPY", "buy", 1, limit_price="1").json["id"] for _ in range(4))
    trading.order("AAPL", "buy", 1)
    trading.tick(seconds=60)
    trading.ask("DELETE", f"/v2/orders/{first}")
    trading.ask("PATCH", f"/v2/orders/{second}", {"limit_price": "2"})
    reject(trading.engine, trading.engine.main.order(third))
    trading.tick(to="close")
    ended = trading.get("/v2/orders?status=closed")
    assert {order["status"] for order in ended} == TERMINAL
    for order in ended:
        for _ in range(2):
            refused = trading.ask("DELETE", f"/v2/orders/{order['id']}")
            why = f'order is already in "{order["status"]}" state'
            assert (refused.status, refused.json) == (422, {"code": 42210000, "message": why})
    assert trading.get("/v2/orders?status=closed") == ended
    missing = trading.ask("DELETE", "/v2/orders/00000000-0000-4000-8000-000000000000")
    assert (missing.status, missing.json["code"]) == (404, 40410000)


def test_canceling_all_orders_reports_success_for_each_member_of_a_group(trading: World) -> None:
    trading.order("AAPL", "buy", 1)
    trading.tick(seconds=60)
    prices = {"take_profit": {"limit_price": "9999"}, "stop_loss": {"stop_price": "1"}}
    pair = trading.order("AAPL", "sell", 1, type="limit", limit_price="9999", order_class="oco", **prices).json
    rows = trading.ask("DELETE", "/v2/orders").json
    assert [(row["id"], row["status"]) for row in rows] == [(pair["id"], 200), (pair["legs"][0]["id"], 200)]


def test_all_orders_are_canceled_and_all_positions_closed_at_once(trading: World) -> None:
    trading.order("AAPL", "buy", 10)
    trading.order("SPY", "sell", 3)
    trading.tick(seconds=60)
    trading.order("AAPL", "sell", 10, limit_price="900")
    held = trading.ask("DELETE", "/v2/positions")
    assert held.status == 207
    assert {row["symbol"]: row["status"] for row in held.json} == {"AAPL": 403, "SPY": 200}
    closed = trading.ask("DELETE", "/v2/positions?cancel_orders=True")
    assert [row["status"] for row in closed.json] == [200, 200]
    trading.tick(seconds=60)
    assert trading.get("/v2/positions") == []
    assert trading.ask("DELETE", "/v2/orders").json == []


def test_a_position_is_closed_by_quantity_or_by_percentage(trading: World) -> None:
    trading.order("AAPL", "buy", 10)
    trading.tick(seconds=60)
    assert trading.ask("DELETE", "/v2/positions/AAPL?percentage=50").json["qty"] == "5"
    assert trading.ask("DELETE", "/v2/positions/AAPL?qty=2").json["qty"] == "2"
    assert trading.ask("DELETE", "/v2/positions/AAPL?qty=4").status == 403
    assert trading.ask("DELETE", "/v2/positions/AAPL?qty=1&percentage=5").status == 422
    missing = trading.ask("DELETE", "/v2/positions/SPY")
    assert (missing.status, missing.json["message"]) == (404, "position does not exist")


def test_a_notional_order_spends_its_dollars_and_a_notional_sale_never_turns_short(trading: World) -> None:
    notional = {"symbol": "AAPL", "type": "market", "time_in_force": "day", "notional": "1000"}
    bought = trading.ask("POST", "/v2/orders", notional | {"side": "buy"}).json
    assert (bought["qty"], bought["notional"]) == (None, "1000")
    trading.tick(seconds=60)
    spent = 100_000 - Decimal(trading.get("/v2/account")["cash"])
    assert 0 <= 1000 - spent < Decimal("0.001")
    trading.ask("POST", "/v2/orders", notional | {"side": "sell", "notional": "999"})
    trading.tick(seconds=60)
    assert all(row["side"] == "long" for row in trading.get("/v2/positions"))


def test_fills_are_paged_from_either_end(trading: World) -> None:
    for qty in (1, 2, 3):
        trading.order("AAPL", "buy", qty)
        trading.tick(seconds=60)
    first = trading.get("/v2/account/activities/FILL?page_size=2")
    assert [row["qty"] for row in first] == ["3", "2"]
    second = trading.get(f"/v2/account/activities?activity_types=FILL&page_token={first[-1]['id']}")
    assert [row["qty"] for row in second] == ["1"]
    oldest = trading.get("/v2/account/activities/FILL?direction=asc&page_size=1&date=2025-03-03")
    assert [row["qty"] for row in oldest] == ["1"]
    assert trading.get("/v2/account/activities/DIV") == []
    assert trading.get("/v2/account/activities/FILL?after=2025-03-03T14:42:30Z")[0]["qty"] == "3"


def test_orders_are_listed_by_status_symbol_side_and_time(trading: World) -> None:
    buy = trading.order("AAPL", "buy", 1, limit_price="1").json["id"]
    trading.tick(seconds=60)
    sell = trading.order("SPY", "sell", 1, limit_price="900").json["id"]
    trading.ask("DELETE", f"/v2/orders/{sell}")
    listed = {
        "": [buy],
        "?status=closed": [sell],
        "?status=all": [sell, buy],
        "?status=all&direction=asc": [buy, sell],
        "?status=all&symbols=SPY": [sell],
        "?status=all&side=buy": [buy],
        "?status=all&after=2025-03-03T14:40:00Z": [sell],
        "?status=all&until=2025-03-03T14:41:00Z": [buy],
        "?status=all&limit=1": [sell],
    }
    assert {q: [order["id"] for order in trading.get("/v2/orders" + q)] for q in listed} == listed


def test_keys_are_asked_for_on_each_face(world: World) -> None:
    trading = world.ask("GET", "/v2/account", headers={"APCA-API-KEY-ID": "only one"})
    assert (trading.status, trading.json) == (401, {"message": "unauthorized."})
    flow = world.ask("GET", "/api/darkpool/AAPL", headers={"Authorization": "Bearer "})
    assert flow.status == 401
    assert not [name for name in flow.headers if name.startswith("x-uw")]
    assert world.ask("GET", "/exchange/v1/status", headers={}).status == 200


def test_a_gtc_order_lives_ninety_days_and_is_canceled_on_the_afternoon_before_it_would_be_older(
    tmp_path: Path,
) -> None:
    create(tmp_path, MarketSpec(symbols=("ZAAC",), sessions=65, start=date(2025, 3, 3)))
    world = open_world(tmp_path)
    world.tick(to="open")
    order = world.order("ZAAC", "buy", 1, limit_price="1", time_in_force="gtc").json
    # 2025-06-01 is a Sunday: no session lies between the afternoon of Friday the 30th and that one.
    assert order["expires_at"] == "2025-06-01T20:15:00.000000000Z"
    world.tick(to="2025-05-30T20:14:59Z")
    assert world.get(f"/v2/orders/{order['id']}")["status"] == "new"
    world.tick(to="2025-05-30T20:15:00.000000000Z")
    ended = world.get(f"/v2/orders/{order['id']}")
    assert (ended["status"], ended["canceled_at"], ended["expired_at"]) == (
        "canceled",
        "2025-05-30T20:15:00.000000000Z",
        None,
    )
    assert world.events()[-2]["event"] == "order_canceled"


def test_an_asset_that_there_is_not_comes_before_the_rules_of_fractions(trading: World) -> None:
    odd = {"symbol": "NOPE", "side": "buy", "type": "limit", "qty": "0.5", "limit_price": "1", "time_in_force": "gtc"}
    unknown = trading.ask("POST", "/v2/orders", odd)
    assert (unknown.status, unknown.json["message"]) == (422, 'asset "NOPE" not found')
    known = trading.ask("POST", "/v2/orders", odd | {"symbol": "AAPL"})
    assert known.json["message"] == "fractional orders must be DAY orders"
    unreadable = trading.ask("POST", "/v2/orders", odd | {"side": "up"})
    assert unreadable.json["message"] == "invalid side"
