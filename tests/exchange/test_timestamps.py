"""Moments of orders and of the clock always have the same columns: clients cut them out by place."""

import re
from datetime import UTC, datetime

from tests.exchange.worlds import World
from tradebot.adapters.wire.rows import utc
from tradebot.exchange.times import nanoseconds, stamp

NANOSECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


def test_every_moment_of_an_order_has_nine_digits_of_a_second(world: World) -> None:
    world.tick(to="open")
    world.order("AAPL", "buy", 1)
    world.order("SPY", "buy", 1, limit_price="1")
    world.tick(to="close")
    orders = world.get("/v2/orders?status=all")
    moments = [order[name] for order in orders for name in order if name.endswith("_at") and order[name]]
    assert len(moments) >= 10
    assert all(NANOSECONDS.fullmatch(moment) for moment in moments)
    # The bot's own adapter reads them to the microsecond.
    assert utc("filled_at", orders[-1]["filled_at"]) == datetime(2025, 3, 3, 14, 31, tzinfo=UTC)


def test_the_clock_shows_its_moment_to_the_nanosecond_and_its_sessions_to_the_second(world: World) -> None:
    world.tick(seconds=0.25)
    clock = world.get("/v2/clock")
    assert clock["timestamp"] == "2025-03-03T09:00:00.250000000-05:00"
    assert (clock["next_open"], clock["next_close"]) == ("2025-03-03T09:30:00-05:00", "2025-03-03T16:00:00-05:00")


def test_skewed_clock_keeps_its_columns(world: World) -> None:
    script = b"[{name: skew, when: {request: clock}, what: {clock_skew: 2s}}]"
    assert world.ask("POST", "/exchange/v1/faults", script).status == 200
    assert world.get("/v2/clock")["timestamp"] == "2025-03-03T09:00:02.000000000-05:00"


def test_a_microsecond_is_not_rounded_away() -> None:
    assert stamp(1_000_001) == "1970-01-01T00:00:01.000001000Z"
    assert nanoseconds(datetime(2025, 3, 3, 1, 2, 3, 4, tzinfo=UTC)) == "2025-03-03T01:02:03.000004000Z"
