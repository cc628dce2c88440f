"""The connection under a request: what HTTP cannot say, such as closing without an answer, or resetting."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_NO_LINGER = struct.pack("ii", 1, 0)
"""SO_LINGER on with no time: closing the socket sends a reset at once."""
_STATE = "connection"
_DATE = b"date"


class Protocol(H11Protocol):
    """uvicorn's HTTP protocol, which each of its requests can find in its scope."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.app_state = {**self.app_state, _STATE: self}


class Connection:
    """One request on its connection, answered as its handler likes; an application without a server just ends.

    `record` writes what was decided into the log: the client learns nothing before that.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, record: Callable[[], None]) -> None:
        self.scope = scope
        self.receive = receive
        self._send = send
        self._record = record
        found = scope.get("state", {}).get(_STATE)
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
        """Say nothing for so long, or until the client leaves."""
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
