"""What the venue does to an order unsolicited: its word and its status, what it may still do, and what stays exact."""

from decimal import Decimal
from typing import Any

import pytest

from tests.exchange.pit import Pit, replacement
from tests.exchange.worlds import World, open_world
from tradebot.exchange.engine import unsolicited
from tradebot.exchange.market.fill import NEXT_BAR, PAPER
from tradebot.exchange.refusal import Refusal

ORDERS = "/exchange/v1/orders"


@pytest.mark.parametrize(("minutes", "resumed", "filled"), [(5, "15", "16"), (1.5, "11.5", "13")])
def test_suspended_order_trades_from_the_first_bar_that_begins_after_it_is_resumed(
    minutes: float, resumed: str, filled: str
) -> None:
    pit = Pit()
    order = pit.order("buy", 10)
    unsolicited.suspend(pit.engine, order)
    pit.pass_minutes(minutes)
    unsolicited.resume(pit.engine, order)
    pit.pass_minutes(2)
    assert pit.heard()[2:] == ["10 suspended", f"{resumed} restated", f"{filled} fill 10@100.01"]


def test_a_suspended_order_holds_what_it_held_and_can_be_canceled_but_not_replaced() -> None:
    pit = Pit()
    order = pit.order("buy", 10, limit=90)
    held = pit.account.reserved
    unsolicited.suspend(pit.engine, order)
    assert pit.account.reserved == held > 0
    with pytest.raises(Refusal) as refused:
        pit.replace(order, limit=91)
    assert refused.value.body["message"] == "cannot replace order in suspended status"
    pit.cancel(order)
    assert order.status == "canceled"
    assert pit.account.reserved == 0


def test_a_suspended_day_order_expires_at_the_close() -> None:
    pit = Pit(minute=380)
    order = pit.order("buy", 10, limit=90)
    unsolicited.suspend(pit.engine, order)
    pit.to_minute(391)
    assert pit.heard()[2:] == ["380 suspended", "390 expired"]


def test_a_stopped_order_fills_whole_a_minute_later_whatever_the_market_has() -> None:
    pit = Pit({10: (100, 0), 11: (100, 0)})
    order = pit.order("buy", 1500, limit=99)
    pit.pass_minutes(0.5)
    unsolicited.stop(pit.engine, order)
    pit.pass_minutes(2)
    assert pit.heard()[1:] == ["10 new", "10.5 stopped", "11.5 fill 1500@99.00"]
    assert pit.account.qty("AAA") == 1500


def test_a_stopped_order_of_the_last_minute_fills_at_the_close() -> None:
    pit = Pit({389: (100, 0)}, minute=389.5)
    order = pit.order("buy", 5)
    unsolicited.stop(pit.engine, order)
    pit.to_minute(400)
    assert pit.heard()[2:] == ["389.5 stopped", "390 fill 5@100.01"]


def test_stopped_order_that_fills_in_part_is_at_the_market_with_the_rest() -> None:
    pit = Pit(spec=PAPER._replace(partial_rate=Decimal(1)))
    order = pit.order("buy", 100, limit=99)
    unsolicited.stop(pit.engine, order)
    pit.pass_minutes(1)
    assert order.status == "partially_filled"
    assert order in pit.engine.book.orders("AAA")


def test_restated_order_keeps_its_id_and_reserves_what_it_needs() -> None:
    pit = Pit({10: ((100, 100, 97, 99), 10_000), 11: ((100, 100, 97, 99), 10_000)})
    order = pit.order("buy", 10, limit=90)
    pit.pass_minutes(0.5)
    unsolicited.restate(pit.engine, order, replacement(qty=20, limit=98))
    assert pit.account.reserved == 20 * 98
    pit.pass_minutes(2)
    assert pit.heard()[1:] == ["10 new", "10.5 restated", "12 fill 20@98.00"]
    assert (order.status, len(pit.account.orders)) == ("filled", 1)
    assert pit.account.reserved == 0


def test_a_changed_stop_is_elected_by_its_new_price() -> None:
    pit = Pit({12: (95, 10_000)})
    pit.hold(10)
    order = pit.order("sell", 10, stop=90)
    unsolicited.restate(pit.engine, order, replacement(stop=96))
    pit.pass_minutes(4)
    assert pit.heard()[2:] == ["10 restated", "13 fill 10@94.99"]


def test_a_change_that_the_owner_could_not_have_asked_for_is_refused_and_changes_nothing() -> None:
    pit = Pit({10: (100, 30)})
    order = pit.order("buy", 10, limit=100.01)
    pit.pass_minutes(1)
    before = order.qty, order.request, order.reserve, pit.account.reserved, len(pit.events)
    for changes in ({"qty": 3}, {"qty": 1_000_000}, {"limit": 100.01}, {"stop": 90}):
        with pytest.raises(Refusal):
            unsolicited.restate(pit.engine, order, replacement(**changes))
    assert (order.qty, order.request, order.reserve, pit.account.reserved, len(pit.events)) == before


def test_an_order_canceled_by_the_venue_rejects_the_replacement_that_is_on_its_way() -> None:
    pit = Pit(spec=NEXT_BAR._replace(latency_s=30))
    old = pit.order("buy", 10, limit=90)
    new = pit.replace(old, limit=91)
    unsolicited.cancel(pit.engine, old)
    pit.pass_minutes(1)
    assert (old.status, new.status) == ("canceled", "rejected")
    assert pit.account.reserved == 0


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (unsolicited.resume, "order is filled: only one that is suspended or stopped can be resumed"),
        (unsolicited.suspend, "order is filled: only one that is new or partially_filled can be suspended"),
        (unsolicited.stop, "order is filled: only one that is new or partially_filled can be stopped"),
        (unsolicited.cancel, 'order is already in "filled" state'),
    ],
)
def test_ended_order_refuses_to_be_suspended_stopped_resumed_or_canceled(act: Any, said: str) -> None:
    pit = Pit(spec=PAPER._replace(partial_rate=Decimal(0)))
    order = pit.order("buy", 1)
    with pytest.raises(Refusal) as refused:
        act(pit.engine, order)
    assert (refused.value.body["message"], order.status) == (said, "filled")


def rested(world: World) -> Any:
    world.tick(to="open")
    return world.order("AAPL", "buy", 2, limit_price="1.00", client_order_id="low").json


@pytest.mark.parametrize(
    ("steps", "events", "status"),
    [
        ([{"do": "suspend"}, {"do": "resume"}], ["order_suspended", "order_restated"], "new"),
        ([{"do": "stop"}], ["order_stopped"], "stopped"),
        ([{"do": "cancel"}], ["order_canceled"], "canceled"),
        ([{"do": "restate", "qty": 3, "limit_price": "2.00"}], ["order_restated"], "new"),
    ],
)
def test_control_names_an_order_by_either_id_and_a_replay_gives_it_again(
    world: World, steps: list[dict[str, Any]], events: list[str], status: str
) -> None:
    order = rested(world)
    for name, step in zip((order["id"], "low"), steps, strict=False):
        answer = world.ask("POST", ORDERS, {"order": name, **step})
        assert answer.status == 200, answer.body
    assert (answer.json["id"], answer.json["status"]) == (order["id"], status)
    assert [event["event"] for event in world.events() if event.get("order_id") == order["id"]][2:] == events
    world.exchange.commit()
    again = open_world(world.exchange.log.path.parent)
    assert again.get(f"/v2/orders/{order['id']}") == world.get(f"/v2/orders/{order['id']}")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"order": "low", "do": "explode"}, 422, "do is one of suspend, stop, resume, cancel, restate"),
        ({"order": "low", "do": ["stop"]}, 422, "do is one of"),
        ({"order": "low", "do": "stop", "qty": 3}, 400, "there is no field 'qty' here"),
        ({"order": "high", "do": "stop"}, 404, "order not found for high"),
        ({"order": "low", "do": "stop", "account": "bob"}, 404, "there is no account 'bob'"),
        ({"order": "low", "do": "restate"}, 422, "order parameters are not changed"),
        ({"order": "low", "do": "restate", "limit_price": "x"}, 422, "limit_price"),
    ],
)
def test_control_refuses_what_it_cannot_read(world: World, body: dict[str, Any], status: int, said: str) -> None:
    rested(world)
    answer = world.ask("POST", ORDERS, body)
    assert (answer.status, said in answer.json["message"]) == (status, True), answer.body
