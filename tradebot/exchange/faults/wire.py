"""The connection under a request: what HTTP cannot say, such as closing without an answer, or resetting."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from tradebot.exchange.descriptors import most_connections
from tradebot.exchange.faces.web import CONNECTION

_NO_LINGER = struct.pack("ii", 1, 0)
"""SO_LINGER on with no time: closing the socket sends a reset at once."""
REQUEST_S = 30.0
"""Seconds in which a request must have arrived, from the connection or its first byte to the last of its body."""
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_DATE = b"date"


class Protocol(H11Protocol):
    """uvicorn's HTTP protocol, which each of its requests can find in its scope, with an end to all waiting."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.app_state = {**self.app_state, CONNECTION: self}
        self._deadline: asyncio.TimerHandle | None = None
        self._held: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection in, or refuse it where there are too many: without descriptors nobody is served."""
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            transport.write(_FULL)
            transport.close()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take in a part of a request."""
        super().data_received(data)
        self._watch()

    def _watch(self) -> None:
        """Let the deadline run while a request is awaited or on its way; a websocket's connection is another's."""
        transport, arriving = self.transport, self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if not arriving or transport.is_closing() or transport.get_protocol() is not self:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None
        elif self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_S, self._give_up)

    def _give_up(self) -> None:
        """Close the connection of a request that did not arrive in time, with a 408 where it had begun."""
        begun = self.conn.their_state is h11.SEND_BODY or self.conn.trailing_data[0]
        if begun and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_TOO_LATE)
        self.transport.close()

    def hold(self) -> None:
        """Mark the request in progress as one without an end: a script lets it wait, or its answer goes on."""
        self._held = self.cycle

    def shutdown(self) -> None:
        """Let the request in progress end, but neither wait for the rest of one nor for what is held."""
        super().shutdown()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and (cycle.more_body or cycle is self._held):
            self.transport.abort()


class Connection:
    """One request on its connection, answered as its handler likes; an application without a server just ends.

    `record` writes what was decided into the log: the client learns nothing before that.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, record: Callable[[], None]) -> None:
        self.scope = scope
        self.receive = receive
        self._send = send
        self._record = record
        found = scope.get("state", {}).get(CONNECTION)
        self._protocol: Protocol | None = found if isinstance(found, Protocol) else None

    @property
    def gone(self) -> bool:
        """Say whether the client has left."""
        return self._protocol is not None and self._protocol.transport.is_closing()

    async def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Send the head of an answer."""
        self._record()
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, body: bytes, *, more: bool = False) -> None:
        """Send a part of its body."""
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def close(self) -> None:
        """Close the connection after what was written, with or without an answer."""
        self._record()
        if self._protocol is not None:
            self._protocol.transport.close()
            await self._closed()

    async def reset(self) -> None:
        """Reset the connection; what was not read by then is lost."""
        self._record()
        if self._protocol is not None:
            found: socket.socket = self._protocol.transport.get_extra_info("socket")
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._protocol.transport.abort()
            await self._closed()

    async def pause(self, seconds: float) -> None:
        """Say nothing for so long, or until the client leaves or the server ends."""
        if self._protocol is not None:
            self._protocol.hold()
        try:
            await asyncio.wait_for(self._closed(), seconds)
        except TimeoutError:
            return

    async def _closed(self) -> None:
        """Wait for the connection's end: an application that returns before it has left an answer owing."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    def shift_date(self, skew_us: int) -> None:
        """Let the answer's Date header be so much later."""
        if self._protocol is not None:
            cycle = self._protocol.cycle
            date = format_datetime(datetime.now(UTC) + timedelta(microseconds=skew_us), usegmt=True)
            kept = [(name, value) for name, value in cycle.default_headers if name.lower() != _DATE]
            cycle.default_headers = [*kept, (_DATE, date.encode())]
