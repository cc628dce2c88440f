"""Control the connection of a request, for failures that HTTP can't express: a close without a response, and a reset.

This module also limits how many files and connections this process may have open at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import struct
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from papervenue.faces.web import CONNECTION

_RESERVED = 256

"""File descriptors not meant for clients: the log, the market, and connections that are just being refused."""


def raise_limit() -> None:
    """Raise this process's limit on open files to the system's maximum; if the system refuses, keep the current one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_connections() -> int:
    """Return how many clients may connect, so that enough file descriptors are left for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft - min(_RESERVED, soft // 2)


_NO_LINGER = struct.pack("ii", 1, 0)

"""SO_LINGER with a zero timeout, so that closing the socket sends a reset immediately."""

REQUEST_S = 30.0

"""Seconds for a request to arrive, from connecting (or its first byte) to the last byte of its body."""

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

_DATE = b"date"

_LENGTH = b"content-length"


class JoinedReplyConnection(h11.Connection):
    """The HTTP protocol of one connection; headers are sent together with the body if the body's length is known."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER)
        self._head: list[bytes] = []

    def send_with_data_passthrough(self, event: h11.Event) -> list[bytes] | None:
        """Return the bytes to write for an event; headers that announce a body wait for its first part."""
        written = super().send_with_data_passthrough(event)
        if written is None:
            return None
        written, self._head = self._head + written, []
        if isinstance(event, h11.Response) and any(name == _LENGTH for name, _ in event.headers):
            written, self._head = [], written
        return written


class Protocol(H11Protocol):
    """uvicorn's HTTP protocol with timeouts; a request's scope gives access to it."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn = JoinedReplyConnection()
        self.app_state = {**self.app_state, CONNECTION: self}
        self._deadline: asyncio.TimerHandle | None = None
        self._held: RequestResponseCycle | None = None
        self.owner: int | None = None
        """The user id of the client's socket, once the kernel has reported it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, or refuse it if there are too many for the available file descriptors."""
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            transport.write(_FULL)
            transport.close()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def _watch(self) -> None:
        """Run the deadline while a request is expected or arriving; websocket connections have their own timeouts."""
        transport, arriving = self.transport, self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if not arriving or transport.is_closing() or transport.get_protocol() is not self:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None
        elif self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_S, self._give_up)

    def _give_up(self) -> None:
        """Close a connection whose request didn't arrive in time; send a 408 if the request had begun."""
        begun = self.conn.their_state is h11.SEND_BODY or self.conn.trailing_data[0]
        if begun and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_TOO_LATE)
        self.transport.close()

    def hold(self) -> None:
        """Mark the current request as open-ended, because a script delays it or its response is a stream."""
        self._held = self.cycle

    def shutdown(self) -> None:
        """Let the current request finish, but don't wait for one that is incomplete or open-ended."""
        super().shutdown()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and (cycle.more_body or cycle is self._held):
            self.transport.abort()


class Connection:
    """The connection of one request; without a server, closing it just ends the request.

    `record` writes decisions into the log before the client sees anything.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, record: Callable[[], None]) -> None:
        self.scope = scope
        self.receive = receive
        self._send = send
        self._record = record
        attached = scope.get("state", {}).get(CONNECTION)
        self._protocol: Protocol | None = attached if isinstance(attached, Protocol) else None

    @property
    def has_left(self) -> bool:
        """Return True if the client has disconnected."""
        return self._protocol is not None and self._protocol.transport.is_closing()

    async def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._record()
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, body: bytes, *, more: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def close(self) -> None:
        """Close the connection after sending everything written so far, even if the response is incomplete."""
        self._record()
        if self._protocol is not None:
            self._protocol.transport.close()
            await self._wait_closed()

    async def reset(self) -> None:
        """Reset the connection; whatever the client hasn't read is lost."""
        self._record()
        if self._protocol is not None:
            attached: socket.socket = self._protocol.transport.get_extra_info("socket")
            attached.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._protocol.transport.abort()
            await self._wait_closed()

    async def pause(self, seconds: float) -> None:
        """Wait this many seconds without sending, or until the client leaves or the server stops."""
        if self._protocol is not None:
            self._protocol.hold()
        try:
            await asyncio.wait_for(self._wait_closed(), seconds)
        except TimeoutError:
            return

    async def _wait_closed(self) -> None:
        """Wait until the connection ends, because an ASGI application that returns early would still owe an answer."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    def shift_date(self, skew_us: int) -> None:
        if self._protocol is not None:
            cycle = self._protocol.cycle
            date = format_datetime(datetime.now(UTC) + timedelta(microseconds=skew_us), usegmt=True)
            others = [(name, value) for name, value in cycle.default_headers if name.lower() != _DATE]
            cycle.default_headers = [*others, (_DATE, date.encode())]
