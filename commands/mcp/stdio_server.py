"""Serve the protocol to whoever started this process, over its stdin and stdout."""

import asyncio
import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any

from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server


def serve_stdio(server: Server[Any]) -> None:
    """Serve one client over this process's stdin and stdout until it goes away, or until SIGINT or SIGTERM."""

    async def served() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, end)
        # Nothing else can reach the client: meanwhile the process's own stdout is its stderr.
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    with _ending_stdin() as end:
        asyncio.run(served())


@contextmanager
def _ending_stdin() -> Iterator[Callable[[], None]]:
    """Put a pipe in the place of stdin, and yield what ends it: nothing else wakes a thread that waits for a client."""
    (ours, theirs), (awake, wake) = os.pipe(), os.pipe()
    client = os.dup(0)
    os.dup2(ours, 0)
    os.close(ours)

    def passed_on() -> None:
        with open(theirs, "wb", buffering=0) as to, suppress(OSError):
            while awake not in select.select([client, awake], [], [])[0] and (some := os.read(client, 1 << 16)):
                to.write(some)

    def end() -> None:
        os.write(wake, b".")

    Thread(target=passed_on, name="stdin", daemon=True).start()
    try:
        yield end
    finally:
        end()
        os.dup2(client, 0)
