"""One process that serves one exchange's folder on loopback: the lock, the port file, the end."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import math
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import uvicorn
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from tradebot.exchange.exchange import Exchange, open_exchange
from tradebot.exchange.faces.control import ControlFace
from tradebot.exchange.faces.flow import FlowFace, FlowSource
from tradebot.exchange.faces.market_data import DataFace
from tradebot.exchange.faces.trading import TradingFace
from tradebot.exchange.faces.web import Call, Endpoint, Handler, Reply
from tradebot.exchange.feeds import flow_source
from tradebot.exchange.jsontext import encode
from tradebot.exchange.log import LogError
from tradebot.exchange.market.spec import MarketError
from tradebot.exchange.process import HeldError
from tradebot.exchange.state import LOCK_FILE, PORT_FILE, write_atomically

HOST = "127.0.0.1"
_BACKLOG = 512
_IDLE_CHECKS_S = 0.25
_EXIT_LOG = 1


class Server(uvicorn.Server):
    """uvicorn, ended by our own signal handlers with exit code 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no handlers: uvicorn would raise the signal again after a clean stop."""
        yield

    def stop(self) -> None:
        """Finish the requests in progress, then end."""
        self.should_exit = True


class Application:
    """The ASGI application: routes requests and remembers when the last one ended."""

    def __init__(self, routes: list[Route]) -> None:
        self._router: ASGIApp = Router(routes, redirect_slashes=False, default=Endpoint(_EVERY_METHOD))
        self._active = 0
        self._last_s = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self._active += 1
        try:
            await self._router(scope, receive, send)
        except LogError as error:
            # Memory now holds what the log does not. Ending without an answer leaves the truth to the log.
            sys.stderr.write(f"{error}\n")
            os._exit(_EXIT_LOG)
        finally:
            self._active -= 1
            self._last_s = time.monotonic()

    @property
    def idle_s(self) -> float:
        """Return the seconds since the last request ended, 0 while one is in progress."""
        return 0.0 if self._active else time.monotonic() - self._last_s


def _not_found(call: Call) -> Reply:
    return Reply(404, encode({"code": 40410000, "message": "endpoint not found."}))


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_EVERY_METHOD: Mapping[str, Handler] = dict.fromkeys(_METHODS, _not_found)


def serve(
    state_dir: Path,
    port: int,
    idle_exit_s: float | None,
    detach: bool = False,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve an exchange until it is stopped; `ready` is told its address.

    Raises HeldError when another process serves it. With `detach` the process ends with code 0 once it
    listens, and a child of its own goes on serving: whoever started it has then no process to wait for.
    """
    with _held(state_dir):
        exchange = open_exchange(state_dir)
        if exchange.log.torn_bytes:
            sys.stderr.write(f"log.jsonl: cut a torn last line of {exchange.log.torn_bytes} bytes\n")
        feed = flow_source(exchange, state_dir)
        with _listen(port) as listener:
            if detach and os.fork():
                os._exit(0)
            asyncio.run(_run(state_dir, exchange, feed, listener, idle_exit_s, ready))


def _listen(port: int) -> socket.socket:
    """Listen on loopback. The protocol is named because asyncio turns Nagle's delay off only where it is."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise MarketError(f"port {port} of {HOST} cannot be used: {error}", "choose another --port") from error
    listener.listen(_BACKLOG)
    return listener


async def _run(
    state_dir: Path,
    exchange: Exchange,
    feed: FlowSource,
    listener: socket.socket,
    idle_exit_s: float | None,
    ready: Callable[[str], None],
) -> None:
    instance = secrets.token_hex(8)
    application = build_application(exchange, feed, instance)
    server = Server(_config(application))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    url = f"http://{HOST}:{listener.getsockname()[1]}"
    write_atomically(state_dir / PORT_FILE, encode({"url": url, "pid": os.getpid(), "instance": instance}).decode())
    ready(url)
    lock = state_dir / LOCK_FILE
    watch = asyncio.create_task(_stop_when_unwanted(server, application, idle_exit_s, lock))
    await server.serve(sockets=[listener])
    watch.cancel()


def build_application(exchange: Exchange, feed: FlowSource, instance: str) -> Application:
    """Return the application with all faces of an exchange; the busiest routes come first."""
    flow = FlowFace(exchange.engine, feed)
    control = ControlFace(exchange, instance, _end_this_process)
    trading, data = TradingFace(exchange), DataFace(exchange)
    return Application([*flow.routes(), *data.routes(), *trading.routes(), *control.routes()])


def _end_this_process() -> None:
    """Being asked over HTTP to stop is the same as being sent the signal."""
    os.kill(os.getpid(), signal.SIGTERM)


async def _stop_when_unwanted(server: Server, application: Application, idle_exit_s: float | None, lock: Path) -> None:
    """Stop after idle time, or once the folder is removed: nobody could find this process any more."""
    idle_limit_s = math.inf if idle_exit_s is None else idle_exit_s
    inode = _inode(lock)
    while not server.should_exit:
        await asyncio.sleep(min(_IDLE_CHECKS_S, idle_limit_s))
        if application.idle_s > idle_limit_s or _inode(lock) != inode:
            server.stop()


def _inode(path: Path) -> int | None:
    return path.stat().st_ino if path.exists() else None


def _config(application: Application) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=60,
        timeout_graceful_shutdown=2,
    )


@contextlib.contextmanager
def _held(state_dir: Path) -> Iterator[None]:
    """Hold the folder's lock for as long as the block runs; the file itself stays for ever."""
    with (state_dir / LOCK_FILE).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HeldError(state_dir) from error
        # The port file of a holder that died names a port that may be a stranger's by now.
        (state_dir / PORT_FILE).unlink(missing_ok=True)
        yield
