"""A server that goes on whatever is sent to it: slowly, in floods, or nothing at all; and ends at a signal."""

import os
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest
from sse_starlette.sse import AppStatus
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from commands.shared.service import LONGEST_HEAD, RequestTimeouts, listening, serve_on

ASK = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.1.1.1\r\nConnection: %b\r\n\r\n"
FEW = 5


async def answer(request: Request) -> PlainTextResponse:
    """Return from whom a request came, or how long its body was; or fail."""
    if request.url.path == "/broken":
        raise RuntimeError("a secret detail")
    length = len(await request.body())
    return PlainTextResponse(str(length) if length else str(request.client and request.client.host))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RequestTimeouts, "request_s", 0.3)
    monkeypatch.setattr(RequestTimeouts, "most_connections", FEW)
    # It remembers that a server in this process has ended, and every stream of a later copy would end at once.
    monkeypatch.setattr(AppStatus, "should_exit", False)


def while_served(act: Callable[[tuple[str, int]], None]) -> None:
    """Serve, let a client act in another thread, and end by a signal, which does afterwards what it did before."""
    listener = listening("127.0.0.1", 0, "")
    before = signal.getsignal(signal.SIGTERM)

    def play() -> None:
        try:
            act(listener.getsockname())
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    with ThreadPoolExecutor(1) as pool:
        playing = pool.submit(play)
        routes = [Route(path, answer, methods=["GET", "POST"]) for path in ("/", "/broken")]
        serve_on(listener, Starlette(routes=routes))
        playing.result(60)
    assert signal.getsignal(signal.SIGTERM) is before


def told(at: tuple[str, int], *parts: bytes, pause_s: float = 0) -> bytes:
    """Send parts over one connection, and return all that comes back until the other end closes it."""
    with closing(socket.create_connection(at, 30)) as client:
        received = b""
        try:
            for part in parts:
                client.sendall(part)
                time.sleep(pause_s)
            while more := client.recv(65_536):
                received += more
        except OSError:
            return received
        return received


def test_an_address_that_a_header_names_is_not_believed_and_other_protocols_are_not_spoken() -> None:
    def act(at: tuple[str, int]) -> None:
        assert told(at, ASK % b"close").endswith(b"\r\n127.0.0.1")
        upgraded = told(at, ASK.replace(b"\r\n\r\n", b", Upgrade\r\nUpgrade: websocket\r\n\r\n") % b"close")
        assert upgraded.startswith(b"HTTP/1.1 200 ")

    while_served(act)


def test_a_connection_ends_unless_its_requests_arrive_in_time() -> None:
    def act(at: tuple[str, int]) -> None:
        began_s = time.monotonic()
        assert told(at) == b""
        assert told(at, *[bytes([letter]) for letter in ASK[:10]], pause_s=0.05) == b""
        body = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc"
        assert told(at, body) == b""
        assert time.monotonic() - began_s < 10
        # A request that arrives in time is answered, and so is the next one on its connection.
        assert told(at, ASK % b"keep-alive", b"x" * 0, ASK % b"close", pause_s=0.2).count(b"200 OK") == 2

    while_served(act)


def test_heads_and_bodies_without_end_and_nonsense_are_refused() -> None:
    def act(at: tuple[str, int]) -> None:
        flood = told(at, ASK[:-4] % b"close" + b"".join(b"\r\nx-%d: y" % number for number in range(LONGEST_HEAD)))
        assert flood == b"" or flood.startswith(b"HTTP/1.1 400 ")
        assert b"400" in told(at, b"\x16\x03\x01 nonsense\r\n\r\n")
        assert told(at, ASK % b"close").endswith(b"127.0.0.1")

    while_served(act)


def test_too_many_connections_are_closed_and_those_that_are_there_go_on() -> None:
    def act(at: tuple[str, int]) -> None:
        with ExitStack() as stack:
            for _ in range(FEW - 1):
                stack.enter_context(closing(socket.create_connection(at, 30)))
            last = stack.enter_context(closing(socket.create_connection(at, 30)))
            last.sendall(ASK % b"keep-alive")
            assert b"200 OK" in last.recv(65_536)
            assert [told(at, ASK % b"close") for _ in range(3)] == [b""] * 3
        time.sleep(0.4)
        assert told(at, ASK % b"close").endswith(b"127.0.0.1")

    while_served(act)


def test_a_defect_tells_nothing_to_who_asked_and_everything_to_who_serves(capsys: pytest.CaptureFixture[str]) -> None:
    def act(at: tuple[str, int]) -> None:
        answer = told(at, (ASK % b"close").replace(b"GET /", b"GET /broken"))
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert b"secret" not in answer
        assert b"Traceback" not in answer

    while_served(act)
    assert "RuntimeError: a secret detail" in capsys.readouterr().err
