"""Faults of the two streams, as clients at real sockets hear them."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit.served import Client, Served, served
from papervenue.exchange import open_exchange

FAULTS = "/exchange/v1/faults"
LOGIN = {"action": "auth", "key": "sandbox", "secret": "sandbox"}
SENTINEL = "last"


@pytest.fixture
def server(new_folder: Callable[[], Path]) -> Iterator[Served]:
    """Yield a served exchange in its first session; afterwards its log must replay."""
    folder = new_folder()
    with served(folder) as server:
        server.tick(to="open")
        server.tick(seconds=1800)
        yield server
        server.exchange.commit()
        lines = server.exchange.log.lines()
    assert open_exchange(folder).log.lines()[: len(lines)] == lines


def arm(server: Served, *rules: dict[str, Any]) -> None:
    answer = server.ask("POST", FAULTS, [{"name": f"rule-{number}", **rule} for number, rule in enumerate(rules)])
    assert answer.status_code == 200, answer.text


def listen(client: Client) -> None:
    client.ask(LOGIN)
    client.ask({"action": "listen", "data": {"streams": ["trade_updates"]}})


def read_events(server: Served, client: Client) -> list[tuple[str, str]]:
    """Return what has been told up to an event that no rule befalls: (event, name of the order)."""
    server.ask("DELETE", FAULTS)
    server.order("SPY", "buy", 1, client_order_id=SENTINEL, limit_price="1")
    events: list[tuple[str, str]] = []
    while (SENTINEL, "new") not in [(name, event) for event, name in events]:
        data = client.get()["data"]
        events.append((data["event"], data["order"].get("client_order_id", "")))
    return [one for one in events if one[1] != SENTINEL]


def test_a_mute_stream_stays_connected_and_says_nothing_of_what_it_is_told_to_hide(server: Served) -> None:
    arm(server, {"when": {"stream": "trade_updates", "symbol": "AAPL"}, "what": "mute_stream"})
    with server.connect("/stream") as client:
        listen(client)
        server.order("AAPL", "buy", 1, client_order_id="hidden")
        server.order("SPY", "buy", 1, client_order_id="told")
        names = {name for _, name in read_events(server, client)}
    assert names == {"told"}
    fired = [line for line in server.get("/exchange/v1/log?limit=1000")["events"] if line["event"] == "fault_fired"]
    assert {(line["on"], line["client_order_id"]) for line in fired} == {("trade_updates", "hidden")}
    assert [line["stream_event"] for line in fired] == ["pending_new", "new"]


def test_events_come_twice_or_after_the_next_one(server: Served) -> None:
    twice = {"when": {"stream": "trade_updates", "event": "pending_new"}, "what": "duplicate_events"}
    arm(server, twice, {"when": {"stream": "trade_updates", "event": "new", "nth": 1}, "what": "reordered_events"})
    with server.connect("/stream") as client:
        listen(client)
        server.order("AAPL", "buy", 1, client_order_id="one")
        server.tick(seconds=120)
        events = read_events(server, client)
    assert events == [("pending_new", "one"), ("pending_new", "one"), ("fill", "one"), ("new", "one")]


def test_an_event_that_was_held_back_comes_with_the_next_one_though_the_rule_is_gone(server: Served) -> None:
    arm(server, {"when": {"stream": "trade_updates", "event": "new"}, "what": "reordered_events"})
    with server.connect("/stream") as client:
        listen(client)
        server.order("AAPL", "buy", 1, client_order_id="one")
        assert read_events(server, client) == [("pending_new", "one"), ("new", "one")]


def test_a_word_of_an_event_is_unknown_and_a_field_is_missing(server: Served) -> None:
    arm(
        server,
        {"when": {"stream": "trade_updates"}, "what": {"unknown_enum": "event", "word": "pondered"}},
        {"when": {"stream": "trade_updates"}, "what": {"missing_field": "client_order_id"}},
    )
    with server.connect("/stream") as client:
        listen(client)
        server.order("AAPL", "buy", 1, client_order_id="one")
        data = client.get()["data"]
    assert data["event"] == "pondered"
    assert "client_order_id" not in data["order"]
    assert server.get("/v2/orders")[0]["client_order_id"] == "one"


def minutes(client: Client, count: int) -> list[str]:
    """Return the minutes of so many bars, in the order in which they come."""
    minutes: list[str] = []
    while len(minutes) < count:
        minutes += [point["t"][11:16] for point in client.get() if point["T"] == "b"]
    return minutes


def subscribe(client: Client, key: str = "sandbox") -> None:
    client.get()
    client.ask({"action": "auth", "key": key, "secret": key})
    client.ask({"action": "subscribe", "bars": ["AAPL"]})


def counts(server: Served) -> tuple[int, int]:
    (rule,) = server.get(FAULTS)["faults"]
    return rule["seen"], rule["fired"]


def wait_until_fired(server: Served, times: int) -> None:
    deadline_s = time.monotonic() + 60
    while counts(server)[1] < times:
        assert time.monotonic() < deadline_s


def test_what_befalls_a_data_point_befalls_it_once_a_feed_for_whoever_is_told(server: Served) -> None:
    server.ask("POST", "/exchange/v1/accounts", {"name": "alice", "cash": "50000"})
    rule = {"when": {"stream": "market_data", "event": "bars", "nth": 2}, "what": "mute_stream"}
    with server.connect("/v2/iex") as mine, server.connect("/v2/iex") as hers:
        subscribe(mine)
        subscribe(hers, "alice")
        arm(server, rule)
        server.tick(seconds=180)
        assert minutes(mine, 2) == minutes(hers, 2) == ["15:00", "15:02"]
        assert counts(server) == (2, 1)


def test_what_is_held_back_for_one_connection_comes_to_that_one(server: Served) -> None:
    with server.connect("/v2/iex") as iex, server.connect("/v2/sip") as sip:
        subscribe(iex)
        subscribe(sip)
        arm(server, {"when": {"stream": "market_data", "event": "bars"}, "what": "reordered_events"})
        server.tick(seconds=60)
        wait_until_fired(server, 2)
        server.tick(seconds=60)
        assert minutes(iex, 2) == minutes(sip, 2) == ["15:01", "15:00"]


def test_what_was_held_back_for_a_connection_that_left_is_told_to_no_other(server: Served) -> None:
    arm(server, {"when": {"stream": "market_data", "event": "bars", "nth": 1}, "what": "reordered_events"})
    with server.connect("/v2/iex") as first:
        subscribe(first)
        server.tick(seconds=60)
        wait_until_fired(server, 1)
    with server.connect("/v2/iex") as second:
        subscribe(second)
        server.tick(seconds=60)
        assert minutes(second, 1) == ["15:01"]


def test_an_update_held_back_for_clients_that_left_is_not_told_later(server: Served) -> None:
    arm(server, {"when": {"stream": "trade_updates", "nth": 2}, "what": "reordered_events"})
    with server.connect("/stream") as client:
        listen(client)
        server.order("AAPL", "buy", 1, client_order_id="one", limit_price="1")
        assert client.get()["data"]["event"] == "pending_new"
    with server.connect("/stream") as client:
        listen(client)
        assert read_events(server, client) == []
