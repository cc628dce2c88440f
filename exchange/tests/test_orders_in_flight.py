"""What happens to an order, and to its replacement, while requests are in transit to the market or the venue acts."""

from decimal import Decimal
from typing import Any

import pytest

from exchange.tests.kit.app import World, open_world
from exchange.tests.kit.pit import LATE, WHOLE, Pit, Story, bracket, buy, do, pair, sell
from papervenue.engine import unsolicited
from papervenue.faults.apply_faults import account_at
from papervenue.market.spec import PAPER
from papervenue.refusal import Refusal


def sent(old: str, new: str, minute: str = "10") -> str:
    """Return what is told when the replacement of an order at the market is sent."""
    return f"{minute} {old} pending_replace, {minute} {new} pending_new"


STORIES = {
    "a leg that comes to the market while its replacement is in transit is replaced there": Story(
        bracket(),
        "10 new held, 11 entry fill 10@100.01, 11 profit new, 11 loss new, 11.5 loss replaced, 11.5 new new, "
        "15 new fill 10@93.99, 15 profit canceled",
        {14: (94, 10_000)},
        (do.replace("loss", "new", stop=96), do.to(11), do.shows("loss", status="pending_replace")),
        spec=LATE,
    ),
    "a second replacement waits until the first has arrived": Story(
        bracket(limit=99),
        "10 first held, 11.5 loss replaced",
        {},
        (
            do.replace("loss", "first", stop=94),
            do.refused("cannot replace order in pending_replace status", "replace", "loss", "second", stop=93),
            do.refused("cannot replace order in pending_new status", "replace", "first", "second", stop=93),
        ),
        spec=LATE,
    ),
    **{
        f"{name} that is being replaced refuses a cancel and goes on": Story(
            orders,
            f"{sent(old, 'new')}, 11.5 {old} replaced, 11.5 new new, 12 new pending_cancel, {ended}",
            {},
            (
                do.replace(old, "new", limit=limit),
                do.refused("order pending replace", "cancel", old),
                do.refused("order pending replace", "cancel", old),
                do.to(12),
                do.cancel("new"),
            ),
            position=10,
            spec=LATE,
        )
        for name, orders, old, limit, ended in (
            ("a single order", {"old": buy(limit=90)}, "old", 91, "13.5 new canceled"),
            ("a pair", pair(), "target", 106, "13.5 new canceled, 13.5 stop canceled"),
        )
    },
    "a scripted fill of a replacement in transit waits until it has taken effect": Story(
        {"old": buy(limit=90)},
        f"{sent('old', 'new')}, 10 new pending_cancel",
        {},
        (do.replace("old", "new", limit=91), do.fate("new", "fill_on_cancel"), do.cancel("new")),
        until=10,
        spec=LATE,
    ),
    "a replacement that expires in transit leaves the old order as it was": Story(
        {"old": buy(limit=90, tif="gtc")},
        f"{sent('old', 'new', '389')}, 390 new expired, 390 old order_replace_rejected",
        {},
        (do.replace("old", "new", time_in_force="day"), do.to(395), do.shows("old", status="new")),
        minute=389,
        spec=LATE,
    ),
    "on paper a purchase elected while it is being replaced keeps its collar": Story(
        {"old": buy(stop=102)},
        f"{sent('old', 'new', '11')}, 12.5 old replaced, 12.5 new new, 14 new fill 8@104.01",
        {11: (103, 0), 12: (110, 10_000), 13: ((104, 104, 103, 103), 10_000)},
        (do.replace("old", "new", qty=8), do.to(15), do.shows("new", type="stop_limit", limit=1_045_500)),
        minute=11,
        spec=WHOLE._replace(latency_s=90),
    ),
    "an order that the venue cancels rejects the replacement in transit": Story(
        {"old": buy(limit=90)},
        f"{sent('old', 'new')}, 10 old canceled, 11.5 new rejected, 11.5 old order_replace_rejected",
        {},
        (do.replace("old", "new", limit=91), do.venue(unsolicited.cancel, "old")),
        spec=LATE,
    ),
    "a cancel that is rejected when it arrives leaves a part that was filled meanwhile": Story(
        {"old": buy(qty=6, limit=100.01)},
        "10.75 old pending_cancel, 11 old partial_fill 3@100.01, 12.25 old order_cancel_rejected",
        {10: (100, 30), 11: None},
        (do.to(10.75), do.fate("old", "reject"), do.cancel("old")),
        until=12.5,
        spec=LATE,
    ),
    "a suspended order holds what it held and can be canceled but not replaced": Story(
        {"a": buy(limit=90)},
        "10 a suspended, 10 a canceled",
        {},
        (
            do.venue(unsolicited.suspend_order, "a"),
            do.reserves(900),
            do.refused("cannot replace order in suspended status", "replace", "a", "b", limit=91),
            do.cancel("a"),
        ),
    ),
    "a suspended day order expires at the close": Story(
        {"a": buy(limit=90)},
        "380 a suspended, 390 a expired",
        {},
        (do.venue(unsolicited.suspend_order, "a"),),
        minute=380,
        until=391,
    ),
    "a stopped order that fills in part is at the market with the rest": Story(
        {"a": buy(qty=100, limit=99)},
        "10 a stopped, 11 a partial_fill 42@99.00, 13 a partial_fill 2@98.01",
        {12: (98, 10_000)},
        (do.venue(unsolicited.stop, "a"), do.to(11), do.shows("a", status="partially_filled")),
        spec=PAPER._replace(partial_rate=Decimal(1)),
    ),
    "a restated order keeps its id and reserves what it needs": Story(
        {"a": buy(limit=90)},
        "10.5 a restated, 12 a fill 20@98.00",
        {10: ((100, 100, 97, 99), 10_000), 11: ((100, 100, 97, 99), 10_000)},
        (do.to(10.5), do.restate("a", qty=20, limit=98), do.reserves(1960)),
    ),
    "a changed stop is elected by its new price": Story(
        {"a": sell(stop=90)},
        "10 a restated, 13 a fill 10@94.99",
        {12: (95, 10_000)},
        (do.restate("a", stop=96),),
        position=10,
    ),
    "a change that the owner could not have asked for is refused and changes nothing": Story(
        {"a": buy(limit=100.01)},
        "11 a partial_fill 3@100.01",
        {10: (100, 30)},
        (
            do.to(11),
            do.refused("qty must be > filled_qty", "restate", "a", qty=3),
            do.refused("insufficient buying power", "restate", "a", qty=1_000_000),
            do.refused("order parameters are not changed", "restate", "a", limit=100.01),
            do.refused("must not have stop_price", "restate", "a", stop=90),
            do.shows("a", qty=10, limit=1_000_100, stop=None, reserve=1_000_100),
            do.reserves("700.07"),
        ),
        until=11,
    ),
    **{
        f"an ended order refuses to be {word}": Story(
            {"a": buy(qty=1)}, "10 a fill 1@100.01", {}, (do.refused(message, "venue", act, "a"),), spec=WHOLE
        )
        for word, act, message in (
            ("resumed", unsolicited.resume_order, "filled: only one that is suspended or stopped can be resumed"),
            ("suspended", unsolicited.suspend_order, "filled: only one that is new or partially_filled can be susp"),
            ("stopped", unsolicited.stop, "order is filled: only one that is new or partially_filled can be stopped"),
            ("canceled", unsolicited.cancel, 'order is already in "filled" state'),
        )
    },
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_orders_with_requests_in_transit_live_as_their_story_says(story: Story) -> None:
    assert story.play() == story.expected


def test_canceling_all_orders_ends_a_chain_that_is_on_its_way(world: World) -> None:
    world.engine.latency_us = 90_000_000
    world.tick(to="open")
    old = world.order("AAPL", "buy", 1, limit_price=1).json
    new = world.ask("PATCH", f"/v2/orders/{old['id']}", {"limit_price": "2"}).json
    rows = {row["id"]: row for row in world.ask("DELETE", "/v2/orders").json}
    assert {order: row["status"] for order, row in rows.items()} == {old["id"]: 500, new["id"]: 200}
    assert rows[old["id"]]["body"]["code"] == 42210000
    world.tick(seconds=180)
    assert [order["status"] for order in world.get("/v2/orders?status=all")] == ["canceled", "replaced"]


def test_an_account_as_it_was_shows_a_replacement_that_had_not_taken_effect_without_fills() -> None:
    pit = Pit({10: (100, 30)}, LATE)
    old = pit.order("buy", 10, limit=101)
    new = pit.replace(old, limit=102)
    pit.pass_minutes(1.25)
    seen_us = pit.engine.now_us
    pit.pass_minutes(1)
    assert (old.status, new.status) == ("replaced", "partially_filled")
    then = account_at(pit.account, seen_us)
    assert [order.filled_qty for order in then.orders.values()] == [3, 0]
    assert [order.status for order in then.orders.values()] == ["partially_filled", "pending_new"]
    assert [order.filled_qty for order in account_at(pit.account, pit.engine.now_us).orders.values()] == [3, 3]


def test_a_replacement_loses_its_place_in_time_and_keeps_its_high_water_mark() -> None:
    pit = Pit({10: ((100, 104, 100, 103), 1000)})
    pit.hold(10)
    old = pit.order("sell", 10, trail_price=5)
    pit.pass_minutes(1)
    new = pit.replace(old, trail=Decimal(2))
    assert (new.hwm, new.stop, new.sequence > old.sequence) == (104_0000, 102_0000, True)


@pytest.mark.parametrize(
    ("entry", "change", "message"),
    [
        ({"trail_price": 2}, {"trail": Decimal("2.005")}, "sub-penny"),
        ({"trail_percent": Decimal(2)}, {"trail": Decimal(100)}, "trail_percent must be < 100"),
        ({"limit": 120, "extended_hours": True}, {"time_in_force": "cls"}, "extended hours order must be DAY or GTC"),
        ({"limit": 120, "qty": "1.5"}, {"time_in_force": "gtc"}, "fractional orders must be DAY orders"),
    ],
)
def test_a_changed_order_keeps_the_rules_of_a_new_one(
    entry: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    pit = Pit()
    pit.hold(10)
    order = pit.order("sell", entry.pop("qty", 10), **entry)
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


ORDERS = "/exchange/v1/orders"


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
