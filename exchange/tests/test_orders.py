"""Orders through the trading face: what is accepted, what is refused and how, what becomes of them."""

from datetime import date
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


def test_a_position_is_closed_by_quantity_or_by_percentage(trading: World) -> None:
    trading.order("AAPL", "buy", 10)
    trading.tick(seconds=60)
    assert trading.ask("DELETE", "/v2/positions/AAPL?percentage=50").json["qty"] == "5"
    assert trading.ask("DELETE", "/v2/positions/AAPL?qty=2").json["qty"] == "2"
    assert trading.ask("DELETE", "/v2/positions/AAPL?qty=4").status == 403
    assert trading.ask("DELETE", "/v2/positions/AAPL?qty=1&percentage=5").status == 422
    missing = trading.ask("DELETE", "/v2/positions/SPY")
    assert (missing.status, missing.json["message"]) == (404, "position does not exist")


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
