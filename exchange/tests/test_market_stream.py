"""The market-data streams over real sockets: protocol, error codes and subscriptions."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgpack
import pytest
from msgspec.structs import replace

from exchange.tests.kit.app import SPEC
from exchange.tests.kit.served import Client, Served, served
from papervenue.process import create
from papervenue.streams import market_data

CONNECTED = [{"T": "success", "msg": "connected"}]
AUTHENTICATED = [{"T": "success", "msg": "authenticated"}]
LOGIN = {"action": "auth", "key": "sandbox", "secret": "sandbox"}
CHANNELS = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "corrections", "cancelErrors")
NOTHING: dict[str, list[str]] = {channel: [] for channel in CHANNELS}


def log_in(client: Client) -> None:
    assert client.get() == CONNECTED
    assert client.ask(LOGIN) == AUTHENTICATED


@pytest.mark.parametrize("path", sorted(market_data.FEEDS))
def test_a_path_may_end_with_a_slash(server: Served, path: str) -> None:
    for ending in ("/", ""):
        with server.connect(path + ending) as client:
            assert client.get() == CONNECTED


def error(code: int, text: str) -> list[dict[str, Any]]:
    return [{"T": "error", "code": code, "msg": text}]


def subscribed(**channels: list[str]) -> list[dict[str, Any]]:
    return [{"T": "subscription", **NOTHING, **channels}]


def rows(server: Served, kind: str, symbol: str, start: str, end: str) -> list[dict[str, Any]]:
    extra = "&timeframe=1Min" if kind == "bars" else ""
    points: list[dict[str, Any]] = server.get(f"/v2/stocks/{symbol}/{kind}?start={start}&end={end}&feed=sip{extra}")[
        kind
    ]
    return points


def test_confirmation_lists_the_whole_subscription_with_corrections_for_trades(server: Served) -> None:
    with server.connect("/v2/sip") as client:
        log_in(client)
        first = {"action": "subscribe", "trades": ["AAPL"], "bars": ["*"]}
        follow = {"trades": ["AAPL"], "corrections": ["AAPL"], "cancelErrors": ["AAPL"]}
        assert client.ask(first) == subscribed(**follow, bars=["*"])
        second = {"action": "subscribe", "quotes": ["SPY", "AAPL", "SPY"], "statuses": None}
        assert client.ask(second) == subscribed(**follow, bars=["*"], quotes=["SPY", "AAPL"])
        third = {"action": "unsubscribe", "quotes": ["SPY", "TSLA"], "bars": ["*"]}
        assert client.ask(third) == subscribed(**follow, quotes=["AAPL"])
        assert client.ask({"action": "subscribe", "imbalances": ["AAPL"]})[0]["imbalances"] == ["AAPL"]


def test_messagepack_clients_get_timestamps_as_its_extension(server: Served) -> None:
    with server.connect("/v2/sip", Content_Type="application/msgpack") as client:
        log_in(client)
        client.ask({"action": "subscribe", "bars": ["AAPL"]}, packed=True)
        end = datetime.fromisoformat(server.tick(seconds=60)["now"])
        frame = client.frame()
        assert isinstance(frame, bytes)
        bar = msgpack.unpackb(frame, timestamp=3)[0]
        assert (bar["T"], bar["S"], bar["t"]) == ("b", "AAPL", datetime.fromtimestamp(end.timestamp() - 60, UTC))


def test_delayed_feed_is_fifteen_minutes_late(server: Served) -> None:
    with server.connect("/v2/delayed_sip") as client, server.connect("/v2/iex") as now:
        for one in (client, now):
            log_in(one)
            one.ask({"action": "subscribe", "bars": ["AAPL"]})
        server.tick(seconds=60)
        assert seconds_between(client.get()[0]["t"], now.get()[0]["t"]) == 900


def seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def test_whole_day_is_streamed_in_order_after_one_tick(server: Served) -> None:
    with server.connect("/v2/otc") as silent, server.connect("/v2/sip") as client:
        log_in(silent)
        silent.ask({"action": "subscribe", "bars": ["*"]})
        log_in(client)
        client.ask({"action": "subscribe", "bars": ["AAPL"], "dailyBars": ["AAPL"]})
        start = server.get("/exchange/v1/status")["now"]
        end = server.tick(to="close")["now"]
        due = [row["t"] for row in rows(server, "bars", "AAPL", start, end) if row["t"] < end]
        points: list[dict[str, Any]] = []
        while len(points) < 2 * len(due):
            points += client.get()
        assert [point["t"] for point in points if point["T"] == "b"] == due
        assert [point["v"] for point in points if point["T"] == "d"] == sorted(p["v"] for p in points if p["T"] == "d")
    server.tick(to="next_open")
    server.tick(seconds=1800)


def test_keys_in_the_handshake_authenticate_at_once(server: Served) -> None:
    headers = {"APCA_API_KEY_ID": "sandbox", "APCA_API_SECRET_KEY": "sandbox"}
    with server.connect("/v2/sip", **headers) as client:
        assert [client.get(), client.get()] == [CONNECTED, AUTHENTICATED]
        assert client.ask(LOGIN) == error(403, "already authenticated")
    with server.connect("/v2/sip", **headers | {"APCA_API_SECRET_KEY": "wrong"}) as client:
        assert [client.get(), client.get()] == [CONNECTED, error(402, "auth failed")]
        assert client.end() == (1008, "auth failed")


def test_a_second_connection_to_a_feed_is_refused_until_the_first_is_gone(server: Served) -> None:
    with server.connect("/v2/iex") as first:
        log_in(first)
        with server.connect("/v2/iex") as second, server.connect("/v2/sip") as elsewhere:
            log_in(elsewhere)
            assert second.get() == CONNECTED
            assert second.ask(LOGIN) == error(406, "connection limit exceeded")
            assert second.end()[0] == 1008
        assert first.ask({"action": "subscribe", "bars": ["SPY"]}) == subscribed(bars=["SPY"])
    with server.connect("/v2/iex") as again:
        log_in(again)


def test_client_is_told_to_authenticate_before_anything_else(server: Served) -> None:
    with server.connect("/v2/sip") as client:
        client.get()
        for action in ("subscribe", "unsubscribe", "listen"):
            assert client.ask({"action": action, "bars": ["AAPL"]}) == error(401, "not authenticated")
        assert client.ask({"action": "auth", "key": "sandbox"}) == error(400, "invalid syntax")
        assert client.ask(LOGIN) == AUTHENTICATED


@pytest.mark.parametrize("path", ["/v1beta3/crypto/us", "/v1beta1/news", "/v1beta1/opra", "/v1beta1/indicative"])
def test_feeds_of_other_markets_refuse_the_login(server: Served, path: str) -> None:
    with server.connect(path) as client:
        assert client.get() == CONNECTED
        assert client.ask(LOGIN) == error(409, "insufficient subscription")
        assert client.end()[0] == 1008


def test_free_plan_refuses_the_sip_feed_and_more_than_thirty_symbols(tmp_path: Path) -> None:
    create(tmp_path, replace(SPEC, data_plan="free"))
    with served(tmp_path) as server, server.connect("/v2/sip") as paid, server.connect("/v2/iex") as client:
        assert [paid.get(), paid.ask(LOGIN)] == [CONNECTED, error(409, "insufficient subscription")]
        log_in(client)
        many = {"action": "subscribe", "bars": ["*"], "trades": [f"A{n}" for n in range(20)], "quotes": ["SPY"] * 5}
        assert len(client.ask(many)[0]["trades"]) == 20
        beyond = {"action": "subscribe", "quotes": [f"B{n}" for n in range(10)]}
        assert client.ask(beyond) == error(405, "symbol limit exceeded")
        assert client.ask({"action": "subscribe"})[0]["quotes"] == ["SPY"]


def test_client_is_disconnected_when_it_does_not_authenticate_in_time(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market_data, "_AUTH_TIMEOUT_S", 0.05)
    with server.connect("/v2/sip") as client:
        assert client.get() == CONNECTED
        assert client.get() == error(404, "auth timeout")
        assert client.end()[0] == 1008


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"action": "subscribe", "bars": "AAPL"}, 400),
        ({"action": "subscribe", "bars": [1]}, 400),
        ({"action": "subscribe", "bars": ["aapl"]}, 400),
        ({"action": "subscribe", "bars": ["A" * 40]}, 400),
        ({"action": "subscribe", "bars": ["AAPL\u0000"]}, 400),
        ({"action": "subscribe", "bars": [""]}, 400),
        ({"action": "subscribe", "bars": {"AAPL": 1}}, 400),
        ({"action": "subscribe", "news": ["AAPL"]}, 410),
        ({"action": "unsubscribe", "orderbooks": ["AAPL"]}, 410),
        ({"action": "subscribe", "bars": [f"A{number}" for number in range(60_000)]}, 405),
        ({"action": "listen"}, 400),
        ({"action": ["subscribe"]}, 400),
        (["subscribe"], 400),
        (7, 400),
    ],
)
def test_refused_change_leaves_the_subscription_unchanged(server: Served, message: object, code: int) -> None:
    with server.connect("/v2/sip") as client:
        log_in(client)
        assert client.ask({"action": "subscribe", "trades": ["SPY"]})
        assert client.ask(message)[0]["code"] == code
        follow = {"trades": ["SPY"], "corrections": ["SPY"], "cancelErrors": ["SPY"]}
        assert client.ask({"action": "subscribe"}) == subscribed(**follow)


def test_subscription_starts_with_the_next_data(server: Served) -> None:
    with server.connect("/v2/sip") as client:
        log_in(client)
        server.tick(seconds=300)
        client.ask({"action": "subscribe", "bars": ["AAPL"]})
        now = server.tick(seconds=60)["now"]
        assert seconds_between(client.get()[0]["t"], now) == 60
