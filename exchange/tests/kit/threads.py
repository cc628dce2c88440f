"""Serve the exchanges of this process's bots by threads of it, instead of processes of their own.

Requests of this process take a shortcut to the application, without HTTP and sockets, unless faults are armed or they
control the exchange: then, as for other processes and for streams, it is served on loopback as ever.
"""

import asyncio
import io
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as NotInTimeError
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import urllib3

from exchange.tests.kit.wire import Call, Whole, scope_of
from papervenue import process, server
from papervenue.exchange import Exchange, open_exchange
from papervenue.jsontext import encode
from papervenue.market.spec import MarketError
from papervenue.private_files import issue, write_atomically
from papervenue.snapshot.keeper import Keeper
from papervenue.socket_listeners import Lines
from papervenue.state import LOCK_FILE, PORT_FILE

Start = Callable[[Path, float, float], int]
_WAIT_S = 60.0


class ThreadExchange:
    """An exchange that a thread of this process serves: where it answers, and the application that does."""

    def __init__(self, folder: Path, idle_exit_s: float) -> None:
        self.folder = folder
        self._idle_exit_s = idle_exit_s
        self._held = ExitStack()
        self._held.enter_context(server._hold_lock(folder))
        with ExitStack() as undo:
            undo.callback(self._held.close)
            self.exchange: Exchange = open_exchange(folder)
            self._feed = server.flow_source(self.exchange, folder)
            self._listener = server._listen(0)
            undo.pop_all()
        self.address = f"{server.HOST}:{self._listener.getsockname()[1]}"
        self.loop = asyncio.new_event_loop()
        self.application: server.Application
        self._server: server.Server
        self._discarded = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(_WAIT_S), "the thread of an exchange doesn't begin"

    def discard(self) -> None:
        """End without what a stop does, as SIGKILL would."""
        self._discarded = True
        self.stop()
        self._thread.join(_WAIT_S)

    def stop(self) -> None:
        """Begin to end, unless it has ended."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._server.stop)

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._run())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
        finally:
            self.loop.close()
            self._listener.close()
            self._held.close()

    async def _run(self) -> None:
        """Do what the process of an exchange does, but for signals."""
        instance, folder = secrets.token_hex(8), self.folder
        self.application = server.build_application(
            self.exchange, self._feed, instance, token=issue(folder), stop=self.stop
        )
        keeper = Keeper(self.exchange, folder)
        self._server = server.Server(server.configuration(self.application))
        lines = Lines()
        await lines.listen(self.application, self.application.lines)
        found_by = {"url": f"http://{self.address}", "pid": os.getpid(), "instance": instance, "detached": True}
        write_atomically(folder / PORT_FILE, encode({**found_by, "ports": lines.ports()}).decode())
        self.exchange.commit()
        tasks = [
            asyncio.create_task(
                server._stop_when_unwanted(self._server, self.application, self._idle_exit_s, folder / LOCK_FILE)
            ),
            asyncio.create_task(self.application.keep_time(keeper.consider)),
        ]
        self._ready.set()
        await self._server.serve(sockets=[self._listener])
        await lines.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not self._discarded:
            server._stand_still(self.exchange)
            keeper.finish()


class ThreadExchanges:
    """The exchanges of this process; what can't be served so is started as `elsewhere` starts it."""

    def __init__(self, elsewhere: Start) -> None:
        self.elsewhere = elsewhere
        self._pid = os.getpid()
        self._running = dict[str, ThreadExchange]()

    def start(self, state_dir: Path, idle_exit_s: float, timeout_s: float) -> int:
        """Serve a folder's exchange; return the exit code that its process would start with."""
        try:
            started = ThreadExchange(state_dir, idle_exit_s)
        except (process.FolderInUseError, MarketError, OSError, ValueError):
            return self.elsewhere(state_dir, idle_exit_s, timeout_s)
        self._running[started.address] = started
        return 0

    def discard(self, state_dir: Path) -> bool:
        """End the exchange of a folder if a thread serves it; return whether one did."""
        for address, running in list(self._running.items()):
            if running.folder == state_dir.resolve():
                self._running.pop(address).discard()
                return True
        return False

    def close(self) -> None:
        """End all exchanges."""
        for running in self._running.values():
            running.discard()
        self._running.clear()

    def send(
        self, far: Any, pool: urllib3.HTTPConnectionPool, method: str, url: str, body: Any, headers: Any, named: Any
    ) -> Any:
        """Carry a request to its exchange by the shortcut if it may take it, else by the library."""
        running = self._running.get(f"{pool.host}:{pool.port}")
        controls = url.startswith("/exchange/") and method not in ("GET", "HEAD")
        # A forked process has a copy of each exchange, which no thread serves.
        is_here = running is not None and os.getpid() == self._pid and not running.loop.is_closed()
        if running is None or not is_here or controls or any(running.exchange.faults.book):
            return far(pool, method, url, body, headers, **named)
        patience_s = _patience(named.get("timeout"), pool)
        call = Call(body or b"", patience_s)
        scope = scope_of(method, url, {"host": running.address, **dict(headers or {})})
        done = asyncio.run_coroutine_threadsafe(running.application(scope, call.receive, call.send), running.loop)
        try:
            done.result(patience_s)
        except NotInTimeError:
            raise urllib3.exceptions.ReadTimeoutError(pool, url, "silence") from None
        if not call.sent:
            raise urllib3.exceptions.ProtocolError("closed")
        status, answer_headers, content = call.answer()
        if "decode_content" not in named and named.get("preload_content") is False:
            return Whole(status, answer_headers, content)
        return urllib3.HTTPResponse(
            io.BytesIO(content),
            urllib3.HTTPHeaderDict(answer_headers),
            status,
            preload_content=named.get("preload_content", True),
            request_method=method,
        )


def of_this_process() -> "ThreadExchanges | None":
    """Return the exchanges that threads of this process serve now, if they do."""
    starts = getattr(process._start, "__self__", None)
    return starts if isinstance(starts, ThreadExchanges) else None


def _patience(timeout: Any, pool: urllib3.HTTPConnectionPool) -> float:
    """Return how long a client waits for an answer."""
    timeout = timeout if isinstance(timeout, urllib3.Timeout) else pool.timeout
    seconds = timeout.read_timeout if isinstance(timeout, urllib3.Timeout) else None
    return float(seconds) if isinstance(seconds, int | float) else _WAIT_S


@contextmanager
def served_by_threads(elsewhere: Start) -> Iterator[ThreadExchanges]:
    """Serve the exchanges that this process starts by its threads while the block runs."""
    exchanges = ThreadExchanges(elsewhere)
    far = urllib3.HTTPConnectionPool.urlopen

    def urlopen(
        pool: urllib3.HTTPConnectionPool,
        method: str,
        url: str,
        body: Any = None,
        headers: Any = None,
        *rest: Any,
        **named: Any,
    ) -> Any:
        if rest:
            return far(pool, method, url, body, headers, *rest, **named)
        return exchanges.send(far, pool, method, url, body, headers, named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(urllib3.HTTPConnectionPool, "urlopen", urlopen)
        patch.setattr(process, "_start", exchanges.start)
        try:
            yield exchanges
        finally:
            exchanges.close()
