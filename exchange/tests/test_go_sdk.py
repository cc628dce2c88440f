"""The official Go SDK's streams, its bytes played on raw sockets: what it sends, and what it must be able to read."""

import base64
import json
import os
import socket
import zlib
from contextlib import closing
from http.client import HTTPResponse
from typing import Any

import msgpack
import pytest

from exchange.tests.kit.served import Served

OFFERS = (
    "permessage-deflate",
    "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; server_max_window_bits=10; client_max_window_bits=11",
)
"""What clients offer: the SDK today, its older versions and gorilla, browsers and Python, one with small windows."""
LEFT_OUT = dict.fromkeys(("orderbooks", "news", "pricing"))
"""Channels of other feeds, which the SDK names in each message."""


class Websocket:
    """A client that speaks what its handshake agreed upon, and nothing else."""

    def __init__(self, server: Served, path: str, offer: str) -> None:
        self.connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        self.connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUser-Agent: APCA-GO/v3.9.0\r\n"
            "Connection: Upgrade\r\n"
            f"Content-Type: application/msgpack\r\nSec-Websocket-Extensions: {offer}\r\nSec-Websocket-Key: {key}\r\n"
            "Sec-Websocket-Version: 13\r\nUpgrade: websocket\r\n\r\n".encode()
        )
        self._stream = self.connection.makefile("rb")
        self.head = b"".join(iter(self._stream.readline, b"\r\n")).decode()
        self._inflate, self._deflate = zlib.decompressobj(-15), zlib.compressobj(wbits=-15)
        self._anew = "no_context_takeover" in offer

    @property
    def agreed(self) -> list[str]:
        """Return the extension that the server answered with, and its parameters."""
        lines = [line for line in self.head.splitlines() if line.lower().startswith("sec-websocket-extensions:")]
        return [part.strip() for line in lines for part in line.partition(":")[2].split(";")]

    def close(self) -> None:
        self._stream.close()
        self.connection.close()

    def send(self, message: object, compressed: bool = False) -> None:
        payload, first = msgpack.packb(message), 0x82
        if compressed:
            payload = (self._deflate.compress(payload) + self._deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
            first |= 0x40
        length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2)
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self.connection.sendall(bytes([first]) + length + mask + masked)

    def get(self) -> Any:
        first, length = self._stream.read(2)
        if length > 125:
            length = int.from_bytes(self._stream.read(2 if length == 126 else 8))
        payload = self._stream.read(length)
        if first & 0x40:
            if self._anew:
                self._inflate = zlib.decompressobj(-15)
            payload = self._inflate.decompress(payload + b"\x00\x00\xff\xff")
        return msgpack.unpackb(payload, timestamp=3)


@pytest.mark.parametrize("offer", OFFERS)
def test_a_handshake_answers_with_no_parameter_that_was_not_offered(server: Served, offer: str) -> None:
    client = Websocket(server, "/v2/iex", offer)
    with closing(client):
        offered = [part.strip() for part in offer.split(";")]
        assert client.head.startswith("HTTP/1.1 101 ")
        assert client.agreed[0] == "permessage-deflate"
        assert set(client.agreed) <= set(offered)
        # What a client must be answered with lest it stop reading.
        assert {part for part in offered if part.startswith("server_")} <= set(client.agreed)
        assert client.get() == [{"T": "success", "msg": "connected"}]


def test_subscription_may_name_the_channels_of_all_feeds(server: Served) -> None:
    client = Websocket(server, "/v2/sip", OFFERS[0])
    with closing(client):
        assert client.get() == [{"T": "success", "msg": "connected"}]
        client.send({"action": "auth", "key": "sandbox", "secret": "sandbox"})
        assert client.get() == [{"T": "success", "msg": "authenticated"}]
        own = dict.fromkeys(("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "imbalances", "lulds"))
        client.send({"action": "subscribe", **own, "bars": ["AAPL"], **LEFT_OUT}, compressed=True)
        assert client.get()[0]["bars"] == ["AAPL"]
        server.tick(seconds=60)
        # The SDK reads the kind of a message from its first field alone.
        assert [next(iter(point.items())) for point in client.get()] == [("T", "b")]
        client.send({"action": "unsubscribe", **own, "bars": ["AAPL"], **LEFT_OUT}, compressed=True)
        assert client.get()[0]["bars"] == []


def updates(server: Served, query: str, key: str) -> tuple[socket.socket, HTTPResponse]:
    """Ask for trade updates in the very bytes of the SDK, and return the answer once its head has come."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    connection.sendall(
        f"GET /v2/events/trades{query} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUser-Agent: Go-http-client/1.1\r\n"
        f"{key}Accept-Encoding: gzip\r\n\r\n".encode()
    )
    answer = HTTPResponse(connection)
    answer.begin()
    return connection, answer


def read_data_line(answer: HTTPResponse) -> Any:
    """Read lines until one begins as the SDK wants it, and return what follows."""
    while not (line := answer.readline()).startswith(b"data: "):
        assert line, "the stream has ended"
    return json.loads(line[len(b"data: ") :])


@pytest.mark.parametrize(
    "key",
    ["Apca-Api-Key-Id: sandbox\r\nApca-Api-Secret-Key: sandbox\r\n", "Authorization: Bearer sandbox\r\n"],
    ids=["key", "OAuth"],
)
def test_go_sdk_resumes_trade_updates_where_its_connection_broke(server: Served, key: str) -> None:
    connection, answer = updates(server, "", key)
    with connection, answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
        first = server.order("AAPL", "buy", 1, limit_price="1")
        update = [read_data_line(answer), read_data_line(answer)][-1]
    assert (update["event"], update["order"]["id"]) == ("new", first["id"])
    missed = server.order("AAPL", "buy", 2, limit_price="1")
    # A nanosecond later, as time.RFC3339Nano writes it: without trailing zeros, and with its colons escaped.
    since = f"{update['at'][:-4]}{int(update['at'][-4:-1]) + 1:03}".rstrip("0").replace(":", "%3A") + "Z"
    connection, answer = updates(server, f"?since={since}", key)
    with connection, answer:
        assert [read_data_line(answer)["order"]["id"] for _ in range(2)] == [missed["id"]] * 2
        server.order("SPY", "buy", 3)
        server.tick(seconds=60)
        fill = [read_data_line(answer) for _ in range(3)][-1]
    assert (fill["event"], fill["qty"], fill["order"]["status"]) == ("fill", "3", "filled")
    assert {"price", "position_qty", "execution_id", "timestamp"} <= fill.keys()
