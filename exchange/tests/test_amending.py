"""Executions that the venue busts or corrects: cash, position and orders are as if they had been so from the start."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.tests.kit.app import World, open_world
from exchange.tests.kit.pit import WHOLE, Pit, Story, buy, do, executions_of, sell
from exchange.tests.kit.served import served
from papervenue.engine.orders import Execution, Order
from papervenue.shares.amending import bust

EXECUTIONS = "/exchange/v1/executions"
FILLED = {"a": buy()}
PART = {"a": buy(qty=6, limit=100.01)}
DONE = "busted or corrected already"
STORIES = {
    "a busted fill leaves the account as it was and its order canceled": Story(
        FILLED,
        "10 a fill 10@100.01, 10 a trade_bust 10@100.01",
        {},
        (do.amend("a"), do.holds(0, cash=100_000), do.shows("a", status="canceled", filled_us=None, filled_usd=0)),
        until=40,
        spec=WHOLE,
    ),
    "an open order has more left to fill after a bust and reserves it again": Story(
        PART,
        "11 a partial_fill 3@100.01, 11 a trade_bust 3@100.01, 13 a fill 6@100.01",
        {10: (100, 30), 11: (100, 0)},
        (do.to(11), do.reserves("300.03"), do.amend("a"), do.shows("a", status="new"), do.reserves("600.06")),
    ),
    "what a replacement took over is busted in it too": Story(
        PART,
        "11 a partial_fill 3@100.01, 11 a pending_replace, 11 b pending_new, 11 a replaced, 11 b new, "
        "11 a trade_bust 3@100.01, 13 b fill 6@100.01",
        {10: (100, 30), 11: (100, 0)},
        (
            do.to(11),
            do.replace("a", "b", limit=100.5),
            do.amend("a"),
            do.shows("a", status="replaced", filled_qty=0),
            do.shows("b", status="new", filled_qty=0),
        ),
    ),
    **{
        f"a correction changes {what}": Story(
            FILLED,
            f"10 a fill 10@100.01, 10 a trade_correct {reported}",
            {},
            (do.amend("a", **to), do.holds(to.get("qty", 10), average, cash=cash), do.shows("a", status=status)),
            spec=WHOLE,
        )
        for what, to, reported, average, cash, status in (
            ("the price", {"price": 990_000}, "10@99.00", 99, 99_010, "filled"),
            ("the shares", {"qty": Decimal(4)}, "4@100.01", "100.01", "99599.96", "canceled"),
            ("price and shares", {"qty": Decimal(4), "price": 990_000}, "4@99.00", 99, 99_604, "canceled"),
        )
    },
    "a busted purchase whose shares were sold since leaves the account short": Story(
        FILLED | {"b": sell()},
        "10 a fill 10@100.01, 10 b fill 10@99.99, 10 a trade_bust 10@100.01",
        {},
        (do.amend("a"), do.holds(-10, "99.99", cash="100999.9")),
        spec=WHOLE,
    ),
    "an exit that closes more than is left is canceled": Story(
        FILLED | {"exit": sell(limit=200)},
        "10 a fill 10@100.01, 10 a trade_bust 10@100.01, 10 exit canceled",
        {},
        (do.amend("a"),),
        spec=WHOLE,
    ),
    "a correction can be corrected again and busted and nothing is amended twice": Story(
        FILLED,
        "10 a fill 10@100.01, 10 a trade_correct 10@99.00, 10 a trade_correct 5@99.00, 10 a trade_bust 5@99.00",
        {},
        (
            do.amend("a", 0, price=990_000),
            do.amend("a", 1, qty=Decimal(5)),
            do.holds(5, 99, cash=99_505),
            do.refused(DONE, "amend", "a", 0),
            do.refused(DONE, "amend", "a", 1),
            do.amend("a", 2),
            do.holds(0, cash=100_000),
            do.refused(DONE, "amend", "a", 3),
        ),
        spec=WHOLE,
    ),
    "a correction that is busted after an earlier fill was brings no shares of that back": Story(
        FILLED | {"b": buy(qty=1)},
        "10 a fill 10@100.01, 10 b fill 1@100.01, 10 b trade_correct 1@99.00, 10 a trade_bust 10@100.01, "
        "10 b trade_bust 1@99.00",
        {},
        (do.amend("b", price=990_000), do.amend("a"), do.amend("b", 1), do.holds(0, cash=100_000)),
        spec=WHOLE,
    ),
    "a correction that is none or would be another fill is refused": Story(
        FILLED,
        "10 a fill 10@100.01",
        {},
        (
            do.refused("qty must be > 0 and at most what was executed", "amend", "a", qty=Decimal(11)),
            do.refused("qty must be > 0 and at most what was executed", "amend", "a", qty=Decimal(0)),
            do.refused("the execution is not changed", "amend", "a", qty=Decimal(10)),
            do.refused("the execution is not changed", "amend", "a", price=1_000_100),
            do.holds(10, "100.01", cash="98999.9"),
        ),
        spec=WHOLE,
    ),
    "an execution before shares came without an order stands": Story(
        FILLED, "10 a fill 10@100.01", {}, (do.journal(5), do.refused("it is too late", "amend", "a")), spec=WHOLE
    ),
    "shares of yesterday that were never bought were not held overnight": Story(
        FILLED | {"b": buy(qty=4)},
        "10 a fill 10@100.01, 10 b fill 4@100.01, 1445 c pending_new, 1445 c new, 1445 c fill 2@99.99, "
        "1445 a trade_bust 10@100.01, 1445 c trade_bust 2@99.99",
        {},
        (
            do.to(1445),
            do.order("c", **sell(qty=2)),
            do.holds(12, "100.01", 12),
            do.amend("a"),
            do.holds(2, "100.01", 2),
            do.amend("c"),
            do.holds(4, "100.01", 4),
        ),
        spec=WHOLE,
    ),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_amended_executions_change_account_and_orders_as_their_story_says(story: Story) -> None:
    assert story.play() == story.expected


Deal = tuple[str, int]
DEALS = st.lists(st.tuples(st.sampled_from(("buy", "sell")), st.integers(1, 20)), min_size=1, max_size=8)


def traded(deals: Sequence[Deal]) -> tuple[Pit, list[Order]]:
    """Trade one deal a minute at its own price, over a night."""
    prices = {(0 if minute < 4 else 1000) + 10 + minute: (100 + 7 * minute % 11, 10_000) for minute in range(8)}
    pit, orders = Pit(dict(prices), WHOLE), []
    for minute, (side, qty) in enumerate(deals):
        pit.to_minute(11 + minute, session=0 if minute < 4 else 1)
        orders.append(pit.order(side, qty))
    pit.to_minute(30, session=1)
    return pit, orders


def first(pit: Pit, order: Order) -> Execution:
    return executions_of(pit, order)[0]


def turns(deals: Sequence[Deal]) -> bool:
    """Say whether a deal would take the position through zero, which no order may."""
    position = 0
    for side, qty in deals:
        after = position + (qty if side == "buy" else -qty)
        if position * after < 0:
            return True
        position = after
    return False


@given(deals=DEALS, chosen=st.data())
def test_any_fills_busted_in_any_order_leave_what_the_others_alone_would_have_made(
    deals: list[Deal], chosen: st.DataObject
) -> None:
    busted = chosen.draw(st.lists(st.integers(0, len(deals) - 1), unique=True, max_size=3))
    if turns(deals):
        return
    pit, orders = traded(deals)
    for number in busted:
        bust(pit.engine, pit.account, first(pit, orders[number]).id)
    cash = Decimal(100_000)
    position = Decimal(0)
    for number, order in enumerate(orders):
        execution = first(pit, order)
        if number not in busted:
            cash -= execution.shares * Decimal(execution.price) / 10_000
            position += execution.shares
    assert (pit.account.cash, pit.account.qty("AAA")) == (cash, position)
    kept = [deal for number, deal in enumerate(deals) if number not in busted]
    if not busted or turns(kept):
        return
    same = Pit(spec=WHOLE)
    for number, order in enumerate(orders):
        if number == 4:
            same.account.close_day(same.engine.balances(same.account))
        if number not in busted:
            execution = first(pit, order)
            same.account.apply("AAA", execution.shares, execution.price)
    if len(orders) <= 4:
        same.account.close_day(same.engine.balances(same.account))
    assert pit.account.holding("AAA") == same.account.holding("AAA")


def bought(world: World) -> Any:
    """Buy, and return the row of the execution."""
    world.tick(to="open")
    world.order("AAPL", "buy", 2)
    world.tick(seconds=120)
    return world.get("/v2/account/activities")[0]


@pytest.mark.parametrize("whole_id", [True, False])
def test_a_bust_is_a_row_of_its_own_after_the_fill_and_a_replay_gives_it_again(
    new_folder: Callable[[], Path], whole_id: bool
) -> None:
    folder = new_folder()
    world = open_world(folder)
    fill = bought(world)
    name = fill["id"] if whole_id else fill["id"].partition("::")[2]
    answer = world.ask("POST", EXECUTIONS, {"execution": name, "do": "bust"})
    assert answer.status == 200, answer.body
    rows = world.get("/v2/account/activities/FILL")
    assert rows == [answer.json, fill]
    same = {"activity_type": "FILL", "type": "trade_bust", "execution_type": "trade_bust", "cum_qty": "0"}
    same |= {"previous_id": fill["id"].partition("::")[2], "order_status": "canceled", "leaves_qty": "0"}
    assert same.items() <= answer.json.items()
    assert [answer.json[key] == fill[key] for key in ("qty", "price", "side", "symbol", "order_id")] == [True] * 5
    (line,) = [event for event in world.events() if event["event"] == "trade_bust"]
    assert (line["cash"], line["position"], line["previous_id"]) == ("100000", "0", fill["id"])
    assert (world.get("/v2/positions"), world.get("/v2/account")["equity"]) == ([], "100000")
    assert world.get("/v2/account/portfolio/history?period=1D")["equity"][-1] == 100_000
    world.exchange.commit()
    assert open_world(folder).get("/v2/account/activities/FILL") == rows


def test_the_stream_tells_of_a_correction_with_the_execution_that_it_corrects(new_folder: Callable[[], Path]) -> None:
    with served(new_folder()) as server:
        server.tick(to="open")
        with server.connect("/stream") as client:
            login = {"action": "auth", "key": "sandbox", "secret": "sandbox"}
            assert client.ask(login)["data"]["status"] == "authorized"
            client.ask({"action": "listen", "data": {"streams": ["trade_updates"]}})
            server.order("AAPL", "buy", 2)
            server.tick(seconds=120)
            fill = [client.get()["data"] for _ in range(3)][-1]
            server.ask("POST", EXECUTIONS, {"execution": fill["execution_id"], "do": "correct", "price": "1.00"})
            event = client.get()["data"]
    assert (fill["event"], event["event"]) == ("fill", "trade_correct")
    assert event["previous_execution_id"] == fill["execution_id"] != event["execution_id"]
    assert (event["qty"], event["price"], event["position_qty"]) == ("2", "1", "2")
    assert event["order"]["filled_avg_price"] == "1"


def test_an_account_that_is_shown_as_it_was_knows_nothing_of_a_later_bust(world: World) -> None:
    fill = bought(world)
    paths = ("/v2/positions/AAPL", "/v2/account")
    before = [world.get(path) for path in paths]
    stale = {"name": "stale", "what": {"stale_account": "1m"}}
    world.ask("POST", EXECUTIONS, {"execution": fill["id"], "do": "bust"})
    assert world.ask("POST", "/exchange/v1/faults", [stale]).status == 200
    then = [world.get(path) for path in paths]
    assert [row["qty"] for row in (before[0], then[0])] == ["2", "2"]
    assert then[1]["cash"] == before[1]["cash"] != "100000"
