"""Sockets of faces beside HTTP: when an exchange ends, nobody stays connected to it."""

import asyncio
import gc
import socket
import warnings
from typing import Any

from papervenue.socket_listeners import HOST, Lines


class Quiet:
    """A host and a conversation that do nothing, and know how many are there."""

    def __init__(self) -> None:
        self.there = 0

    def begin(self) -> None:
        self.there += 1

    def end(self) -> None:
        self.there -= 1

    def catch_up(self) -> None: ...
    def record(self) -> None: ...
    def closed(self) -> None: ...
    def receive(self, data: bytes) -> None: ...


def test_whoever_is_connected_when_an_exchange_ends_is_hung_up_on() -> None:
    quiet = Quiet()

    def greet(line: Any) -> Quiet:
        line.send(b"hello")
        return quiet

    async def play() -> bytes:
        lines = Lines()
        await lines.listen(quiet, {"one": greet})
        with socket.create_connection((HOST, lines.ports()["one"])) as client:
            while not quiet.there:
                await asyncio.sleep(0)
            await lines.close()
            assert quiet.there == 0
            return client.recv(5) + client.recv(1)

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        assert asyncio.run(play()) == b"hello"
        gc.collect()
