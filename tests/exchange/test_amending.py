"""Executions that the venue busts or corrects: cash, position and orders are as if they had been so from the start."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exchange.pit import Pit, units
from tests.exchange.served import served
from tests.exchange.worlds import World, open_world
from tradebot.exchange.engine import amending
from tradebot.exchange.engine.account import Activity
from tradebot.exchange.engine.expiry import move
from tradebot.exchange.engine.orders import Execution, Order
from tradebot.exchange.market.fill import NEXT_BAR, PAPER
from tradebot.exchange.refusal import Refusal

EXECUTIONS = "/exchange/v1/executions"
WHOLE = PAPER._replace(partial_rate=Decimal(0))
"""Buys at 100.01, sells at 99.99."""


def fill_of(pit: Pit, order: Order, number: int = 0) -> Execution:
    """Return an execution of an order."""
    made = [one for one in pit.account.activities if isinstance(one, Execution) and one.order is order]
    return made[number]


def bust(pit: Pit, made: Execution) -> Execution:
    return amending.bust(pit.engine, pit.account, made.id)


def correct(pit: Pit, made: Execution, qty: object = None, price: float | None = None) -> Execution:
    shares = None if qty is None else Decimal(str(qty))
    return amending.correct(pit.engine, pit.account, made.id, shares, None if price is None else units(price))


class Stand(NamedTuple):
    """What an account has: cash, and of a symbol its shares, their average price, and those held at the last close."""

    cash: Decimal
    holding: tuple[Decimal, Decimal, Decimal]


def stand(pit: Pit) -> Stand:
    return Stand(pit.account.cash, pit.account.holding("AAA"))


def test_a_busted_fill_leaves_the_account_as_it_was_before_it() -> None:
    pit = Pit(spec=WHOLE)
    before = stand(pit)
    order = pit.order("buy", 10)
    bust(pit, fill_of(pit, order))
    assert stand(pit) == before
    assert pit.account.positions == {}
    assert pit.heard({"a": order})[-2:] == ["10 a fill 10@100.01", "10 a trade_bust 10@100.01"]


def test_an_order_that_was_filled_and_is_not_any_more_is_canceled_and_reserves_nothing() -> None:
    pit = Pit(spec=WHOLE)
    order = pit.order("buy", 10)
    bust(pit, fill_of(pit, order))
    assert (order.status, order.filled_us, order.canceled_us) == ("canceled", None, pit.engine.now_us)
    assert order.filled_qty == order.filled_usd == pit.account.reserved == 0
    pit.pass_minutes(30)
    assert order.filled_qty == 0


def test_an_open_order_has_more_left_to_fill_after_a_bust_and_reserves_it_again() -> None:
    pit = Pit({10: (100, 30), 11: (100, 0)}, NEXT_BAR)
    order = pit.order("buy", 6, limit=100.01)
    pit.pass_minutes(1)
    assert (order.status, order.filled_qty, pit.account.reserved) == ("partially_filled", 3, Decimal("300.03"))  # type: ignore[comparison-overlap]
    bust(pit, fill_of(pit, order))
    assert (order.status, order.filled_qty, pit.account.reserved) == ("new", 0, Decimal("600.06"))  # type: ignore[comparison-overlap]
    pit.pass_minutes(2)
    assert pit.heard()[-1] == "13 fill 6@100.01"
    assert pit.account.qty("AAA") == 6


def test_what_a_replacement_took_over_is_busted_in_it_too() -> None:
    pit = Pit({10: (100, 30), 11: (100, 0)}, NEXT_BAR)
    old = pit.order("buy", 6, limit=100.01)
    pit.pass_minutes(1)
    new = pit.replace(old, limit=100.5)
    bust(pit, fill_of(pit, old))
    assert (old.status, old.filled_qty, new.status, new.filled_qty) == ("replaced", 0, "new", 0)  # type: ignore[comparison-overlap]
    pit.pass_minutes(2)
    assert new.status == "filled"
    assert pit.account.qty("AAA") == new.filled_qty == 6


@pytest.mark.parametrize(
    ("changes", "cash", "holding", "status"),
    [
        ({"price": 99}, Decimal(99_010), (10, 99, 0), "filled"),
        ({"qty": 4}, Decimal("99599.96"), (4, Decimal("100.01"), 0), "canceled"),
        ({"qty": 4, "price": 99}, Decimal(99_604), (4, 99, 0), "canceled"),
    ],
)
def test_a_correction_changes_price_shares_or_both(
    changes: dict[str, Any], cash: Decimal, holding: tuple[Decimal, Decimal, Decimal], status: str
) -> None:
    pit = Pit(spec=WHOLE)
    order = pit.order("buy", 10)
    correct(pit, fill_of(pit, order), **changes)
    assert stand(pit) == (cash, holding)
    assert order.status == status
    assert order.filled_usd == 100_000 - cash


def test_a_sale_that_is_busted_brings_the_shares_back_at_what_they_had_cost() -> None:
    pit = Pit({10: (100, 10_000), 11: (120, 10_000), 12: (150, 10_000)}, WHOLE)
    pit.order("buy", 10)
    pit.pass_minutes(2)
    pit.order("buy", 10)
    before = stand(pit)
    sale = pit.order("sell", 15)
    bust(pit, fill_of(pit, sale))
    assert stand(pit) == before
    assert before.holding[1] == Decimal("110.01")


def test_a_purchase_whose_shares_were_sold_since_leaves_the_account_short() -> None:
    pit = Pit(spec=WHOLE)
    bought = pit.order("buy", 10)
    pit.order("sell", 10)
    bust(pit, fill_of(pit, bought))
    assert pit.account.qty("AAA") == -10
    assert pit.account.cash == 100_000 + 10 * Decimal("99.99")


def test_an_exit_that_closes_more_than_is_left_is_canceled() -> None:
    pit = Pit(spec=WHOLE)
    bought = pit.order("buy", 10)
    leaving = pit.order("sell", 10, limit=200)
    bust(pit, fill_of(pit, bought))
    assert (leaving.status, pit.account.open) == ("canceled", {})
    assert pit.account.held("AAA") == 0


def test_a_correction_can_be_corrected_again_and_busted_and_nothing_is_amended_twice() -> None:
    pit = Pit(spec=WHOLE)
    order = pit.order("buy", 10)
    first = fill_of(pit, order)
    second = correct(pit, first, price=99)
    third = correct(pit, second, qty=5)
    assert stand(pit) == (100_000 - 5 * 99, (5, 99, 0))  # type: ignore[comparison-overlap]
    for done in (first, second):
        with pytest.raises(Refusal, match=r"busted or corrected already"):
            bust(pit, done)
    last = bust(pit, third)
    assert stand(pit) == (100_000, (0, 0, 0))  # type: ignore[comparison-overlap]
    with pytest.raises(Refusal, match=r"busted or corrected already"):
        bust(pit, last)


def test_a_correction_that_is_busted_after_an_earlier_fill_was_brings_no_shares_of_that_back() -> None:
    pit = Pit(spec=WHOLE)
    before = stand(pit)
    first, second = fill_of(pit, pit.order("buy", 10)), fill_of(pit, pit.order("buy", 1))
    corrected = correct(pit, second, price=99)
    bust(pit, first)
    bust(pit, corrected)
    assert stand(pit) == before
    assert pit.account.positions == {}


@pytest.mark.parametrize("changes", [{"qty": 11}, {"qty": 0}, {"qty": 10}, {"price": 100.01}, {}])
def test_a_correction_that_is_none_or_would_be_another_fill_is_refused(changes: dict[str, Any]) -> None:
    pit = Pit(spec=WHOLE)
    order = pit.order("buy", 10)
    before = stand(pit)
    with pytest.raises(Refusal):
        correct(pit, fill_of(pit, order), **changes)
    assert stand(pit) == before


def test_an_execution_before_shares_came_without_an_order_stands() -> None:
    pit = Pit(spec=WHOLE)
    order = pit.order("buy", 10)
    move(pit.engine, pit.account, Activity("JNLS", None, "BBB", "", Decimal(5), Decimal(100)))
    move(pit.engine, pit.account, Activity("JNLS", None, "AAA", "", Decimal(5), Decimal(100)))
    with pytest.raises(Refusal, match="it is too late"):
        bust(pit, fill_of(pit, order))


def test_shares_of_yesterday_that_were_never_bought_were_not_held_overnight() -> None:
    pit = Pit(spec=WHOLE)
    orders = [pit.order("buy", 10), pit.order("buy", 4)]
    pit.to_minute(5, session=1)
    orders.append(pit.order("sell", 2))
    assert pit.account.holding("AAA")[2] == 12
    bust(pit, fill_of(pit, orders[0]))
    assert pit.account.holding("AAA") == (2, Decimal("100.01"), 2)  # type: ignore[comparison-overlap]
    bust(pit, fill_of(pit, orders[2]))
    assert pit.account.holding("AAA") == (4, Decimal("100.01"), 4)  # type: ignore[comparison-overlap]


Deal = tuple[str, int]
DEALS = st.lists(st.tuples(st.sampled_from(("buy", "sell")), st.integers(1, 20)), min_size=1, max_size=8)


def traded(deals: Sequence[Deal]) -> tuple[Pit, list[Order]]:
    """Trade one deal a minute at a price of its own, over a night."""
    prices = {(0 if minute < 4 else 1000) + 10 + minute: (100 + 7 * minute % 11, 10_000) for minute in range(8)}
    pit, orders = Pit(dict(prices), WHOLE), []
    for minute, (side, qty) in enumerate(deals):
        pit.to_minute(11 + minute, session=0 if minute < 4 else 1)
        orders.append(pit.order(side, qty))
    pit.to_minute(30, session=1)
    return pit, orders


def turns(deals: Sequence[Deal]) -> bool:
    """Say whether a deal would take the position through zero, which no order may."""
    held = 0
    for side, qty in deals:
        after = held + (qty if side == "buy" else -qty)
        if held * after < 0:
            return True
        held = after
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
        bust(pit, fill_of(pit, orders[number]))
    cash = Decimal(100_000)
    held = Decimal(0)
    for number, order in enumerate(orders):
        made = fill_of(pit, order)
        if number not in busted:
            cash -= made.shares * Decimal(made.price) / 10_000
            held += made.shares
    assert (pit.account.cash, pit.account.qty("AAA")) == (cash, held)
    kept = [deal for number, deal in enumerate(deals) if number not in busted]
    if not busted or turns(kept):
        return
    same = Pit(spec=WHOLE)
    for number, order in enumerate(orders):
        if number == 4:
            same.account.close_day(same.engine.balances(same.account))
        if number not in busted:
            made = fill_of(pit, order)
            same.account.apply("AAA", made.shares, made.price)
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
    assert world.get("/v2/positions") == []
    assert world.get("/v2/account")["equity"] == "100000"
    assert world.get("/v2/account/portfolio/history?period=1D")["equity"][-1] == 100_000
    world.exchange.commit()
    assert open_world(folder).get("/v2/account/activities/FILL") == rows


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"do": "bust", "execution": "nothing"}, 404, "execution not found for nothing"),
        ({"do": "undo"}, 422, "do is one of bust, correct"),
        ({"do": "bust", "price": "3"}, 400, "there is no field 'price' here"),
        ({"do": "correct", "price": "0"}, 422, "price must be > 0"),
        ({"do": "correct", "qty": "-1"}, 422, "qty must be > 0"),
        ({"do": "correct"}, 422, "the execution is not changed"),
        ({"do": "bust", "account": "bob"}, 404, "there is no account 'bob'"),
    ],
)
def test_control_refuses_what_it_cannot_read(world: World, body: dict[str, Any], status: int, said: str) -> None:
    fill = bought(world)
    answer = world.ask("POST", EXECUTIONS, {"execution": fill["id"]} | body)
    assert (answer.status, said in answer.json["message"]) == (status, True), answer.body


def test_the_stream_tells_of_a_correction_with_the_execution_that_it_corrects(new_folder: Callable[[], Path]) -> None:
    with served(new_folder()) as place:
        place.tick(to="open")
        with place.connect("/stream") as client:
            login = {"action": "auth", "key": "sandbox", "secret": "sandbox"}
            assert client.ask(login)["data"]["status"] == "authorized"
            client.ask({"action": "listen", "data": {"streams": ["trade_updates"]}})
            place.order("AAPL", "buy", 2)
            place.tick(seconds=120)
            updates = [client.get()["data"] for _ in range(3)]
            fill = updates[-1]
            place.ask("POST", EXECUTIONS, {"execution": fill["execution_id"], "do": "correct", "price": "1.00"})
            told = client.get()["data"]
    assert (fill["event"], told["event"]) == ("fill", "trade_correct")
    assert told["previous_execution_id"] == fill["execution_id"] != told["execution_id"]
    assert (told["qty"], told["price"], told["position_qty"]) == ("2", "1", "2")
    assert told["order"]["filled_avg_price"] == "1"


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
