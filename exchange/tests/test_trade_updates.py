"""The trade_updates stream over real sockets: who receives what, in which form, and bad clients."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from exchange.tests.kit.served import Client, Served, served

AUTHORIZED = {"stream": "authorization", "data": {"status": "authorized", "action": "authenticate"}}
UNAUTHORIZED = {"stream": "authorization", "data": {"status": "unauthorized", "action": "authenticate"}}
LISTENING = {"stream": "listening", "data": {"streams": ["trade_updates"]}}
LISTEN = {"action": "listen", "data": {"streams": ["trade_updates"]}}
SYNTAX = {"stream": "error", "data": {"code": 400, "message": "invalid syntax"}}


def login(key: str = "sandbox", secret: str | None = None) -> dict[str, str]:
    return {"action": "auth", "key": key, "secret": secret or key}


def listen(client: Client, key: str = "sandbox", packed: bool = False) -> None:
    assert client.ask(login(key), packed) == AUTHORIZED
    assert client.ask(LISTEN, packed) == LISTENING


def next_events(client: Client, count: int) -> list[tuple[str, str]]:
    """Return the next events as (event, status of the order)."""
    return [(data["event"], data["order"]["status"]) for data in [client.get()["data"] for _ in range(count)]]


def test_both_documented_logins_are_answered_with_json_in_binary_frames(server: Served) -> None:
    older = {"action": "authenticate", "data": {"key_id": "sandbox", "secret_key": "sandbox"}}
    for form in (login(), older):
        with server.connect("/stream") as client:
            client.send(form)
            frame = client.frame()
            assert isinstance(frame, bytes)
            assert json.loads(frame) == AUTHORIZED
            assert client.ask(form) == AUTHORIZED


@pytest.mark.parametrize(
    "form",
    [
        login(secret="wrong"),
        login("nobody"),
        {"action": "authenticate", "data": {"key_id": "sandbox"}},
        {"action": "authenticate", "data": {"key_id": 1, "secret_key": ["sandbox"]}},
        {"action": "auth"},
    ],
)
def test_client_with_wrong_keys_is_told_and_closed(server: Served, form: object) -> None:
    with server.connect("/stream") as client:
        assert client.ask(form) == UNAUTHORIZED
        assert client.end() == (1008, "unauthorized")


def test_client_that_listens_too_early_is_told_and_can_still_authenticate(server: Served) -> None:
    refused = {"stream": "authorization", "data": {"status": "unauthorized", "action": "listen"}}
    with server.connect("/stream") as client:
        assert client.ask(LISTEN) == refused
        listen(client)


def test_order_is_streamed_from_acceptance_to_fill(server: Served) -> None:
    with server.connect("/stream") as client:
        listen(client)
        before = sum(float(position["qty"]) for position in server.get("/v2/positions") if position["symbol"] == "AAPL")
        order = server.order("AAPL", "buy", 3)
        assert next_events(client, 2) == [("pending_new", "pending_new"), ("new", "new")]
        server.tick(seconds=120)
        data = client.get()["data"]
        filled = server.get(f"/v2/orders/{order['id']}")
        assert (data["event"], data["order"]) == ("fill", filled)
        assert (data["qty"], data["price"]) == ("3", filled["filled_avg_price"])
        assert (float(data["position_qty"]), data["timestamp"]) == (before + 3, filled["filled_at"])
        activity = server.get("/v2/account/activities/FILL?page_size=1")[0]
        assert activity["id"].endswith(f"::{UUID(data['execution_id'])}")


def test_cancel_replacement_and_expiry_are_streamed_with_their_event_names(server: Served) -> None:
    with server.connect("/stream") as client:
        listen(client)
        first = server.order("SPY", "buy", 1, limit_price="1")
        next_events(client, 2)
        second = server.ask("PATCH", f"/v2/orders/{first['id']}", {"limit_price": "2"}).json()
        assert {event for event, _ in next_events(client, 4)} >= {"replaced", "new"}
        server.ask("DELETE", f"/v2/orders/{second['id']}")
        assert next_events(client, 1) == [("canceled", "canceled")]
        server.order("SPY", "buy", 1, limit_price="1")
        next_events(client, 2)
        server.tick(to="close")
        assert next_events(client, 1) == [("expired", "expired")]
        server.tick(to="open")
        server.tick(seconds=600)


def test_client_gets_messagepack_when_it_asks_by_header_or_by_frame(server: Served) -> None:
    with (
        server.connect("/stream", Content_Type="application/msgpack") as by_header,
        server.connect("/stream") as by_frame,
    ):
        listen(by_header, packed=False)
        listen(by_frame, packed=True)
        server.order("SPY", "buy", 1, limit_price="1")
        frames = [by_header.frame(), by_frame.frame()]
        assert frames[0] == frames[1]
        assert isinstance(frames[0], bytes)
        assert frames[0][:1] not in b"{["
        assert next_events(by_header, 1) == next_events(by_frame, 1) == [("new", "new")]


def test_update_reaches_every_connection_of_its_account_and_no_other(server: Served) -> None:
    server.ask("POST", "/exchange/v1/accounts", {"name": "alice", "cash": "50000"})
    with server.connect("/stream") as one, server.connect("/stream") as two, server.connect("/stream") as other:
        listen(one)
        listen(two)
        listen(other, "alice")
        server.order("SPY", "buy", 1, limit_price="1")
        mine = server.order("SPY", "buy", 2, key="alice", limit_price="1")
        assert next_events(one, 2) == next_events(two, 2)
        assert other.get()["data"]["order"]["id"] == mine["id"]


def test_listen_replaces_the_set_of_streams(server: Served) -> None:
    with server.connect("/stream") as client:
        listen(client)
        for streams in ([], ["account_updates"], [1, None]):
            assert client.ask({"action": "listen", "data": {"streams": streams}})["data"] == {"streams": []}
        server.order("SPY", "buy", 1, limit_price="1")
        assert client.ask({"action": "listen", "data": {"streams": ["x", "trade_updates"]}}) == LISTENING
        order = server.order("SPY", "buy", 1, limit_price="1")
        assert client.get()["data"]["order"]["id"] == order["id"]


GARBAGE: list[str | bytes] = [
    *("", "not json", "[]", "1", "null", '{"action": 1}', "{}", '{"action": NaN}', '{"action": "\\ud800"}', "[1"),
    *("[" * 100_000, "9" * 10_000, b"", b"\xff\xfe\x00", b'["\xed\xa0\x80"]', b"\xd9\x05abc", b"\xc1"),
    *(b"\x91" * 100_000, b"\x81\x01\x02", b"\xdf\xff\xff\xff\xff", b"\xc7\x00"),
]


def test_unreadable_frame_is_answered_with_an_error_and_keeps_the_connection(server: Served) -> None:
    with server.connect("/stream") as client:
        for frame in GARBAGE:
            client.websocket.send(frame)
            assert client.get() == SYNTAX, frame[:20]
        listen(client)
        for message in ({"action": "dance"}, {"action": "listen"}, {"action": "listen", "data": {"streams": "all"}}):
            assert client.ask(message) == SYNTAX
        order = server.order("SPY", "buy", 1, limit_price="1")
        assert client.get()["data"]["order"]["id"] == order["id"]


def test_stream_serves_others_while_one_sends_half_a_handshake_and_another_too_long_a_message(server: Served) -> None:
    half_sent = socket.create_connection(("127.0.0.1", server.port))
    with half_sent, server.connect("/stream") as other:
        half_sent.sendall(b"GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n")
        listen(other)
        with server.connect("/stream") as client:
            client.websocket.send("x" * 2_000_000)
            assert client.end()[0] == 1009
        server.order("SPY", "buy", 1, limit_price="1")
        assert next_events(other, 1) == [("pending_new", "pending_new")]


HANDSHAKE = (
    "Host: 127.0.0.1",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)


def raw(server: Served, frame: bytes, *headers: str) -> bytes:
    """Send a handshake and then a frame byte for byte; return all that comes until the server closes."""
    head = "\r\n".join(("GET /stream HTTP/1.1", *(headers or HANDSHAKE))) + "\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head.encode())
        answer = connection.recv(4096)
        connection.sendall(frame)
        while part := connection.recv(4096):
            answer += part
    return answer


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x02{}", 1002),
        (b"\x83\x82\x00\x00\x00\x00{}", 1002),
        (b"\x80\x81\x00\x00\x00\x00{", 1002),
        (b"\x89\xfe\x00\xff\x00\x00\x00\x00" + b"x" * 255, 1002),
        (b"\x81\x82\x00\x00\x00\x00\xff\xfe", 1007),
        (b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1009),
    ],
)
def test_invalid_frame_closes_its_connection_with_the_right_code(
    server: Served, frame: bytes, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert code.to_bytes(2) in raw(server, frame).partition(b"\r\n\r\n")[2]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("fault", ["Content-Length: 5", "Sec-WebSocket-Version: 99", "Sec-WebSocket-Extensions: ;;"])
def test_unreadable_handshake_is_answered_with_400_and_closed(server: Served, fault: str) -> None:
    assert raw(server, b"", *HANDSHAKE, fault).startswith(b"HTTP/1.1 400 ")


def test_server_stops_at_once_when_a_client_does_not_read(
    new_folder: Callable[[], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    with served(new_folder()) as server, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf.connect(("127.0.0.1", server.port))
        quiet: dict[str, Any] = {"proxy": None, "compression": None, "max_queue": 1, "close_timeout": 0}
        with connect(server.ws + "/v2/test", sock=deaf, **quiet) as client:
            for message in (login(), {"action": "subscribe", "bars": ["*"], "quotes": ["*"], "trades": ["*"]}):
                client.send(json.dumps(message))
            for _ in range(3):
                client.recv(10)
            for moment in ("close", "next_open", "close"):
                server.tick(to=moment)
            while not server.unsent_bytes():
                pass
            server.end()
    # A server that waited in vain says so when it gives up.
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("path", "headers", "status"), [("/nowhere", {}, 404), ("/stream", {"Origin": "https://evil.example"}, 403)]
)
def test_handshake_is_refused_for_an_unknown_path_or_a_foreign_origin(
    server: Served, path: str, headers: dict[str, str], status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused, server.connect(path, **headers):
        pass
    assert refused.value.response.status_code == status


def test_stopping_server_closes_its_websockets(new_folder: Callable[[], Path]) -> None:
    with served(new_folder()) as server, server.connect("/stream") as client:
        listen(client)
        server.stop()
        with pytest.raises(ConnectionClosed) as closed:
            client.frame()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
