"""Connections on raw sockets: incomplete requests, two lengths, too many clients, and the end of the server."""

import json
import logging
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from exchange.tests.kit.app import KEYS
from exchange.tests.kit.served import Served, served
from papervenue.faults import connection_faults
from papervenue.process import running_endpoint

HEAD = "".join(f"{name}: {value}\r\n" for name, value in KEYS.items())
HALF_BODY = b"POST /v2/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{"
FEW_DESCRIPTORS = 160


@pytest.fixture
def server(new_folder: Callable[[], Path]) -> Iterator[Served]:
    with served(new_folder()) as server:
        yield server


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def request(line: str, *headers: str) -> bytes:
    return (f"{line} HTTP/1.1\r\n{HEAD}" + "".join(f"{header}\r\n" for header in headers) + "\r\n").encode()


def all_of(client: socket.socket) -> bytes:
    """Return what is sent until the server closes."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def status_on(client: socket.socket) -> int:
    """Ask for the clock on a connection that is kept, and return the answer's status."""
    client.sendall(request("GET /v2/clock", "Host: 127.0.0.1"))
    answer = b""
    while not answer.endswith(b"}"):
        answer += client.recv(65536)
    return int(answer.split()[1])


def send_raw(server: Served, data: bytes) -> tuple[int, bytes]:
    """Return status and body of an answer after which the connection ends."""
    with closing(connected(server.port)) as client:
        client.sendall(data)
        head, _, body = all_of(client).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@pytest.mark.parametrize(
    ("begun", "answer"), [(b"", b""), (b"GET /v2/clo", b"HTTP/1.1 408 "), (HALF_BODY, b"HTTP/1.1 408 ")]
)
def test_connection_is_closed_when_a_request_does_not_arrive_in_time(
    server: Served, monkeypatch: pytest.MonkeyPatch, begun: bytes, answer: bytes
) -> None:
    monkeypatch.setattr(connection_faults, "REQUEST_S", 0.05)
    with closing(connected(server.port)) as client:
        client.sendall(begun)
        got = all_of(client)
    assert got.startswith(answer)
    assert bool(got) == bool(begun)
    assert server.get("/v2/clock")["is_open"] is False


def test_request_deadline_spares_kept_connections_websockets_and_hanging_answers(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_faults, "REQUEST_S", 0.1)
    hang = {"name": "h", "when": {"request": "account"}, "what": {"hang": "300ms", "then": "answer"}}
    assert server.ask("POST", "/exchange/v1/faults", [hang]).status_code == 200
    with server.connect("/stream") as stream, closing(connected(server.port)) as kept:
        assert status_on(kept) == 200
        assert server.get("/v2/account")["currency"] == "USD"
        assert status_on(kept) == 200
        assert stream.ask({"action": "dance"})["stream"] == "authorization"


def test_a_request_with_two_lengths_is_refused_with_its_connection(server: Served) -> None:
    two = request("POST /v2/orders", "Host: 127.0.0.1", "Content-Length: 5", "Transfer-Encoding: chunked")
    status, body = send_raw(server, two + b"2\r\n{}\r\n0\r\n\r\n" + request("GET /v2/clock", "Host: 127.0.0.1"))
    assert (status, json.loads(body)["code"]) == (400, 40010000)
    assert server.get("/v2/orders?status=all") == []


def test_host_in_the_request_target_replaces_the_header(server: Served) -> None:
    own = request(f"GET http://127.0.0.1:{server.port}/v2/clock?x=1", "Host: evil.example", "Connection: close")
    status, body = send_raw(server, own)
    assert (status, json.loads(body)["is_open"]) == (200, False)
    foreign = request("GET http://evil.example/v2/clock", "Host: 127.0.0.1", "Connection: close")
    assert send_raw(server, foreign)[0] == 403
    assert send_raw(server, request("GET http://127.0.0.1", "Host: 127.0.0.1", "Connection: close"))[0] == 200


@pytest.mark.parametrize("path", ["/v2/clock", "/v2/orders", "/exchange/v1/faults"])
def test_each_allowed_method_is_listed_once(server: Served, path: str) -> None:
    allowed = server.ask("BREW", path).headers["allow"].split(", ")
    assert "HEAD" in allowed
    assert len(allowed) == len(set(allowed))


@pytest.mark.parametrize("what", [{"hang": "1h"}, {"hang": "1h", "then": "answer"}, {"slow_drip": 1}])
def test_server_stops_at_once_without_errors_while_answers_are_held_back(
    new_folder: Callable[[], Path], caplog: pytest.LogCaptureFixture, what: dict[str, object]
) -> None:
    with served(new_folder()) as server, ExitStack() as clients:
        server.ask("POST", "/exchange/v1/faults", [{"name": "w", "when": {"request": "clock"}, "what": what}])
        waiting, half = (clients.enter_context(closing(connected(server.port))) for _ in range(2))
        waiting.sendall(request("GET /v2/clock", "Host: 127.0.0.1"))
        half.sendall(HALF_BODY)
        while server.get("/exchange/v1/faults")["faults"][0]["fired"] == 0:
            time.sleep(0.01)
        began = time.monotonic()
        server.end()
        assert time.monotonic() - began < 60
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_server_refuses_clients_without_descriptors_and_lives_on(new_folder: Callable[[], Path]) -> None:
    folder = new_folder()
    command = [sys.executable, "-m", "papervenue", "--state", str(folder)]
    limit = (FEW_DESCRIPTORS, FEW_DESCRIPTORS)
    with (
        subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit),  # noqa: PLW1509 -- no threads here
        ) as server,
        ExitStack() as clients,
    ):
        while (running_process := running_endpoint(folder)) is None:
            assert server.poll() is None
            time.sleep(0.02)
        port = int(running_process.url.rpartition(":")[2])
        crowd = [clients.enter_context(closing(connected(port))) for _ in range(2 * FEW_DESCRIPTORS)]
        assert b" 503 " in crowd[-1].recv(100)
        for client in crowd:
            client.close()
        deadline_s = time.monotonic() + 60
        while running_endpoint(folder) is None:
            assert time.monotonic() < deadline_s
        server.terminate()
        assert server.communicate(timeout=120)[1] == ""
    assert server.returncode == 0


def test_answer_is_sent_in_one_piece_with_its_head(server: Served) -> None:
    with closing(connected(server.port)) as client:
        for _ in range(30):
            client.sendall(request("GET /v2/clock", "Host: 127.0.0.1"))
            head, _, body = client.recv(65536).partition(b"\r\n\r\n")
            assert b"content-length: %d\r\n" % len(body) in head + b"\r\n"
            assert json.loads(body)["is_open"] is False


def test_forwarding_headers_do_not_change_the_caller(server: Served) -> None:
    body = b'{"seconds": 1}'
    headers = ("Host: 127.0.0.1", "X-Forwarded-For: 10.0.0.1", f"Content-Length: {len(body)}", "Connection: close")
    assert send_raw(server, request("POST /exchange/v1/tick", *headers) + body)[0] == 200
