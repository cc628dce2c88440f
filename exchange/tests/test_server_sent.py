"""Event streams over plain HTTP: past events, new events, bounds, and slow or leaving clients."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit.app import World
from exchange.tests.kit.openapi import trading_api
from exchange.tests.kit.served import Served, served
from papervenue.streams import server_sent

TRADES, ACTIVITIES = "/v2/events/trades", "/v2beta1/events/activities"
PATHS = (TRADES, "/v2beta1/events/trades", ACTIVITIES)
BEGINNING = "since=2025-03-01"
LISTEN = {"action": "listen", "data": {"streams": ["trade_updates"]}}
Row = dict[str, Any]


class Reader:
    """What one client of an event stream reads, line by line."""

    def __init__(self, answer: HTTPResponse) -> None:
        self.answer = answer

    def lines(self) -> Iterator[str]:
        while line := self.answer.readline():
            yield line.decode().rstrip("\n")

    def get(self) -> Row:
        """Return the next event."""
        event: Row = json.loads(next(line for line in self.lines() if line.startswith("data: "))[len("data: ") :])
        return event

    def rest(self) -> list[Row]:
        """Return the events up to the end of the answer."""
        return [json.loads(line[len("data: ") :]) for line in self.lines() if line.startswith("data: ")]


@contextmanager
def reading(server: Served, target: str, key: str = "sandbox") -> Iterator[Reader]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("GET", target, headers={"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": key})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream"), answer.read()
        yield Reader(answer)
    finally:
        connection.close()


def whole(server: Served, target: str, key: str = "sandbox") -> list[Row]:
    """Return the events up to now."""
    now = server.get("/exchange/v1/status")["now"]
    with reading(server, f"{target}&until={now}", key) as reader:
        return reader.rest()


def ids(rows: list[Row]) -> list[str]:
    return [row["event_id"] for row in rows]


@pytest.fixture
def server(new_folder: Callable[[], Path]) -> Iterator[Served]:
    with served(new_folder()) as server:
        server.tick(to="open")
        server.tick(seconds=600)
        yield server


def trade(server: Served) -> None:
    """Have an order filled, one canceled, and one that waits."""
    server.order("AAPL", "buy", 3)
    gone = server.order("SPY", "buy", 1, limit_price="1")
    server.order("SPY", "buy", 2, limit_price="2")
    server.tick(seconds=120)
    assert server.ask("DELETE", f"/v2/orders/{gone['id']}").status_code == 204


@pytest.mark.parametrize("path", PATHS[:2])
def test_event_stream_repeats_what_the_websocket_sent_and_goes_on_with_new_events(
    new_folder: Callable[[], Path], path: str
) -> None:
    folder = new_folder()
    with served(folder) as server, server.connect("/stream") as client:
        client.ask({"action": "auth", "key": "sandbox", "secret": "sandbox"})
        client.ask(LISTEN)
        server.tick(to="open")
        trade(server)
        events = [client.get()["data"] for _ in range(8)]
        assert [row["event"] for row in events].count("fill") == 1
        assert whole(server, f"{path}?{BEGINNING}") == events
    # Nothing but the log is left of it.
    with served(folder) as server, reading(server, f"{path}?{BEGINNING}") as reader:
        assert [reader.get() for _ in events] == events
        later = server.order("AAPL", "buy", 1, limit_price="3")
        first, second = reader.get(), reader.get()
        assert [row["event"] for row in (first, second)] == ["pending_new", "new"]
        assert {row["order"]["id"] for row in (first, second)} == {later["id"]}
        everything = ids([*events, first, second])
        assert everything == sorted(set(everything))
        assert whole(server, f"{path}?{BEGINNING}") == [*events, first, second]


def test_event_stream_without_a_start_sends_only_new_events(server: Served) -> None:
    trade(server)
    with reading(server, TRADES) as reader:
        mine = server.order("AAPL", "buy", 1, limit_price="3")
        assert reader.get()["order"]["id"] == mine["id"]


def test_client_resumes_after_the_id_of_its_last_event(server: Served) -> None:
    """Time stands still here: all that happens meanwhile happens in one moment of the engine."""
    with reading(server, TRADES) as reader:
        server.order("AAPL", "buy", 1, limit_price="3")
        last = [reader.get(), reader.get()][-1]
    missed = [server.order("AAPL", "buy", n, limit_price="3")["id"] for n in (1, 2)]
    by_id = whole(server, f"{TRADES}?{BEGINNING}")[2:]
    assert [row["order"]["id"] for row in by_id] == [missed[0]] * 2 + [missed[1]] * 2
    with reading(server, f"{TRADES}?since_id={last['event_id']}&until_id={by_id[-1]['event_id'].lower()}") as reader:
        assert reader.rest() == by_id


def test_bounds_of_time_are_exact_to_the_nanosecond(server: Served) -> None:
    for n in (1, 2):
        server.order("AAPL", "buy", n, limit_price="3")
    rows = whole(server, f"{TRADES}?{BEGINNING}")
    assert len({row["timestamp"] for row in rows}) == 1, "all of it happens in one moment of the engine"
    with reading(server, f"{TRADES}?since={rows[1]['at']}&until={rows[2]['at']}") as reader:
        assert reader.rest() == rows[1:3]


def test_event_stream_with_a_future_end_stays_open_until_then(server: Served) -> None:
    now = server.get("/exchange/v1/status")["now"]
    until = now.replace(":40:00", ":45:00")
    assert until > now
    with reading(server, f"{TRADES}?since={now}&until={until}") as reader:
        server.order("AAPL", "buy", 3)
        server.tick(seconds=120)
        assert [reader.get()["event"] for _ in range(3)] == ["pending_new", "new", "fill"]
        server.tick(seconds=181)
        server.order("SPY", "buy", 3)
        assert reader.rest() == []


@pytest.mark.parametrize("path", PATHS)
def test_event_stream_needs_a_key_and_a_get(world: World, path: str) -> None:
    assert world.ask("GET", path, headers={}).status == 401
    assert world.ask("POST", path).status == 405
    head = world.ask("HEAD", path)
    assert (head.status, head.headers["content-type"], head.body) == (200, "text/event-stream", b"")


def test_event_stream_shows_only_the_key_s_account_and_nothing_from_before_a_reset(server: Served) -> None:
    assert server.ask("POST", "/exchange/v1/accounts", {"name": "alice"}).status_code == 200
    trade(server)
    for path in PATHS:
        assert whole(server, f"{path}?{BEGINNING}", "alice") == []
        assert whole(server, f"{path}?{BEGINNING}") != []
    with reading(server, f"{ACTIVITIES}?{BEGINNING}") as activities, reading(server, TRADES) as trades:
        assert activities.get()["activity_type"] == "TRD"
        assert server.ask("POST", "/exchange/v1/reset", {"account": "main"}).status_code == 200
        # An order that was open ends with its account; what follows is the new one's.
        fresh = server.order("AAPL", "buy", 1)
        while trades.get()["order"]["id"] != fresh["id"]:
            pass
        server.tick(seconds=60)
        assert activities.get()["details"]["order_id"] == fresh["id"]
    (event,) = whole(server, f"{ACTIVITIES}?{BEGINNING}")
    assert event["details"]["order_id"] == fresh["id"]
    assert {row["order"]["id"] for row in whole(server, f"{TRADES}?{BEGINNING}")} == {fresh["id"]}


def test_activities_are_streamed_in_the_documented_form(server: Served) -> None:
    with reading(server, ACTIVITIES) as live:
        server.order("AAPL", "buy", 7)
        server.order("SPY", "sell", 3)
        server.tick(seconds=60)
        for body in (
            {"amount": "2500"},
            {"symbol": "ZAAC", "qty": 10},
            {"symbol": "SPY250321C00100000", "qty": 1, "price": "400"},
        ):
            assert server.ask("POST", "/exchange/v1/journal", body).status_code == 200
        for body in (
            {"type": "forward_split", "symbol": "AAPL", "new_rate": 3, "old_rate": 2},
            {"type": "cash_dividend", "symbol": "SPY", "rate": "0.5", "payable_date": "2025-03-04"},
            {"type": "name_change", "symbol": "ZAAC", "new_symbol": "ZNEW"},
        ):
            assert server.ask("POST", "/exchange/v1/actions", body).status_code == 200
        exercise = {"type": "option_exercise", "symbol": "SPY250321C00100000"}
        assert server.ask("POST", "/exchange/v1/actions", exercise).status_code == 200
        for _ in range(3):
            server.tick(to="close")
        server.tick(to="next_open")
        listed = list(reversed(server.get("/v2/account/activities")))
        events = [live.get() for _ in listed]
    assert whole(server, f"{ACTIVITIES}?{BEGINNING}") == events
    assert ids(events) == sorted(set(ids(events)))
    assert [row["ref_id"] for row in events] == [row["id"].rpartition("::")[2] for row in listed]
    kinds = ["TRD" if row["activity_type"] == "FILL" else row["activity_type"] for row in listed]
    assert [row["activity_type"] for row in events] == kinds
    assert set(kinds) >= {"TRD", "JNLC", "JNLS", "SPLIT", "DIV", "NC", "OPEXC", "OPTRD"}
    split = next(row for row in events if row["activity_type"] == "SPLIT")["details"]
    assert [split[name] for name in ("old_rate", "new_rate", "old_qty", "new_qty")] == ["2", "3", "7", "10"]
    sent = "".join(f"data: {json.dumps(row)}\n\n" for row in events).encode()
    assert trading_api().problems("GET", ACTIVITIES, 200, "text/event-stream", sent) == []


def test_slow_client_is_told_how_many_events_were_dropped(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_sent, "LONGEST_QUEUE", 4)
    with reading(server, TRADES) as reader:
        for n in range(3):
            server.exchange.run(order_of(server, n + 1))
        server.order("SPY", "buy", 9, limit_price="1")
        lines = reader.lines()
        assert (
            next(line for line in lines if line.startswith(":")) == ": you are reading too slowly, dropped 4 messages"
        )


def order_of(server: Served, qty: int) -> Any:
    from papervenue.commands.command import Command

    body = {"symbol": "SPY", "side": "buy", "type": "limit", "limit_price": "1", "time_in_force": "day", "qty": qty}
    return Command("POST", "/v2/orders", body=json.dumps(body), account=server.exchange.engine.main.number)


def test_quiet_event_stream_sends_heartbeats(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_sent, "HEARTBEAT_S", 0.05)
    with reading(server, TRADES) as reader:
        assert [next(reader.lines()) for _ in range(3)] == [":heartbeat", "", ":heartbeat"]


def test_event_stream_breaks_off_when_the_server_stops(
    new_folder: Callable[[], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    """An answer that ended well would tell the Go SDK that nothing more is wanted, and it would not come back."""
    with served(new_folder()) as server, reading(server, TRADES) as reader:
        server.end()
        with pytest.raises((IncompleteRead, ConnectionResetError)):
            reader.answer.read()
    assert capfd.readouterr().err == ""


def test_event_stream_is_forgotten_when_its_client_leaves(server: Served) -> None:
    for path in PATHS:
        with reading(server, f"{path}?{BEGINNING}"):
            pass
    server.order("SPY", "buy", 1, limit_price="1")
    while any(
        listener._streams for listener in server.exchange.listeners if isinstance(listener, server_sent.ServerSent)
    ):
        server.get("/exchange/v1/status")


def test_fault_scripts_change_events_but_never_block_the_stream(server: Served) -> None:
    rules = (
        {"name": "twice", "when": {"stream": "trade_updates"}, "what": "duplicate_events"},
        {"name": "late", "when": {"request": "any read"}, "what": {"missing_field": "nothing"}},
    )
    assert server.ask("POST", "/exchange/v1/faults", rules).status_code == 200
    with reading(server, TRADES) as reader:
        server.order("AAPL", "buy", 1, limit_price="3")
        assert [reader.get()["event"] for _ in range(4)] == ["pending_new", "pending_new", "new", "new"]


def test_event_stream_answer_has_a_request_id_and_is_counted(server: Served) -> None:
    with reading(server, TRADES) as reader:
        assert reader.answer.headers["X-RateLimit-Limit"] == "200"
        assert len(reader.answer.headers["X-Request-ID"]) == 32
        assert reader.answer.headers["Cache-Control"] == "no-cache"
