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
def place(new_folder: Callable[[], Path]) -> Iterator[Served]:
    """Yield a served exchange in its first session; afterwards its log must replay."""
    folder = new_folder()
    with served(folder) as place:
        place.tick(to="open")
        place.tick(seconds=1800)
        yield place
        place.exchange.commit()
        lines = place.exchange.log.lines()
    assert open_exchange(folder).log.lines()[: len(lines)] == lines


def arm(place: Served, *rules: dict[str, Any]) -> None:
    answer = place.ask("POST", FAULTS, [{"name": f"rule-{number}", **rule} for number, rule in enumerate(rules)])
    assert answer.status_code == 200, answer.text


def listen(client: Client) -> None:
    client.ask(LOGIN)
    client.ask({"action": "listen", "data": {"streams": ["trade_updates"]}})


def heard(place: Served, client: Client) -> list[tuple[str, str]]:
    """Return what has been told up to an event that no rule befalls: (event, name of the order)."""
    place.ask("DELETE", FAULTS)
    place.order("SPY", "buy", 1, client_order_id=SENTINEL, limit_price="1")
    told: list[tuple[str, str]] = []
    while (SENTINEL, "new") not in [(name, event) for event, name in told]:
        data = client.get()["data"]
        told.append((data["event"], data["order"].get("client_order_id", "")))
    return [one for one in told if one[1] != SENTINEL]


def test_a_mute_stream_stays_connected_and_says_nothing_of_what_it_is_told_to_hide(place: Served) -> None:
    arm(place, {"when": {"stream": "trade_updates", "symbol": "AAPL"}, "what": "mute_stream"})
    with place.connect("/stream") as client:
        listen(client)
        place.order("AAPL", "buy", 1, client_order_id="hidden")
        place.order("SPY", "buy", 1, client_order_id="told")
        names = {name for _, name in heard(place, client)}
    assert names == {"told"}
    fired = [line for line in place.get("/exchange/v1/log?limit=1000")["events"] if line["event"] == "fault_fired"]
    assert {(line["on"], line["client_order_id"]) for line in fired} == {("trade_updates", "hidden")}
    assert [line["stream_event"] for line in fired] == ["pending_new", "new"]


def test_events_come_twice_or_after_the_next_one(place: Served) -> None:
    twice = {"when": {"stream": "trade_updates", "event": "pending_new"}, "what": "duplicate_events"}
    arm(place, twice, {"when": {"stream": "trade_updates", "event": "new", "nth": 1}, "what": "reordered_events"})
    with place.connect("/stream") as client:
        listen(client)
        place.order("AAPL", "buy", 1, client_order_id="one")
        place.tick(seconds=120)
        told = heard(place, client)
    assert told == [("pending_new", "one"), ("pending_new", "one"), ("fill", "one"), ("new", "one")]


def test_an_event_that_was_held_back_comes_with_the_next_one_though_the_rule_is_gone(place: Served) -> None:
    arm(place, {"when": {"stream": "trade_updates", "event": "new"}, "what": "reordered_events"})
    with place.connect("/stream") as client:
        listen(client)
        place.order("AAPL", "buy", 1, client_order_id="one")
        assert heard(place, client) == [("pending_new", "one"), ("new", "one")]


def test_a_word_of_an_event_is_unknown_and_a_field_is_missing(place: Served) -> None:
    arm(
        place,
        {"when": {"stream": "trade_updates"}, "what": {"unknown_enum": "event", "word": "pondered"}},
        {"when": {"stream": "trade_updates"}, "what": {"missing_field": "client_order_id"}},
    )
    with place.connect("/stream") as client:
        listen(client)
        place.order("AAPL", "buy", 1, client_order_id="one")
        data = client.get()["data"]
    assert data["event"] == "pondered"
    assert "client_order_id" not in data["order"]
    assert place.get("/v2/orders")[0]["client_order_id"] == "one"


def test_market_data_go_mute_by_symbol_and_channel(place: Served) -> None:
    arm(place, {"when": {"stream": "market_data", "symbol": "AAPL", "event": "bars"}, "what": "mute_stream"})
    with place.connect("/v2/sip") as client:
        client.get()
        client.ask(LOGIN)
        client.ask({"action": "subscribe", "bars": ["AAPL", "SPY"], "dailyBars": ["AAPL"]})
        place.tick(seconds=60)
        points = [point for _ in range(1) for point in client.get()]
    assert [(point["T"], point["S"]) for point in points if point["T"] == "b"] == [("b", "SPY")]


def minutes(client: Client, count: int) -> list[str]:
    """Return the minutes of so many bars, in the order in which they come."""
    told: list[str] = []
    while len(told) < count:
        told += [point["t"][11:16] for point in client.get() if point["T"] == "b"]
    return told


def subscribe(client: Client, key: str = "sandbox") -> None:
    client.get()
    client.ask({"action": "auth", "key": key, "secret": key})
    client.ask({"action": "subscribe", "bars": ["AAPL"]})


def counts(place: Served) -> tuple[int, int]:
    (rule,) = place.get(FAULTS)["faults"]
    return rule["seen"], rule["fired"]


def wait_until_fired(place: Served, times: int) -> None:
    deadline_s = time.monotonic() + 60
    while counts(place)[1] < times:
        assert time.monotonic() < deadline_s


def test_what_befalls_a_data_point_befalls_it_once_a_feed_for_whoever_is_told(place: Served) -> None:
    place.ask("POST", "/exchange/v1/accounts", {"name": "alice", "cash": "50000"})
    rule = {"when": {"stream": "market_data", "event": "bars", "nth": 2}, "what": "mute_stream"}
    with place.connect("/v2/iex") as mine, place.connect("/v2/iex") as hers:
        subscribe(mine)
        subscribe(hers, "alice")
        arm(place, rule)
        place.tick(seconds=180)
        assert minutes(mine, 2) == minutes(hers, 2) == ["15:00", "15:02"]
        assert counts(place) == (2, 1)


def test_what_is_held_back_for_one_connection_comes_to_that_one(place: Served) -> None:
    with place.connect("/v2/iex") as iex, place.connect("/v2/sip") as sip:
        subscribe(iex)
        subscribe(sip)
        arm(place, {"when": {"stream": "market_data", "event": "bars"}, "what": "reordered_events"})
        place.tick(seconds=60)
        wait_until_fired(place, 2)
        place.tick(seconds=60)
        assert minutes(iex, 2) == minutes(sip, 2) == ["15:01", "15:00"]


def test_what_was_held_back_for_a_connection_that_left_is_told_to_no_other(place: Served) -> None:
    arm(place, {"when": {"stream": "market_data", "event": "bars", "nth": 1}, "what": "reordered_events"})
    with place.connect("/v2/iex") as first:
        subscribe(first)
        place.tick(seconds=60)
        wait_until_fired(place, 1)
    with place.connect("/v2/iex") as second:
        subscribe(second)
        place.tick(seconds=60)
        assert minutes(second, 1) == ["15:01"]


def test_an_update_held_back_for_clients_that_left_is_not_told_later(place: Served) -> None:
    arm(place, {"when": {"stream": "trade_updates", "nth": 2}, "what": "reordered_events"})
    with place.connect("/stream") as client:
        listen(client)
        place.order("AAPL", "buy", 1, client_order_id="one", limit_price="1")
        assert client.get()["data"]["event"] == "pending_new"
    with place.connect("/stream") as client:
        listen(client)
        assert heard(place, client) == []
