"""The websocket: prices to anybody, orders and fills to whoever signs a challenge."""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from exchange.tests.kit.app import folders_of
from exchange.tests.kit.kraken import KEY, SECRET, V3, XBT, signature, spec
from exchange.tests.kit.served import Client, Served, served

FEEDS = "/ws/v1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(folders_of(spec((XBT,)), tmp_path_factory)()) as server:
        server.tick(seconds=3600)
        yield server


def send(server: Served, name: str = "sendorder", **params: object) -> Any:
    sent = urlencode(params)
    headers = {"APIKey": KEY, "Authent": signature(SECRET, f"{V3}/{name}".removeprefix("/derivatives"), sent, "")}
    answer = server.ask("POST", f"{V3}/{name}?{sent}", None, **headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def challenged(client: Client) -> dict[str, str]:
    """Return what subscribes to a feed of the account, besides the feed's name."""
    challenge = client.ask({"event": "challenge", "api_key": KEY})["message"]
    digest = hashlib.sha256(challenge.encode()).digest()
    signed = base64.b64encode(hmac.new(base64.b64decode(SECRET), digest, hashlib.sha512).digest()).decode()
    return {"api_key": KEY, "original_challenge": challenge, "signed_challenge": signed}


def test_prices_are_told_at_once_and_as_time_moves(server: Served) -> None:
    with server.connect(FEEDS) as client:
        assert client.get() == {"event": "info", "version": 1}
        assert client.ask({"event": "ping"}) == {"event": "pong"}
        request = {"event": "subscribe", "feed": "ticker", "product_ids": [XBT]}
        assert client.ask(request) == {"event": "subscribed", "feed": "ticker", "product_ids": [XBT]}
        first = client.get()
        ticker = server.get(f"{V3}/tickers/{XBT}")["ticker"]
        assert (first["product_id"], first["bid"], first["markPrice"]) == (XBT, ticker["bid"], ticker["markPrice"])
        assert client.ask({"event": "subscribe", "feed": "heartbeat"})["feed"] == "heartbeat"
        server.tick(seconds=60)
        second, beat = client.get(), client.get()
        assert second["time"] == beat["time"] == first["time"] + 60_000
        assert (second["bid"], beat["feed"]) == (server.get(f"{V3}/tickers/{XBT}")["ticker"]["bid"], "heartbeat")
        assert client.ask({**request, "event": "unsubscribe"})["event"] == "unsubscribed"
        server.tick(seconds=60)
        assert client.get()["feed"] == "heartbeat"
        assert client.ask({**request, "product_ids": ["PF_NONEUSD"]})["message"] == "Invalid product id"


def test_orders_and_fills_come_to_whoever_signed_and_to_nobody_else(server: Served) -> None:
    rests = send(server, orderType="lmt", symbol=XBT, side="buy", size="0.1", limitPrice=80_000, cliOrdId="rests")
    with server.connect(FEEDS) as client, server.connect(FEEDS) as stranger:
        client.get()
        stranger.get()
        signed = challenged(client)
        for feed, rows in (("open_orders", "orders"), ("fills", "fills")):
            reply = client.ask({"event": "subscribe", "feed": feed, **signed})
            assert reply == {"event": "subscribed", "feed": feed, "api_key": KEY}
            snapshot = client.get()
            assert (snapshot["feed"], len(snapshot[rows])) == (f"{feed}_snapshot", int(feed == "open_orders"))
        order = send(server, orderType="mkt", symbol=XBT, side="buy", size="0.5", cliOrdId="quick")["sendStatus"]
        placed, gone, filled = client.get(), client.get(), client.get()
        assert (placed["order"]["cli_ord_id"], placed["order"]["qty"], placed["is_cancel"]) == ("quick", 0.5, False)
        assert (gone["order_id"], gone["is_cancel"], gone["reason"]) == (order["order_id"], True, "full_fill")
        (fill,) = filled["fills"]
        assert (fill["order_id"], fill["qty"], fill["fill_type"]) == (order["order_id"], 0.5, "taker")
        send(server, "cancelorder", order_id=rests["sendStatus"]["order_id"])
        assert client.get()["reason"] == "cancelled_by_user"
        assert client.ask({"event": "unsubscribe", "feed": "open_orders", **signed})["event"] == "unsubscribed"
        send(server, orderType="mkt", symbol=XBT, side="sell", size="0.5", reduceOnly="true")
        assert client.get()["feed"] == "fills"
        assert stranger.ask({"event": "ping"}) == {"event": "pong"}


def test_feed_of_an_account_needs_a_challenge_of_its_own_connection(server: Served) -> None:
    with server.connect(FEEDS) as first, server.connect(FEEDS) as client:
        first.get()
        client.get()
        others, own = challenged(first), challenged(client)
        for signature in ({}, others, {**own, "signed_challenge": others["signed_challenge"]}, {**own, "api_key": "x"}):
            reply = client.ask({"event": "subscribe", "feed": "fills", **signature})
            assert reply == {"event": "alert", "message": "Failed to subscribe to authenticated feed"}
        assert client.ask({"event": "subscribe", "feed": "gossip"})["message"] == "Invalid feed"
        assert client.ask({"event": "dance"})["message"] == "Json Error"


def test_scripts_of_streams_hold_back_what_the_feeds_tell(server: Served) -> None:
    with server.connect(FEEDS) as client:
        client.get()
        client.ask({"event": "subscribe", "feed": "fills", **challenged(client)})
        client.get()
        rule = {"name": "mute", "when": {"stream": "trade_updates", "client_order_id": "mute*"}, "what": "mute_stream"}
        assert server.ask("POST", "/exchange/v1/faults", [rule]).status_code == 200
        try:
            for name in ("mute-1", "told"):
                send(server, orderType="mkt", symbol=XBT, side="buy", size="0.1", cliOrdId=name)
            assert client.get()["fills"][0]["cli_ord_id"] == "told"
        finally:
            server.ask("DELETE", "/exchange/v1/faults")
