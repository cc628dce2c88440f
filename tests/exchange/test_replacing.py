"""Replacing orders: what the new one takes over, and what it may ask for."""

from decimal import Decimal
from typing import Any

import pytest

from tests.exchange.pit import Pit, bracket, pair
from tests.exchange.worlds import World
from tradebot.exchange.engine.actions import schedule
from tradebot.exchange.market.actions import FORWARD_SPLIT, Action, before_trading
from tradebot.exchange.refusal import Refusal

APART = r"take_profit\.limit_price must be > stop_loss\.stop_price"


def test_a_replacement_loses_its_place_in_time_and_keeps_its_high_water_mark() -> None:
    pit = Pit({10: ((100, 104, 100, 103), 1000)})
    pit.hold(10)
    old = pit.order("sell", 10, trail_price=5)
    pit.pass_minutes(1)
    new = pit.replace(old, trail=Decimal(2))
    assert (new.hwm, new.stop, new.sequence > old.sequence) == (104_0000, 102_0000, True)


def test_exits_are_kept_apart_at_the_prices_that_they_have_now() -> None:
    pit = Pit()
    _, profit, loss = bracket(pit)
    pit.pass_minutes(1)
    higher = pit.replace(profit, limit=110)
    for limit in (94.99, 95):
        with pytest.raises(Refusal, match=APART):
            pit.replace(higher, limit=limit)
    assert pit.replace(loss, stop=99).status == "new"
    with pytest.raises(Refusal, match=APART):
        pit.replace(higher, limit=98)


def test_an_entry_is_repriced_by_where_its_exits_stand_now() -> None:
    pit = Pit()
    entry, profit, loss = bracket(pit, limit=97)
    pit.replace(profit, limit=98)
    pit.replace(loss, stop=90)
    with pytest.raises(Refusal, match=r"take_profit\.limit_price must be >= base_price \+ 0\.01"):
        pit.replace(entry, limit=98)
    assert pit.replace(entry, limit=94).status == "new"


def test_a_group_that_a_split_has_restated_is_judged_by_its_new_prices() -> None:
    pit = Pit()
    entry, profit, loss = bracket(pit, limit=97, tif="gtc")
    session = pit.engine.market.calendar.market[1]
    split = Action(FORWARD_SPLIT, "AAA", session.date, before_trading(session), pit.engine.now_us, session.date)
    action = split._replace(new_rate=Decimal(2), old_rate=Decimal(1))
    pit.engine.market.announce(action)
    schedule(pit.engine, action)
    pit.to_minute(5, session=1)
    assert [order.qty for order in (entry, profit, loss)] == [20, 20, 20]
    assert pit.replace(entry, limit=48).legs == (profit, loss)
    with pytest.raises(Refusal, match=r"stop_loss\.stop_price must be <= base_price - 0\.01"):
        pit.replace(loss, stop=48)


def test_a_waiting_exit_is_kept_apart_from_its_entry() -> None:
    pit = Pit()
    _, profit, loss = bracket(pit, limit=97)
    with pytest.raises(Refusal, match=r"take_profit\.limit_price must be >= base_price \+ 0\.01"):
        pit.replace(profit, limit=97)
    with pytest.raises(Refusal, match=r"stop_loss\.stop_price must be <= base_price - 0\.01"):
        pit.replace(loss, stop=97)


def test_the_two_orders_of_a_pair_are_kept_apart() -> None:
    pit = Pit()
    order, leg = pair(pit)
    moved = pit.replace(leg, stop=98)
    with pytest.raises(Refusal, match=APART):
        pit.replace(order, limit=97)
    lower = pit.replace(order, limit=99)
    with pytest.raises(Refusal, match=APART):
        pit.replace(moved, stop=99.5)
    assert (lower.legs, moved.parent) == ((moved,), lower)


def test_an_exit_that_the_other_one_has_left_fewer_shares_can_be_repriced() -> None:
    pit = Pit({10: ((95, 95, 95, 95), 30), 11: (100, 0)})
    order, leg = pair(pit)
    pit.pass_minutes(1)
    assert leg.filled_qty == 3
    assert order.qty == 7
    moved = pit.replace(order, limit=106)
    assert moved.status == "new"
    assert moved.qty == 7
    assert pit.account.held("AAA") == 7


def test_the_limit_of_a_stop_that_the_market_has_passed_can_be_lowered() -> None:
    pit = Pit({10: ((94, 94, 90, 90), 10_000), 11: (90, 10_000)})
    pit.hold(10)
    order = pit.order("sell", 10, order_class="oco", limit=105, take_profit=105, stop_loss=(95, 94.5))
    pit.pass_minutes(1)
    lowered = pit.replace(order.legs[0], limit=89)
    assert lowered.elected
    pit.pass_minutes(1)
    assert (lowered.status, order.status) == ("filled", "canceled")


@pytest.mark.parametrize(
    ("asked", "change", "message"),
    [
        ({"trail_price": 2}, {"trail": Decimal("2.005")}, "sub-penny"),
        ({"trail_percent": Decimal(2)}, {"trail": Decimal(100)}, "trail_percent must be < 100"),
        ({"limit": 120, "extended_hours": True}, {"time_in_force": "cls"}, "extended hours order must be DAY or GTC"),
        ({"limit": 120, "qty": "1.5"}, {"time_in_force": "gtc"}, "fractional orders must be DAY orders"),
    ],
)
def test_a_changed_order_keeps_the_rules_of_a_new_one(
    asked: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    pit = Pit()
    pit.hold(10)
    order = pit.order("sell", asked.pop("qty", 10), **asked)
    with pytest.raises(Refusal, match=message):
        pit.replace(order, **change)
    assert order.status == "new"


def test_the_answer_to_a_replacement_of_a_group_s_first_order_shows_the_legs(world: World) -> None:
    world.tick(to="open")
    price = world.get("/v2/stocks/AAPL/trades/latest")["trade"]["p"]
    prices = {name: f"{price * share:.2f}" for name, share in (("entry", 0.9), ("gain", 1.2), ("stop", 0.7))}
    legs = {"take_profit": {"limit_price": prices["gain"]}, "stop_loss": {"stop_price": prices["stop"]}}
    placed = world.order("AAPL", "buy", 1, limit_price=prices["entry"], order_class="bracket", **legs).json
    changed = world.ask("PATCH", f"/v2/orders/{placed['id']}", {"limit_price": f"{price * 0.91:.2f}"}).json
    assert [leg["id"] for leg in changed["legs"]] == [leg["id"] for leg in placed["legs"]]
    assert world.ask("PATCH", f"/v2/orders/{placed['legs'][0]['id']}", {"limit_price": "9999"}).json["legs"] is None
