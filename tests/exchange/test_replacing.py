"""Replacing orders: what the new one takes over, what it may ask for, and what happens while it is on its way."""

from decimal import Decimal
from typing import Any

import pytest

from tests.exchange.pit import Pit
from tests.exchange.worlds import World
from tradebot.exchange.engine.actions import schedule
from tradebot.exchange.engine.orders import Order
from tradebot.exchange.market.actions import FORWARD_SPLIT, Action, before_trading
from tradebot.exchange.market.fill import NEXT_BAR
from tradebot.exchange.refusal import Refusal

LATE = NEXT_BAR._replace(latency_s=90)
APART = r"take_profit\.limit_price must be > stop_loss\.stop_price"


def bracket(pit: Pit, **more: Any) -> tuple[Order, Order, Order]:
    order = pit.order("buy", 10, order_class="bracket", take_profit=105, stop_loss=95, **more)
    return order, order.legs[0], order.legs[1]


def pair(pit: Pit, **more: Any) -> tuple[Order, Order]:
    pit.hold(10)
    order = pit.order("sell", 10, order_class="oco", limit=105, take_profit=105, stop_loss=95, **more)
    return order, order.legs[0]


def test_a_replacement_takes_over_what_was_filled_and_the_larger_reserve_is_held() -> None:
    pit = Pit({10: (100, 30)}, LATE)
    old = pit.order("buy", 10, limit=100.5)
    pit.pass_minutes(1)
    assert pit.account.reserved == 7 * Decimal("100.5")
    new = pit.replace(old, qty=20, limit=99)
    assert pit.account.reserved == 17 * 99
    assert (old.status, new.status) == ("pending_replace", "pending_new")
    pit.engine.halted = {"AAA"}
    pit.pass_minutes(2)
    assert pit.heard({"old": old, "new": new})[2:] == [
        *("11 old partial_fill 3@100.01", "11 old pending_replace", "11 new pending_new"),
        *("12.5 old replaced", "12.5 new new"),
    ]
    assert (old.replaced_by, new.replaces, new.status) == (new.id, old.id, "partially_filled")
    assert new.filled_qty == 3
    assert pit.account.reserved == 17 * 99
    assert list(pit.account.open.values()) == [new]


def test_a_replacement_that_comes_after_the_fill_is_rejected() -> None:
    pit = Pit(spec=LATE)
    old = pit.order("buy", 10, limit=101)
    new = pit.replace(old, limit=102)
    pit.pass_minutes(3)
    assert pit.heard({"old": old, "new": new})[2:] == [
        *("10 old pending_replace", "10 new pending_new", "11 old fill 10@100.01"),
        *("11.5 new rejected", "11.5 old order_replace_rejected"),
    ]
    assert (new.status, new.failed_us) == ("rejected", pit.engine.now_us - 90_000_000)
    assert pit.account.reserved == 0


def test_a_replacement_loses_its_place_in_time_and_keeps_its_high_water_mark() -> None:
    pit = Pit({10: ((100, 104, 100, 103), 1000)})
    pit.hold(10)
    old = pit.order("sell", 10, trail_price=5)
    pit.pass_minutes(1)
    new = pit.replace(old, trail=Decimal(2))
    assert (new.hwm, new.stop, new.sequence > old.sequence) == (104_0000, 102_0000, True)


def test_a_leg_that_comes_to_the_market_while_its_replacement_is_on_its_way_is_replaced_there() -> None:
    pit = Pit({14: ((94, 94, 94, 94), 10_000)}, LATE)
    _, profit, loss = bracket(pit)
    new = pit.replace(loss, stop=96)
    assert new.status == "held"
    pit.pass_minutes(1)
    assert loss.status == "new"
    pit.pass_minutes(5)
    assert [order.status for order in (loss, new, profit)] == ["replaced", "filled", "canceled"]
    assert pit.account.positions == {}


def test_a_second_replacement_waits_until_the_first_has_arrived() -> None:
    pit = Pit(spec=LATE)
    _, profit, loss = bracket(pit, limit=99)
    first = pit.replace(loss, stop=94)
    with pytest.raises(Refusal, match="cannot replace order in pending_replace status"):
        pit.replace(loss, stop=93)
    pit.pass_minutes(2)
    assert [order.status for order in (loss, first, profit)] == ["replaced", "held", "held"]


def test_a_replacement_of_a_leg_that_comes_too_late_leaves_its_group_alone() -> None:
    pit = Pit({11: ((106, 106, 106, 106), 40)}, LATE)
    order, leg = pair(pit)
    other = pit.order("buy", 5, "BBB")
    pit.pass_minutes(1)
    new = pit.replace(leg, stop=96)
    pit.cancel(new)
    assert [member.status for member in (order, leg, new)] == ["new", "new", "canceled"]
    pit.pass_minutes(1)
    assert (order.status, other.status) == ("partially_filled", "filled")
    assert leg.qty == 6


@pytest.mark.parametrize(("filled", "status"), [(0, "new"), (3, "partially_filled")])
def test_canceling_a_replacement_on_its_way_leaves_the_old_order_as_it_was(filled: int, status: str) -> None:
    pit = Pit({10: (100, filled * 10)}, LATE)
    old = pit.order("buy", 10, limit=100.5)
    pit.pass_minutes(1)
    new = pit.replace(old, limit=99)
    pit.heard()
    pit.cancel(new)
    assert pit.heard({"old": old, "new": new}) == ["11 new canceled", "11 old order_replace_rejected"]
    assert old.status == status
    assert old.filled_qty == filled
    assert pit.account.reserved == (10 - filled) * Decimal("100.5")
    pit.engine.halted = {"AAA"}
    pit.pass_minutes(5)
    assert (old.status, pit.heard()) == (status, [])
    assert pit.replace(old, limit=98).status == "pending_new"


def test_a_replacement_that_expires_on_its_way_leaves_the_old_order_as_it_was() -> None:
    pit = Pit(spec=LATE, minute=389)
    old = pit.order("buy", 10, limit=90, tif="gtc")
    new = pit.replace(old, time_in_force="day")
    pit.to_minute(395)
    assert pit.heard({"old": old, "new": new})[-2:] == ["390 new expired", "390 old order_replace_rejected"]
    assert old.status == "new"


def test_a_cancel_is_on_its_way_even_behind_a_replacement() -> None:
    pit = Pit(spec=LATE)
    old = pit.order("buy", 10, limit=90)
    new = pit.replace(old, limit=91)
    pit.pass_minutes(1)
    pit.heard()
    pit.cancel(old)
    pit.pass_minutes(3)
    assert pit.heard({"old": old, "new": new}) == [
        *("11 old pending_cancel", "11.5 old replaced", "11.5 new new", "12.5 old order_cancel_rejected"),
    ]


def test_a_replacement_that_cannot_be_leaves_a_cancel_pending() -> None:
    pit = Pit({10: (100, 50), 11: None}, LATE)
    old = pit.order("buy", 10, limit=101)
    new = pit.replace(old, qty=5)
    pit.engine.now_us += 30_000_000
    pit.cancel(old)
    pit.to_minute(11.6)
    assert (new.status, old.status) == ("rejected", "pending_cancel")
    assert old.filled_qty == 5
    pit.to_minute(12)
    assert old.status == "canceled"


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
    assert pit.replace(entry, limit=48).legs == [profit, loss]
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
    assert (lower.legs, moved.parent) == ([moved], lower)


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
