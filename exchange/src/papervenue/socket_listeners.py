"""Listen on loopback for clients of APIs that use sockets instead of HTTP."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from papervenue.faces.guard import owner_of

HOST = "127.0.0.1"
_ROOT = 0
_LAST_WORDS_S = 1.0
_LOOK_S = 0.01


class Conversation(Protocol):
    """An API's handler of one client connection."""

    def receive(self, data: bytes) -> None: ...
    def closed(self) -> None: ...


class Host(Protocol):
    """A server that counts the clients connected to an exchange's sockets."""

    def begin(self) -> None:
        """Register a connected client."""

    def end(self) -> None:
        """Unregister a client that disconnected."""

    def catch_up(self) -> None: ...
    def record(self) -> None: ...


class ClientConnection(asyncio.Protocol):
    """One client's connection, which is refused unless the client's program belongs to this user or to root.

    It is also accepted if the kernel can't identify the user.
    """

    def __init__(self, host: Host, open_line: Callable[[Any], Conversation], connected: set[ClientConnection]) -> None:
        self._host = host
        self._open_line = open_line
        self._connected = connected
        self._conversation: Conversation | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        peer, here = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if owner_of(peer, here) not in (None, _ROOT, os.geteuid()):
            transport.close()
            return
        self._transport = transport
        self._connected.add(self)
        self._host.begin()
        self._conversation = self._open_line(self)

    def data_received(self, data: bytes) -> None:
        if self._conversation is not None:
            self._host.catch_up()
            self._conversation.receive(data)
            self._host.record()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._conversation is not None:
            self._conversation.closed()
            self._host.end()
            self._conversation = None
            self._connected.discard(self)

    def send(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()

    def abort(self) -> None:
        assert self._transport is not None
        self._transport.abort()

    def record(self) -> None:
        self._host.record()

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, do)


class Lines:
    """The sockets of an exchange's APIs, by name, and their connections."""

    def __init__(self) -> None:
        self._servers: dict[str, asyncio.Server] = {}
        self._connected: set[ClientConnection] = set()

    async def listen(self, host: Host, faces: Mapping[str, Callable[[Any], Conversation]]) -> None:
        """Listen on a free port for each API."""
        loop = asyncio.get_running_loop()
        for name, open_line in faces.items():
            make_connection = partial(ClientConnection, host, open_line, self._connected)
            self._servers[name] = await loop.create_server(make_connection, HOST, 0)

    def ports(self) -> dict[str, int]:
        """Return the port of each API."""
        return {name: server.sockets[0].getsockname()[1] for name, server in self._servers.items()}

    async def close(self) -> None:
        """Stop listening, and close every connection once its data has been sent or has timed out."""
        for server in self._servers.values():
            server.close()
        for line in tuple(self._connected):
            line.close()
        ends_s = time.monotonic() + _LAST_WORDS_S
        while self._connected and time.monotonic() < ends_s:
            await asyncio.sleep(_LOOK_S)
        for line in tuple(self._connected):
            line.abort()
        await asyncio.sleep(0)
