"""Engine time: ticks, paces, latencies and timestamps; after a kill it is never earlier than what was shown."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange.tests.kit.app import SPEC, World, folders_of, open_world
from papervenue.clock import LATENCIES, Clock, latency_name, read_latency
from papervenue.exchange import Exchange, open_exchange
from papervenue.market.spec import PAPER
from papervenue.times import DAY, MINUTE, SECOND, nanoseconds, parse_time, stamp

LATENCY = "/exchange/v1/latency"


@pytest.mark.parametrize(
    ("text", "us"), [("instant", 0), ("slow", 5_000_000), ("250", 250_000), ("2s", 2_000_000), ("3600s", 3_600_000_000)]
)
def test_latency_is_read_from_a_name_milliseconds_or_seconds(text: str, us: int) -> None:
    assert read_latency(text) == us
    assert read_latency(latency_name(us)) == us


@pytest.mark.parametrize("name", LATENCIES)
def test_latency_with_a_name_is_shown_by_it(name: str) -> None:
    assert latency_name(read_latency(name)) == name


def resting(world: World) -> Any:
    return world.order("AAPL", "buy", 2, limit_price="1.00").json["id"]


def test_latency_applies_to_later_requests_and_survives_a_restart(new_folder: Callable[[], Path]) -> None:
    folder = new_folder()
    world = open_world(folder, to="open")
    first, second, third = resting(world), resting(world), resting(world)
    assert world.ask("POST", LATENCY, {"latency": "2s"}).json == {"latency": "2s"}
    world.ask("DELETE", f"/v2/orders/{first}")
    world.ask("POST", LATENCY, {"latency": "slow"})
    world.ask("DELETE", f"/v2/orders/{second}")
    world.exchange.commit()
    again = open_world(folder)
    assert again.get("/exchange/v1/status")["latency"] == "slow"
    again.ask("DELETE", f"/v2/orders/{third}")
    states = []
    for seconds in (0, 2, 3):
        again.tick(seconds=seconds)
        states.append([again.get(f"/v2/orders/{one}")["status"] for one in (first, second, third)])
    assert states == [["pending_cancel"] * 3, ["canceled", "pending_cancel", "pending_cancel"], ["canceled"] * 3]
    assert [line["latency"] for line in again.events() if line["event"] == "latency_set"] == ["2s", "slow"]


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
    assert datetime.fromisoformat(orders[-1]["filled_at"]) == datetime(2025, 3, 3, 14, 31, tzinfo=UTC)


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


def test_tick_moves_to_the_open_the_close_and_the_next_open(world: World) -> None:
    assert world.tick(to="open")["now"] == "2025-03-03T14:30:00Z"
    assert world.tick(to="open")["now"] == "2025-03-03T14:30:00Z"
    assert world.tick(to="close")["now"] == "2025-03-03T21:00:00Z"
    assert world.tick(to="next_open")["now"] == "2025-03-04T14:30:00Z"
    clock = world.get("/v2/clock")
    assert (clock["is_open"], clock["next_close"]) == (True, "2025-03-04T16:00:00-05:00")


def test_the_market_ends_at_its_last_close(world: World) -> None:
    assert world.tick(seconds=864_000)["finished"] is True
    assert world.tick(seconds=60)["now"] == "2025-03-04T21:00:00Z"
    assert world.tick(to="next_open")["now"] == "2025-03-04T21:00:00Z"
    assert world.tick(to="2025-03-05T16:59:00Z")["now"] == "2025-03-05T16:59:00Z"


START = parse_time("2025-03-03T14:00:00Z")
OPEN = parse_time("2025-03-03T14:30:00Z")


class Machine:
    """A monotonic clock that moves when it is told to."""

    def __init__(self) -> None:
        self.ns = 5 * 10**18

    def __call__(self) -> int:
        return self.ns

    def pass_s(self, seconds: float) -> None:
        self.ns += int(seconds * 10**9)


class Running:
    """An exchange on a machine's clock, with its application."""

    def __init__(self, folder: Path, pace: str = "real") -> None:
        self.machine = Machine()
        self.world = World(open_exchange(folder, Clock(self.machine)))
        if pace != "step":
            assert self.world.ask("POST", "/exchange/v1/clock", {"pace": pace}).status == 200

    @property
    def exchange(self) -> Exchange:
        return self.world.exchange

    def now(self, passed_s: float = 0) -> int:
        self.machine.pass_s(passed_s)
        return parse_time(self.world.get("/exchange/v1/clock")["now"])


def kinds(world: World) -> list[str]:
    return [event["event"] for event in world.events()]


def test_time_stands_still_in_lock_step(new_folder: Callable[[], Path]) -> None:
    running = Running(new_folder(), "step")
    assert running.now(passed_s=10_000) == START
    assert not running.exchange.has_unrecorded


@pytest.mark.parametrize(("pace", "speed"), [("real", 1), ("60x", 60), ("0.5x", 0.5), ("1000x", 1000)])
def test_time_runs_at_its_pace(new_folder: Callable[[], Path], pace: str, speed: float) -> None:
    running = Running(new_folder(), pace)
    assert running.now(passed_s=4) == START + int(4 * speed * SECOND)
    assert running.now(passed_s=4) == START + int(8 * speed * SECOND)
    assert running.world.get("/exchange/v1/clock")["pace"] == pace


def test_running_time_logs_a_tick_only_at_the_end_of_a_minute(new_folder: Callable[[], Path]) -> None:
    running = Running(new_folder())
    lines = len(kinds(running.world))
    running.now(passed_s=1)
    # The first movement reserves the time that it may move within.
    assert kinds(running.world)[lines:] == ["time_reserved"]
    running.now(passed_s=58)
    assert kinds(running.world)[lines:] == ["time_reserved"]
    assert running.now(passed_s=2) == START + 61 * SECOND
    assert kinds(running.world)[lines:] == ["time_reserved", "request", "ticked"]


def test_waiting_order_fills_when_its_minute_is_over(new_folder: Callable[[], Path]) -> None:
    running = Running(new_folder())
    running.world.tick(to="open")
    order = running.world.order("AAPL", "buy", 1).json
    running.now(passed_s=59)
    assert running.world.get(f"/v2/orders/{order['id']}")["status"] == "new"
    running.now(passed_s=2)
    assert running.world.get(f"/v2/orders/{order['id']}")["filled_at"][:19] == "2025-03-03T14:31:00"


def test_running_time_continues_from_a_tick(new_folder: Callable[[], Path]) -> None:
    running = Running(new_folder())
    running.machine.pass_s(5)
    running.world.tick(to="open")
    assert running.now(passed_s=3) == OPEN + 3 * SECOND


def test_stopped_time_survives_a_restart(new_folder: Callable[[], Path]) -> None:
    folder = new_folder()
    running = Running(folder)
    stopped = running.now(passed_s=7.25)
    running.world.ask("POST", "/exchange/v1/clock", {"pace": "step"})
    assert Running(folder, "step").now(passed_s=50) == stopped == START + 7_250_000


def test_time_after_a_kill_is_later_than_shown_but_not_by_much(new_folder: Callable[[], Path]) -> None:
    folder = new_folder()
    shown = Running(folder).now(passed_s=95)
    again = Running(folder, "step").now()
    assert shown < again <= shown + 2 * MINUTE
    assert Running(folder, "step").now() == again


def test_running_time_ends_with_its_market(new_folder: Callable[[], Path]) -> None:
    running = Running(new_folder(), "100000x")
    horizon = running.exchange.market.calendar.horizon_us
    assert running.now(passed_s=2 * DAY / SECOND) == horizon
    assert running.now(passed_s=100) == horizon


def test_listeners_are_called_for_each_movement_of_time(new_folder: Callable[[], Path]) -> None:
    running = Running(new_folder())
    calls: list[tuple[int, int]] = []
    running.exchange.moved.append(lambda from_us, to_us: calls.append((from_us, to_us)))
    running.now(passed_s=1)
    running.now(passed_s=70)
    running.world.tick(to="open")
    assert calls == [*pairwise([START, START + SECOND, START + 71 * SECOND, OPEN])]


PACES = (60, None, "", "fast", "0x", "-1x", "100001x", "1e3x", "٣x")


@pytest.mark.parametrize(
    "body", [*({"pace": pace} for pace in PACES), {"pace": "60x", "more": 1}, {}, [], b"", b"\xff"]
)
def test_invalid_pace_is_refused_and_changes_nothing(world: World, body: Any) -> None:
    answer = world.ask("POST", "/exchange/v1/clock", body)
    assert (answer.status, answer.json["code"]) == (400, 40010000)
    assert world.get("/exchange/v1/clock")["pace"] == "step"
    assert kinds(world) == ["created"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.sampled_from([0.001, 0.4, 7.0, 59.9, 61.0, 600.0])),
        st.tuples(st.just("order"), st.sampled_from(["market", "limit"])),
        st.tuples(st.just("pace"), st.sampled_from(["step", "real", "60x"])),
        st.tuples(st.just("tick"), st.sampled_from([1, 90])),
        st.tuples(st.just("cancel"), st.none()),
        st.tuples(st.just("kill"), st.none()),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def slow_paper(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Return what makes folders of a market that fills at once and takes two seconds for each cancel."""
    return folders_of(replace(SPEC, fill=PAPER._replace(latency_s=2)), tmp_path_factory)


@given(steps=STEPS, paper=st.booleans())
@settings(max_examples=25)
def test_time_never_runs_backwards_and_each_kill_leaves_what_was_shown(
    new_folder: Callable[[], Path], slow_paper: Callable[[], Path], steps: list[tuple[str, Any]], paper: bool
) -> None:
    folder = slow_paper() if paper else new_folder()
    running = Running(folder, "60x")
    running.world.tick(to="open")
    newest = running.now()
    for kind, value in steps:
        running = killed(folder, running) if kind == "kill" else running
        step(running, kind, value)
        assert running.now() >= newest
        newest = running.now()
    running = killed(folder, running)
    times = [parse_time(event["at"]) for event in running.world.events()]
    assert times == sorted(times)


def step(running: Running, kind: str, value: Any) -> None:
    if kind == "pass":
        running.machine.pass_s(value)
    elif kind == "order":
        price: dict[str, Any] = {"limit_price": "230.00"} if value == "limit" else {}
        running.world.order("AAPL", "buy", 1, **price)
    elif kind == "cancel":
        running.world.ask("DELETE", "/v2/orders")
    elif kind == "pace":
        running.world.ask("POST", "/exchange/v1/clock", {"pace": value})
    elif kind == "tick":
        running.world.tick(seconds=value)


def killed(folder: Path, running: Running) -> Running:
    """Return what a new process makes of the folder: all that was shown, and time beyond it."""
    before = visible_orders(running.world)
    again = Running(folder, "step")
    assert {order["id"] for order in before} == {order["id"] for order in visible_orders(again.world)}
    again.world.ask("POST", "/exchange/v1/clock", {"pace": "60x"})
    return again


def visible_orders(world: World) -> list[dict[str, Any]]:
    orders: list[dict[str, Any]] = json.loads(world.ask("GET", "/v2/orders?status=all&limit=500").body)
    return orders
