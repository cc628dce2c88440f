"""Orders through the trading face: what is accepted, what is refused and how, what becomes of them."""

from datetime import date
from decimal import Decimal
from pathlib import Path

from exchange.tests.kit.app import World, open_world
from papervenue.engine.order_lifecycle import reject
from papervenue.engine.orders import TERMINAL
from papervenue.market.spec import MarketSpec
from papervenue.process import create

ORDER = {"symbol": "AAPL", "side": "buy", "type": "market", "time_in_force": "day", "qty": "1"}


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
    closed = trading.ask("DELETE", "/v2/positions")
    assert (closed.status, {row["symbol"]: row["status"] for row in closed.json}) == (207, {"AAPL": 403, "SPY": 200})
    assert [row["status"] for row in trading.ask("DELETE", "/v2/positions?cancel_orders=True").json] == [200, 200]
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


def test_a_gtc_order_lives_ninety_days_and_is_canceled_on_the_afternoon_before_it_would_be_older(
    tmp_path: Path,
) -> None:
    create(tmp_path, MarketSpec(symbols=("ZAAC",), sessions=65, start=date(2025, 3, 3)))
    world = open_world(tmp_path, to="open")
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
