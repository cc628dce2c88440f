"""Positions that change without an order: which orders still make sense, and what the day has made of the shares."""

from decimal import Decimal

import pytest

from tests.exchange.pit import Pit, pair
from tests.exchange.worlds import World
from tradebot.exchange.engine.account import Activity
from tradebot.exchange.engine.expiry import move
from tradebot.exchange.market.fill import NEXT_BAR


def journal(pit: Pit, qty: int) -> None:
    move(pit.engine, pit.account, Activity("JNLS", None, "AAA", "stock journal", Decimal(qty), Decimal(100)))


def test_an_order_to_close_goes_when_a_journal_has_turned_the_position() -> None:
    pit = Pit()
    pit.hold(10)
    order = pit.order("sell", 10)
    journal(pit, -15)
    pit.pass_minutes(2)
    assert order.status == "canceled"
    assert pit.account.qty("AAA") == -5
    assert pit.account.held("AAA") == 0


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_an_order_to_open_goes_when_a_journal_has_brought_the_other_side(side: str) -> None:
    pit = Pit()
    order = pit.order(side, 10)
    journal(pit, -4 if side == "buy" else 4)
    pit.pass_minutes(2)
    assert order.status == "canceled"
    assert abs(pit.account.qty("AAA")) == 4
    assert pit.account.reserved == 0


def test_of_orders_to_close_more_than_is_left_the_newest_go() -> None:
    pit = Pit()
    pit.hold(10)
    oldest, middle, newest = (pit.order("sell", qty, limit=120) for qty in (3, 4, 3))
    buying = pit.order("buy", 5, "BBB", limit=90)
    journal(pit, -2)
    assert [order.status for order in (oldest, middle, newest, buying)] == ["new", "new", "canceled", "new"]
    assert pit.account.held("AAA") == 7
    journal(pit, -8)
    assert (oldest.status, middle.status) == ("canceled", "canceled")
    assert pit.account.held("AAA") == 0


@pytest.mark.parametrize(("journaled", "status"), [((5, -5), "new"), ((-1,), "canceled")])
def test_pair_stays_while_a_journal_leaves_its_shares_and_goes_whole_when_it_does_not(
    journaled: tuple[int, ...], status: str
) -> None:
    pit = Pit()
    order, leg = pair(pit)
    for qty in journaled:
        journal(pit, qty)
    assert [order.status, leg.status] == [status, status]


def test_a_replacement_on_its_way_goes_with_the_shares_that_it_asks_for() -> None:
    pit = Pit(spec=NEXT_BAR._replace(latency_s=90))
    pit.hold(10)
    old = pit.order("sell", 5, limit=120)
    new = pit.replace(old, qty=10)
    journal(pit, -3)
    assert (old.status, new.status) == ("new", "canceled")
    assert pit.account.held("AAA") == 5


def test_an_order_to_close_never_adds_to_the_other_side() -> None:
    pit = Pit({10: (89, 10_000), 11: (89, 10_000), 12: (95, 10_000)})
    pit.hold(10)
    # At a lower price these dollars are worth more shares than they have claimed: they take all.
    pit.order("sell", 0, notional=899)
    left = pit.order("sell", 1, limit=91)
    pit.pass_minutes(1)
    assert pit.account.positions == {}
    pit.order("sell", 3)
    pit.pass_minutes(2)
    assert left.status == "canceled"
    assert pit.account.qty("AAA") == -3


def test_an_assignment_takes_the_orders_on_the_shares_that_it_takes(world: World) -> None:
    world.tick(to="open")
    journal_entry(world, symbol="AAPL", qty=100, price="200")
    journal_entry(world, symbol="AAPL250321C00001000", qty=-1)
    order = world.order("AAPL", "sell", 100, limit_price="9999").json
    ended = {"type": "option_assignment", "symbol": "AAPL250321C00001000"}
    assert world.ask("POST", "/exchange/v1/actions", ended).status == 200
    assert world.get("/v2/positions") == []
    assert world.get(f"/v2/orders/{order['id']}")["status"] == "canceled"


def journal_entry(world: World, **body: object) -> None:
    assert world.ask("POST", "/exchange/v1/journal", body).status == 200


def position(world: World) -> dict[str, Decimal]:
    (shown,) = world.get("/v2/positions")
    return {name: Decimal(shown[name]) for name in ("qty", "current_price", "lastday_price", *INTRADAY)}


INTRADAY = ("unrealized_intraday_pl", "unrealized_intraday_plpc")


def made(seen: dict[str, Decimal], shares: int, since: Decimal) -> bool:
    gain = shares * (seen["current_price"] - since)
    relative = gain / abs(shares * since)
    return abs(seen[INTRADAY[0]] - gain) < Decimal("1e-8") and abs(seen[INTRADAY[1]] - relative) < Decimal("1e-8")


def test_shares_of_today_gain_from_their_price_and_those_of_yesterday_from_the_close(world: World) -> None:
    world.tick(to="open")
    journal_entry(world, symbol="AAPL", qty=10, price="150")
    assert made(position(world), 10, Decimal(150))
    world.tick(to="close")
    # The day is over: what it made is counted from its own close on.
    closed = position(world)
    assert closed["lastday_price"] == closed["current_price"]
    assert closed[INTRADAY[0]] == 0
    world.tick(to="next_open")
    world.tick(seconds=600)
    seen = position(world)
    assert made(seen, 10, seen["lastday_price"])
    assert seen["lastday_price"] == closed["current_price"]
    journal_entry(world, symbol="AAPL", qty=10, price="160")
    both = position(world)
    # All shares have the average price of 155; the ten of yesterday are measured from the close.
    since = (both["lastday_price"] + 155) / 2
    assert made(both, 20, since)


def test_shares_that_were_sold_and_bought_again_are_of_today(world: World) -> None:
    world.tick(to="open")
    journal_entry(world, symbol="AAPL", qty=-10, price="150")
    world.tick(to="next_open")
    world.tick(seconds=600)
    journal_entry(world, symbol="AAPL", qty=15, price="160")
    assert made(position(world), 5, Decimal(160))
    journal_entry(world, symbol="AAPL", qty=-5, price="160")
    journal_entry(world, symbol="AAPL", qty=-10, price="170")
    assert made(position(world), -10, Decimal(170))


def test_a_split_and_a_new_name_keep_what_was_held_overnight(world: World) -> None:
    world.tick(to="open")
    journal_entry(world, symbol="AAPL", qty=10, price="150")
    for action in (
        {"type": "forward_split", "new_rate": 2, "old_rate": 1},
        {"type": "name_change", "new_symbol": "PEAR"},
    ):
        assert world.ask("POST", "/exchange/v1/actions", {"symbol": "AAPL", **action}).status == 200
    world.tick(to="next_open")
    world.tick(seconds=600)
    seen = position(world)
    assert seen["qty"] == 20
    assert made(seen, 20, seen["lastday_price"])
