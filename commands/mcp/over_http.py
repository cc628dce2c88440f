"""Serve the protocol over HTTP on this machine alone, to whoever has the token and comes from no web page."""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from mcp.server.lowlevel.server import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tradebot.errors import OperatorError

HOST = "127.0.0.1"
PATH = "/mcp"
SCHEME = "bearer"
LONGEST_BODY = 100_000
MOST_SESSIONS = 20
LAST_ANSWERS_S = 2


class WithToken:
    """An application that only answers requests with the token."""

    def __init__(self, app: ASGIApp, fits: Callable[[str], bool]) -> None:
        self._app, self._fits = app, fits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse with 401 before anything of the request is read."""
        if scope["type"] == "http" and not self._allowed(Headers(scope=scope)):
            refusal = Response("the token is missing or wrong", 401, {"WWW-Authenticate": "Bearer"})
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _allowed(self, headers: Headers) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return scheme.lower() == SCHEME and self._fits(token.strip())


class Service(uvicorn.Server):
    """uvicorn, which ends cleanly at a signal instead of raising it again afterwards."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM end the server, and be as before afterwards."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def application(server: Server[Any], port: int, fits: Callable[[str], bool]) -> ASGIApp:
    """Return what answers on a port: the token first, then Host, then Origin. There are no pages here to ask it."""
    hosts = [f"{name}:{port}" for name in (HOST, "localhost")]
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=LONGEST_BODY,
        max_sessions=MOST_SESSIONS,
        transport_security=TransportSecuritySettings(
            allowed_hosts=hosts, allowed_origins=[f"http://{host}" for host in hosts]
        ),
    )
    return WithToken(app, fits)


def listening(port: int) -> socket.socket:
    """Return a socket that listens on this machine alone, 0 for a free port; OperatorError if it can't be used."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise OperatorError(
            f"port {port} of {HOST} can't be used: {error.strerror}", "tradebot mcp --http 0"
        ) from error
    return listener


def serve_http(server: Server[Any], listener: socket.socket, fits: Callable[[str], bool]) -> None:
    """Serve until SIGINT or SIGTERM."""
    app = application(server, listener.getsockname()[1], fits)
    settings = uvicorn.Config(app, access_log=False, log_level="warning", timeout_graceful_shutdown=LAST_ANSWERS_S)
    Service(settings).run([listener])
