"""Positions that change without an order: which orders still make sense, and what the day has made of the shares."""

from decimal import Decimal

from exchange.tests.kit.app import World


def test_an_assignment_takes_the_orders_on_the_shares_that_it_takes(world: World) -> None:
    world.tick(to="open")
    journal_entry(world, symbol="AAPL", qty=100, price="200")
    journal_entry(world, symbol="AAPL250321C00001000", qty=-1)
    order = world.order("AAPL", "sell", 100, limit_price="9999").json
    ended = {"type": "option_assignment", "symbol": "AAPL250321C00001000"}
    assert world.ask("POST", "/exchange/v1/actions", ended).status == 200
    assert (world.get("/v2/positions"), world.get(f"/v2/orders/{order['id']}")["status"]) == ([], "canceled")


def journal_entry(world: World, **body: object) -> None:
    assert world.ask("POST", "/exchange/v1/journal", body).status == 200


def position(world: World) -> dict[str, Decimal]:
    (shown,) = world.get("/v2/positions")
    return {name: Decimal(shown[name]) for name in ("qty", "current_price", "lastday_price", *INTRADAY)}


INTRADAY = ("unrealized_intraday_pl", "unrealized_intraday_plpc")


def has_gain(seen: dict[str, Decimal], shares: int, since: Decimal) -> bool:
    gain = shares * (seen["current_price"] - since)
    relative = gain / abs(shares * since)
    return abs(seen[INTRADAY[0]] - gain) < Decimal("1e-8") and abs(seen[INTRADAY[1]] - relative) < Decimal("1e-8")


def test_shares_of_today_gain_from_their_price_and_those_of_yesterday_from_the_close(world: World) -> None:
    world.tick(to="open")
    journal_entry(world, symbol="AAPL", qty=10, price="150")
    assert has_gain(position(world), 10, Decimal(150))
    world.tick(to="close")
    # The day is over: what it made is counted from its own close on.
    closed = position(world)
    assert closed["lastday_price"] == closed["current_price"]
    assert closed[INTRADAY[0]] == 0
    world.tick(to="next_open")
    world.tick(seconds=600)
    seen = position(world)
    assert has_gain(seen, 10, seen["lastday_price"])
    assert seen["lastday_price"] == closed["current_price"]
    journal_entry(world, symbol="AAPL", qty=10, price="160")
    both = position(world)
    # All shares have the average price of 155; the ten of yesterday are measured from the close.
    since = (both["lastday_price"] + 155) / 2
    assert has_gain(both, 20, since)


def test_shares_that_were_sold_and_bought_again_are_of_today(world: World) -> None:
    world.tick(to="open")
    journal_entry(world, symbol="AAPL", qty=-10, price="150")
    world.tick(to="next_open")
    world.tick(seconds=600)
    journal_entry(world, symbol="AAPL", qty=15, price="160")
    assert has_gain(position(world), 5, Decimal(160))
    journal_entry(world, symbol="AAPL", qty=-5, price="160")
    journal_entry(world, symbol="AAPL", qty=-10, price="170")
    assert has_gain(position(world), -10, Decimal(170))


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
    assert has_gain(seen, 20, seen["lastday_price"])
