"""Serve the folder of one exchange on loopback, from one process, with its lock, port file, and shutdown."""

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
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from papervenue.clock import LOCK_STEP, REAL, Pace, latency_name
from papervenue.commands.command import Command
from papervenue.commands.control import ACCOUNTS, LATENCY, find
from papervenue.exchange import Exchange, open_exchange, tick_to
from papervenue.faces.control import ControlFace
from papervenue.faces.face import Login, Serving
from papervenue.faces.flow import FlowLimits, FlowSource
from papervenue.faces.guard import ControlCredentials, Guard, RequestFraming
from papervenue.faces.web import Handler, PathEndpoint, Paths, Reply, Route
from papervenue.faults.connection_faults import Protocol, raise_limit
from papervenue.faults.middleware import FaultFace, FaultMiddleware, arm_at_start
from papervenue.faults.streaming import StreamFaults
from papervenue.flow.captured import CapturedFlow
from papervenue.flow.derived import DerivedFlow
from papervenue.jsontext import decode_object, encode
from papervenue.log import LogError
from papervenue.market.spec import MarketError
from papervenue.page.face import PageFace
from papervenue.private_files import TOKEN_FILE, issue, open_own, write_atomically
from papervenue.process import FolderInUseError
from papervenue.rate_limit import RateLimit
from papervenue.snapshot.keeper import Keeper
from papervenue.socket_listeners import Conversation, Lines
from papervenue.state import CAPTURES_FOLDER, LOCK_FILE, PORT_FILE
from papervenue.streams.socket import LONGEST_MESSAGE, StreamProtocol, Streams
from papervenue.times import SECOND

HOST = "127.0.0.1"
_BACKLOG = 512
_TAKEN_AT_ONCE = 16
_IDLE_CHECKS_S = 0.25
_TIME_STEP_S = 0.05
_EXIT_LOG = 1

Ready = Callable[[str, Mapping[str, Any]], None]


class Terms(NamedTuple):
    """How to serve an exchange: its pace, how many requests a key may make per minute, and additional accounts.

    An additional account has a name, and cash in USD; None means as much cash as the main account has. `faults` are
    scripts to arm. `latency_us` is the delay of cancels and replacements; None keeps the current setting.
    `flow_per_minute` and `flow_per_day` limit the flow requests of each key.
    """

    pace: Pace = LOCK_STEP
    rate_limit: int | None = None
    accounts: tuple[tuple[str, Decimal | None], ...] = ()
    faults: tuple[str, ...] = ()
    latency_us: int | None = None
    flow_per_minute: int | None = None
    flow_per_day: int | None = None


AS_EVER = Terms()
"""Lock-step time, no rate limit, one account: the terms of a bot's own exchange."""


class Server(uvicorn.Server):
    """uvicorn, except that the exchange's own signal handlers stop it with exit code 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers, because uvicorn would raise the signal again after a clean stop."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, with a queue that is longer than the number of connections accepted at once."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_BACKLOG)

    def stop(self) -> None:
        """Finish the requests in progress, then stop. The listening sockets close first, so no new client connects."""
        self.should_exit = True
        for listening in getattr(self, "servers", ()):
            listening.close()


class Application:
    """The ASGI application: routes requests and records when the last one ended.

    A response is sent once the log contains everything that led to it.
    """

    def __init__(
        self,
        exchange: Exchange,
        routes: list[Route],
        streams: ASGIApp,
        rate_limit: int | None,
        may: ControlCredentials,
        lines: Mapping[str, Callable[[Any], Conversation]] = MappingProxyType({}),
    ) -> None:
        self._exchange = exchange
        self.lines = lines
        router: ASGIApp = Paths(routes, PathEndpoint(_EVERY_METHOD))
        self._recording = Recording(_by_kind(router, streams), exchange, _end_at_once)
        limited = RateLimit(self._recording, rate_limit, self._is_known)
        faults = FaultMiddleware(limited, exchange, self._recording.record)
        self._inner: ASGIApp = RequestFraming(Guard(faults, may))
        self._active = 0
        self._last_s = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request at the current time."""
        self._active += 1
        try:
            self._exchange.catch_up()
            await self._inner(scope, receive, send)
        except LogError as error:
            _end_at_once(error)
        finally:
            self._active -= 1
            self._last_s = time.monotonic()

    def begin(self) -> None:
        """Register a client with a socket connection."""
        self._active += 1

    def end(self) -> None:
        """Unregister a client with a socket connection."""
        self._active -= 1
        self._last_s = time.monotonic()

    def catch_up(self) -> None:
        """Advance the exchange's time to now."""
        try:
            self._exchange.catch_up()
        except LogError as error:
            _end_at_once(error)

    def record(self) -> None:
        """Write all pending lines to the log."""
        self._recording.record()

    @property
    def idle_s(self) -> float:
        """Return the seconds since the last request ended, or 0 while one is in progress."""
        return 0.0 if self._active else time.monotonic() - self._last_s

    async def keep_time(self, in_between: Callable[[], None]) -> None:
        """Advance the exchange's time between requests, until canceled."""
        while True:
            await asyncio.sleep(_TIME_STEP_S)
            in_between()
            try:
                self._exchange.catch_up()
                self._exchange.faults.book.note_counts(at_once=False)
                self._recording.record()
            except LogError as error:
                _end_at_once(error)

    def _is_known(self, key_id: str) -> bool:
        return any(account.key_id == key_id for account in self._exchange.engine.accounts.values())


def _by_kind(http: ASGIApp, websockets: ASGIApp) -> ASGIApp:
    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        await (websockets if scope["type"] == "websocket" else http)(scope, receive, send)

    return dispatch


def _end_at_once(error: LogError) -> NoReturn:
    """End this process: memory is ahead of the log, so the log must be trusted instead."""
    sys.stderr.write(f"{error}\n")
    sys.stderr.flush()
    os._exit(_EXIT_LOG)


_NOT_FOUND = Reply(404, encode({"code": 40410000, "message": "endpoint not found."}))
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_EVERY_METHOD: Mapping[str, Handler] = dict.fromkeys(_METHODS, lambda call: _NOT_FOUND)


def serve(
    state_dir: Path,
    port: int,
    idle_exit_s: float | None,
    detach: bool = False,
    ready: Ready = lambda url, status: None,
    terms: Terms = AS_EVER,
) -> None:
    """Serve an exchange until it is stopped; `ready` receives its address and status.

    Raise FolderInUseError if another process serves it. With `detach`, the process exits with code 0 once it listens,
    while its child continues to serve, so that the caller needn't wait for a process.
    """
    raise_limit()
    with _hold_lock(state_dir):
        exchange = open_exchange(state_dir)
        if terms.pace.name == REAL and exchange.log.count == 1:
            wall_us = int(time.time() * SECOND)
            # A new market that is open to the machine's time begins there.
            if exchange.engine.now_us < wall_us < exchange.market.calendar.last_close_us:
                exchange.run(tick_to(wall_us))
        if exchange.log.torn_bytes:
            sys.stderr.write(f"log.jsonl: removed an incomplete last line of {exchange.log.torn_bytes} bytes\n")
        feed = flow_source(exchange, state_dir)
        # Find out whether the port is usable before changing anything for the clients served on it.
        with _listen(port) as listener:
            arm_at_start(exchange, terms.faults)
            _open_accounts(exchange, terms.accounts)
            _set_latency(exchange, terms.latency_us)
            if detach and os.fork():
                os._exit(0)
            asyncio.run(_run(state_dir, exchange, feed, listener, idle_exit_s, ready, terms))


def flow_source(exchange: Exchange, state_dir: Path) -> FlowSource | None:
    """Return the flow feed of an exchange, or None if it has none; raise MarketError if its captures are damaged."""
    spec = exchange.stored.spec
    if "flow" not in spec.venue.faces:
        return None
    if spec.uw_folder is not None:
        return CapturedFlow(state_dir / CAPTURES_FOLDER)
    return DerivedFlow(exchange.market, spec.seed, spec.edge)


def _open_accounts(exchange: Exchange, accounts: tuple[tuple[str, Decimal | None], ...]) -> None:
    """Open the accounts that don't exist yet; raise MarketError if one can't be opened."""
    for name, cash in accounts:
        if find(exchange.engine, name) is None:
            body = {"name": name} | ({} if cash is None else {"cash": str(cash)})
            status, answer = exchange.run(Command("POST", ACCOUNTS, body=encode(body).decode()))
            if status != 200:
                raise MarketError(
                    f"account {name!r} can't be opened: {decode_object(answer.decode())['message']}",
                    "write it like this: --account alice=50000",
                )
    exchange.commit()


def _set_latency(exchange: Exchange, wanted_us: int | None) -> None:
    if wanted_us not in (None, exchange.engine.latency_us):
        exchange.run(Command("POST", LATENCY, body=encode({"latency": latency_name(wanted_us)}).decode()))
        exchange.commit()


def _listen(port: int) -> socket.socket:
    """Listen on loopback. The protocol is named because asyncio turns Nagle's delay off only if it is."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listener.close()
        why = error.strerror if isinstance(error, OSError) else "no such port"
        hint = "papervenue serve --port 0 picks a free one; or choose another --port"
        raise MarketError(f"port {port} of {HOST} can't be used: {why}", hint) from error
    listener.listen(_BACKLOG)
    return listener


async def _run(
    state_dir: Path,
    exchange: Exchange,
    feed: FlowSource | None,
    listener: socket.socket,
    idle_exit_s: float | None,
    ready: Ready,
    terms: Terms,
) -> None:
    instance = secrets.token_hex(8)
    limits = FlowLimits(terms.flow_per_minute, terms.flow_per_day)
    application = build_application(exchange, feed, instance, terms.rate_limit, issue(state_dir), limits)
    keeper = Keeper(exchange, state_dir)
    server = Server(configuration(application))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    url = f"http://{HOST}:{listener.getsockname()[1]}"
    lines = Lines()
    await lines.listen(application, application.lines)
    found_by = {"url": url, "pid": os.getpid(), "instance": instance, "detached": idle_exit_s is not None}
    found_by["ports"] = lines.ports()
    exchange.status_parts["ports"] = lines.ports
    write_atomically(state_dir / PORT_FILE, encode(found_by).decode())
    exchange.set_pace(terms.pace)
    exchange.commit()
    ready(url, exchange.status())
    tasks = (
        asyncio.create_task(_stop_when_unwanted(server, application, idle_exit_s, state_dir / LOCK_FILE)),
        asyncio.create_task(application.keep_time(keeper.consider)),
    )
    await server.serve(sockets=[listener])
    await lines.close()
    for task in tasks:
        task.cancel()
    _stand_still(exchange)
    keeper.finish()


def _stand_still(exchange: Exchange) -> None:
    """Record in the log exactly when time stopped."""
    try:
        exchange.set_pace(LOCK_STEP)
        exchange.commit()
    except LogError as error:
        _end_at_once(error)


def _stop_this_process() -> None:
    """Stop this process as a signal would."""
    os.kill(os.getpid(), signal.SIGTERM)


def build_application(
    exchange: Exchange,
    feed: FlowSource | None,
    instance: str,
    rate_limit: int | None = None,
    token: str | None = None,
    flow_limits: FlowLimits | None = None,
    stop: Callable[[], None] = _stop_this_process,
) -> Application:
    """Return the application that serves an exchange's APIs and its control API; the busiest routes come first.

    `token` authorizes control requests if the kernel can't identify the user who sent them; without a token, such
    requests are refused. `stop` is called when a client requests a stop.
    """
    control = ControlFace(exchange, instance, stop)
    may = ControlCredentials(secrets.token_hex(16), token)
    own = [*control.routes(), *FaultFace(exchange).routes(), *PageFace(exchange, may.page_key).routes()]
    delivery = StreamFaults(exchange.engine, exchange.faults.book)
    exchange.status_parts |= {"apis": lambda: list(_apis(exchange)), "ports": dict}
    parts = [face.serve(Serving(exchange, feed, delivery, flow_limits)) for face in exchange.faces]
    routes = [*(route for part in parts for route in part.routes), *own]
    streams = Streams({path: application for part in parts for path, application in part.sockets.items()})
    lines = {name: opened for part in parts for name, opened in part.lines.items()}
    return Application(exchange, routes, streams, rate_limit, may, lines)


def _apis(exchange: Exchange) -> Iterator[dict[str, Any]]:
    """Yield what users are told about each face: how its clients log in, with the secrets by account names."""
    accounts = exchange.engine.accounts.values()
    for name, face in zip(exchange.stored.spec.venue.faces, exchange.faces, strict=True):
        secrets = {account.name: face.secret(account.secret) for account in accounts if face.login is Login.SECRET}
        yield {"name": name, "title": face.title or name, "login": face.login.value, "secrets": secrets}


async def _stop_when_unwanted(server: Server, application: Application, idle_exit_s: float | None, lock: Path) -> None:
    """Stop after idle time, or once the folder is deleted, because then nobody can find this process anymore."""
    idle_limit_s = math.inf if idle_exit_s is None else idle_exit_s
    inode = _inode(lock)
    while not server.should_exit:
        await asyncio.sleep(min(_IDLE_CHECKS_S, idle_limit_s))
        if application.idle_s > idle_limit_s or _inode(lock) != inode:
            server.stop()


def _inode(path: Path) -> int | None:
    return path.stat().st_ino if path.exists() else None


def configuration(application: ASGIApp) -> uvicorn.Config:
    """Return the uvicorn configuration: HTTP and websockets on one port."""
    return uvicorn.Config(
        application,
        loop="asyncio",
        http=Protocol,
        ws=StreamProtocol,
        ws_max_size=LONGEST_MESSAGE,
        lifespan="off",
        access_log=False,
        # No proxy is in front of this server, so no header says who the client is.
        proxy_headers=False,
        # No real service names this library.
        server_header=False,
        # asyncio accepts this many connections at a time; without file descriptors it would retry as many times.
        backlog=_TAKEN_AT_ONCE,
        log_level="warning",
        timeout_keep_alive=60,
        timeout_graceful_shutdown=2,
    )


@contextlib.contextmanager
def _hold_lock(state_dir: Path) -> Iterator[None]:
    """Hold the folder's lock while the block runs; the lock file itself is never removed."""
    with os.fdopen(open_own(state_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT), "r+b") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderInUseError(state_dir) from error
        # The port file of a dead holder names a port that may belong to someone else by now.
        (state_dir / PORT_FILE).unlink(missing_ok=True)
        (state_dir / TOKEN_FILE).unlink(missing_ok=True)
        holder = os.getpid()
        try:
            yield
        finally:
            # A process forked in the meantime has the file open too and would keep the lock, unless it ends here.
            if os.getpid() == holder:
                fcntl.flock(lock, fcntl.LOCK_UN)


_BATCH_S = 0.005


class Recording:
    """Delays each response until the log contains everything that was done before it.

    Data that a client has read must not be lost either, so a read also writes waiting lines. A response waits until the
    operating system has its lines, which then survive a crash of this process. A thread syncs them to disk within
    milliseconds. `fail` is called if the log can't be written, and doesn't return.
    """

    def __init__(self, application: ASGIApp, exchange: Exchange, fail: Callable[[LogError], None]) -> None:
        self._application = application
        self._exchange = exchange
        self._fail = fail
        self._syncing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:

        async def send_recorded(message: Message) -> None:
            try:
                self._write()
            except LogError as error:
                if message.get("type") == "http.response.start":
                    await _tell(error, send)
                self._fail(error)
            await send(message)

        await self._application(scope, receive, send_recorded)

    def record(self) -> None:
        """Write all pending lines; this must be called in the event loop."""
        try:
            self._write()
        except LogError as error:
            self._fail(error)

    def _write(self) -> None:
        if not self._exchange.has_unrecorded:
            return
        self._exchange.record()
        if not self._syncing:
            self._syncing = True
            loop = asyncio.get_running_loop()
            loop.call_later(_BATCH_S, self._sync, loop)

    def _sync(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.run_in_executor(None, self._exchange.log.sync).add_done_callback(self._on_synced)

    def _on_synced(self, done: asyncio.Future[None]) -> None:
        self._syncing = False
        error = done.exception()
        if isinstance(error, LogError):
            self._fail(error)
        if self._exchange.log.unsynced:
            self._syncing = True
            self._sync(done.get_loop())


async def _tell(error: LogError, send: Send) -> None:
    """Report why the response isn't sent, before this process ends."""
    body = encode({"message": str(error)})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 507, "headers": headers})
    await send({"type": "http.response.body", "body": body})
