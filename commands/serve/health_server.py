"""Serve a WSGI application from separate threads, with room for new connections even if old ones hang."""

import asyncio
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from commands.shared.service import RequestTimeouts

BACKLOG = 1_024
MOST_WAITING = 20
"""How many connections per port may be without a request so far."""
THREADS = 4
"""The number of worker threads: while some wait for locked books, another one can still serve the process's health."""
LONGEST_HEAD = 16_384
LAST_ANSWERS_S = 1.0
"""How long a stop waits for responses in progress."""

Pages = Callable[[dict[str, Any], Callable[..., Any]], Any]


class HealthConnection(RequestTimeouts):
    """A connection; when too many are waiting, the one that has been idle longest is closed to make room."""

    request_s, most_connections = 5.0, 80

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for a request."""
        super().connection_made(transport)
        waiting = {
            each: each.deadline.when()
            for each in self.connections
            if isinstance(each, RequestTimeouts) and each.deadline
        }
        if len(waiting) > MOST_WAITING:
            min(waiting, key=waiting.__getitem__).end()

    def on_response_complete(self) -> None:
        """Start waiting for the next request, with the same timeout as the first."""
        super().on_response_complete()
        self.wait_or_not()

    def send_400_response(self, msg: str) -> None:
        """Refuse input that isn't HTTP, with the matching status."""
        status = HTTPStatus(getattr(sys.exception(), "error_status_hint", 400))
        self.transport.write(f"HTTP/1.1 {status} {status.phrase}\r\nConnection: close\r\n\r\n{msg}\n".encode())
        self.transport.close()


@contextmanager
def answering(pages: Pages, listeners: Sequence[socket.socket]) -> Iterator[None]:
    """Serve on these listeners inside the block."""
    logging.getLogger("uvicorn").addHandler(logging.NullHandler())
    loop, ended = asyncio.new_event_loop(), asyncio.Event()

    def run() -> None:
        loop.run_until_complete(_serve(pages, listeners, ended))
        loop.close()

    thread = threading.Thread(target=run, name="health", daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(2 * LAST_ANSWERS_S)


async def _serve(pages: Pages, listeners: Sequence[socket.socket], ended: asyncio.Event) -> None:
    threads = ThreadPoolExecutor(THREADS, "health answer")
    config = uvicorn.Config(
        _application(pages, threads), http=HealthConnection, ws="none", lifespan="off", interface="asgi3",
        log_config=None,
        access_log=False, proxy_headers=False, h11_max_incomplete_event_size=LONGEST_HEAD,
    )  # fmt: skip
    config.load()
    states = [ServerState() for _ in listeners]
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(partial(HealthConnection, config, state, {}), sock=listener, backlog=BACKLOG)
        for listener, state in zip(listeners, states, strict=True)
    ]
    await ended.wait()
    for server in servers:
        server.close()
    if tasks := [task for state in states for task in state.tasks]:
        await asyncio.wait(tasks, timeout=LAST_ANSWERS_S)
    threads.shutdown(wait=False, cancel_futures=True)
    for task in tasks:
        task.cancel()
    for connection in [each for state in states for each in state.connections]:
        connection.transport.close()
    await asyncio.sleep(0)


def _application(pages: Pages, threads: ThreadPoolExecutor) -> Callable[[Scope, Receive, Send], Any]:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        environ = _environ(scope)
        if sum(len(name) + len(value) for name, value in environ.items()) > LONGEST_HEAD:
            status, headers, body = 431, [("Content-Length", "0"), ("Connection", "close")], b""
        else:
            future = asyncio.get_running_loop().run_in_executor(threads, _answer, pages, environ)
            status, headers, body = await future
        if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
            # Nobody reads what would come now.
            headers = [*headers, ("Connection", "close")]
        encoded = [(name.encode(), value.encode()) for name, value in (*headers, ("Date", formatdate(usegmt=True)))]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body})

    return application


def _environ(scope: Scope) -> dict[str, Any]:
    environ = {
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": scope["path"],
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
    }
    for name, value in scope["headers"]:
        # A name with `_` would pass for another one here.
        if b"_" in name:
            continue
        key = name.decode("latin-1").upper().replace("-", "_")
        key = key if key == "CONTENT_LENGTH" else f"HTTP_{key}"
        environ[key] = ", ".join((*filter(None, [environ.get(key)]), value.decode("latin-1")))
    return environ


def _answer(pages: Pages, environ: Mapping[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
    sent: list[Any] = []
    body = b"".join(pages({**environ}, lambda status, headers: sent.extend((status, headers))))
    return int(sent[0].split()[0]), sent[1], body
