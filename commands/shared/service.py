"""Serve HTTP until a signal ends it, safe against many or slow clients."""

import asyncio
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from tradebot.errors import OperatorError

LAST_ANSWERS_S, ENDED_S = 1, 2
"""How long responses may still be sent after a signal, in seconds, and when the remaining ones are canceled."""
GONE_S = 30
"""How long a connection stays open while its client doesn't acknowledge sent data, in seconds."""
LONGEST_HEAD = 16_384


class Service(uvicorn.Server):
    """A uvicorn server that ends cleanly at a signal, instead of raising it again afterwards."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM end the server, and restore the handlers afterwards."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let the last responses be sent, then close all other streams and connections."""
        asyncio.get_running_loop().call_later(LAST_ANSWERS_S, self._close)
        await super().shutdown(sockets)

    def _close(self) -> None:
        for connection in list(self.server_state.connections):
            if connection.transport:
                connection.transport.abort()


class RequestTimeouts(H11Protocol):
    """A connection that is closed if its requests don't arrive in time, or at once if too many others are open."""

    request_s = 10.0
    """How long a request may take to arrive, in seconds: from the connection, or a later one from its first byte."""
    most_connections = 200
    deadline: asyncio.TimerHandle | None = None
    """When the connection ends if its request has not arrived; None while a response is being made."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for a request."""
        super().connection_made(transport)
        if sum(not each.transport.is_closing() for each in self.connections) > self.most_connections:
            transport.abort()
        self.wait_or_not()

    def data_received(self, data: bytes) -> None:
        """Receive a request, or a part of it."""
        super().data_received(data)
        self.wait_or_not()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting for requests, because the connection is closed."""
        super().connection_lost(exc)
        self.wait_or_not()

    def end(self) -> None:
        """Close the connection at once."""
        self.transport.abort()
        self.wait_or_not()

    def wait_or_not(self) -> None:
        """Start the timeout if a request, or the rest of one, is due; otherwise cancel it."""
        waits = self.cycle is None or self.cycle.response_complete or self.cycle.more_body
        if self.transport.is_closing() or not waits:
            if self.deadline is not None:
                self.deadline.cancel()
            self.deadline = None
        elif self.deadline is None:
            self.deadline = self.loop.call_later(self.request_s, self.end)


def listening(host: str, port: int, other: str) -> socket.socket:
    """Return a socket that listens at an address; port 0 selects a free port.

    Raise OperatorError, with `other` as the hint, if the port can't be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_S * 1000)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise OperatorError(f"port {port} of {host} can't be used: {error.strerror}", other) from error
    return listener


def require_usable(cert: Path, key: Path) -> None:
    """Raise OperatorError if a server can't use a certificate and its key, which must not need a passphrase."""
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key, password="")
    except OSError as error:
        raise OperatorError(
            f"{cert} and {key} can't be used: {error}", "give a certificate and its own key, without a pass phrase"
        ) from error


def serve_on(listener: socket.socket, app: ASGIApp, cert: Path | None = None, key: Path | None = None) -> None:
    """Serve until SIGINT or SIGTERM arrives; use TLS if there are a certificate and its key, which must be usable."""
    settings = uvicorn.Config(
        app, http=RequestTimeouts, ws="none", access_log=False, log_level="warning", server_header=False,
        timeout_graceful_shutdown=ENDED_S, h11_max_incomplete_event_size=LONGEST_HEAD,
        # A forwarding header, which anyone can send, would give a request a different address.
        proxy_headers=False,
        ssl_certfile=cert, ssl_keyfile=str(key) if key else None,
    )  # fmt: skip
    Service(settings).run([listener])
