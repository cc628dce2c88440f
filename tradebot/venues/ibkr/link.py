"""Manage a process's connection to a Gateway: a thread runs the library's event loop, and the bot's calls wait for it.

Host, port, client id and mode are checked against each other before anything is sent.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from tradebot.adapters.state.state_locks import VenueLease
from tradebot.adapters.text.extras import install
from tradebot.adapters.wire.http import RetryableError, RetryPolicy, printable
from tradebot.errors import ExitCode, OperatorError, TemporaryError
from tradebot.model.instrument import Hours
from tradebot.model.trading import Mode
from tradebot.venues.ibkr.capabilities import CLIENT_ID, HOST, IBKR, PORT, TRADING_ID
from tradebot.venues.ibkr.wrapper import (
    COUNTED,
    FrameCounter,
    GoneError,
    InUseError,
    LibraryErrors,
    MessageReceiver,
    VenueError,
)

T = TypeVar("T")

GATEWAY = "look at the Gateway's window"

LOOK_S, QUIET_S, LONGEST_S = 0.05, 0.3, 3.0

"""How often to check whether another process of the bot wants the connection, how long it must be idle before it is
handed over, and the longest wait for that, in seconds.
"""

AGAIN_S = 0.2

"""The wait before the next attempt if the client id is in use, in seconds."""


class LinkTimeouts(Struct, frozen=True):
    """The time limit of each step, in seconds.

    `close` is the time for a process's last messages, and `freed` the time in which the Gateway notices that the
    previous process with this client id has ended. `reads_a_second` limits the read messages per second; it is 0 (no
    limit) for the embedded exchange. The library delays messages beyond 45 a second, including orders.
    """

    connect: float = 4.0
    answer: float = 10.0
    order: float = 5.0
    quote: float = 3.0
    close: float = 1.0
    reads_a_second: int = 35
    freed: float = 5.0


class IbkrConnection:
    """One connection, from its handshake to its end. Its coroutines run in the event loop of the link's thread."""

    def __init__(self, patience: LinkTimeouts) -> None:
        from ib_async.client import Client

        self.patience, self.receiver, self.frames = patience, MessageReceiver(), FrameCounter()
        self.client = Client(self.receiver)
        if not patience.reads_a_second:
            self.client.MaxRequests = 0
        self.client.conn.hasData.connect(self._hear)
        self.client.conn.disconnected.connect(self._end)
        self.quoted: dict[str, int] = {}
        self.contracts: dict[str, Any] = {}
        self.ended: dict[str, Any] = {}
        self.asked_on: dict[str, date] = {}
        self.hours: dict[str, tuple[date, Hours | None]] = {}
        self._sent: deque[float] = deque()

    def _hear(self, data: bytes) -> None:
        self.frames.feed(data)
        if self.frames.too_long:
            self.client.disconnect()

    def _end(self, words: str) -> None:
        self.receiver.end(words or "the Gateway has closed the connection")

    @property
    def account(self) -> str:
        """Return the account number; raise OperatorError if the login has several accounts."""
        accounts = self.client.getAccounts()
        if len(accounts) != 1:
            raise OperatorError(
                f"this login has {len(accounts)} accounts, but a bot trades only one",
                "log the Gateway in as a user with one account",
            )
        return str(accounts[0])

    @property
    def lost_count(self) -> int:
        """Return how many messages the library dropped or couldn't process."""
        handlers = self.client.decoder.handlers.keys() if self.client.decoder else ()
        lost = 0
        for number, count in self.frames.counts.items():
            name = COUNTED.get(number)
            if name is not None:
                lost += max(0, count - self.receiver.received[name])
            elif not number.isdecimal() or int(number) not in handlers:
                lost += count
        return lost + (self.frames.cut and self.receiver.gone)

    async def open(self, host: str, port: int, client_id: int) -> None:
        """Connect, and make the requests that only a ready Gateway answers: accounts, positions and open orders."""
        opening = asyncio.ensure_future(self.client.connectAsync(host, port, client_id, self.patience.connect))
        try:
            await asyncio.wait({opening, self.receiver.in_use}, return_when=asyncio.FIRST_COMPLETED)
            if self.receiver.in_use.done():
                raise InUseError(
                    f"client id {client_id} is in use: another program is connected with it",
                    f"end that program, or give one of them another {CLIENT_ID}",
                )
            await opening
        except (TimeoutError, OSError) as error:
            raise self._opening_error(error, f"{host}:{port}") from error
        finally:
            opening.cancel()
        for what, question in (
            ("positions", self.positions),
            ("account", self.values),
            ("open orders", self.open_orders),
        ):
            try:
                await question()
            except (TimeoutError, GoneError) as error:
                raise TemporaryError(
                    f"the Gateway accepted the connection but doesn't answer: no {what}",
                    f"{GATEWAY}: it may still be logging in, or waiting for you",
                ) from error

    def _opening_error(self, error: Exception, address: str) -> TemporaryError:
        if isinstance(error, TimeoutError) and self.frames.greeted:
            words = f"the Gateway at {address} answered, but sent neither accounts nor ids"
            return TemporaryError(words, f"{GATEWAY}: log it in")
        if isinstance(error, TimeoutError):
            return TemporaryError(
                f"the Gateway at {address} accepts connections but sends nothing; it may still be starting",
                f"{GATEWAY}: it may be waiting for a login, or for you to accept this connection",
            )
        return TemporaryError(
            f"nothing listens at {address}",
            f"start the Gateway, and look at its settings: API, Settings, Socket port; or set {HOST} and {PORT}",
        )

    async def room(self) -> None:
        """Wait until a read can be sent without delaying an order."""
        clock = asyncio.get_running_loop()
        while self.patience.reads_a_second:
            now = clock.time()
            while self._sent and now - self._sent[0] > 1:
                self._sent.popleft()
            if len(self._sent) < self.patience.reads_a_second:
                self._sent.append(now)
                return
            await asyncio.sleep(1 - (now - self._sent[0]))

    async def gather(self, key: Hashable, question: Callable[[], object]) -> list[Any]:
        """Send a request, and return the rows of the reply; raise VenueError, GoneError, or TimeoutError."""
        await self.room()
        coming = self.receiver.expect(key)
        try:
            question()
            return await asyncio.wait_for(coming, self.patience.answer)
        finally:
            self.receiver.forget(key)

    async def ask_numbered(self, question: Callable[[int], object]) -> list[Any]:
        """Send a numbered request, and return the rows of the reply."""
        number = self.client.getReqId()
        return await self.gather(number, lambda: question(number))

    async def positions(self) -> list[Any]:
        """Return account, contract, size and average cost of each position."""
        rows = await self.gather("positions", self.client.reqPositions)
        self.client.cancelPositions()
        return [row for row in rows if row[0] == self.account]

    async def values(self) -> list[Any]:
        """Return the account's values, and the market prices of its positions."""
        account = self.account
        rows = await self.gather("account", lambda: self.client.reqAccountUpdates(True, account))
        self.client.reqAccountUpdates(False, account)
        return rows

    async def open_orders(self) -> list[Any]:
        """Return the open orders of all clients, and their states."""
        return await self.gather("open", self.client.reqAllOpenOrders)

    async def completed_orders(self) -> list[Any]:
        """Return the orders that have ended today."""
        return await self.gather("completed", lambda: self.client.reqCompletedOrders(False))

    async def executions(self) -> list[Any]:
        """Return today's executions."""
        from ib_async.objects import ExecutionFilter

        return await self.ask_numbered(lambda number: self.client.reqExecutions(number, ExecutionFilter()))

    async def news_providers(self) -> list[Any]:
        """Return the news services that the account may use, with their codes and names."""
        return await self.gather("news", self.client.reqNewsProviders)

    async def past_headlines(self, number: int, codes: str, start: str, end: str, most: int) -> list[Any]:
        """Return the newest headlines of a contract after `start` and up to `end`: time, service, id and text of each.

        The last row says whether there are more.
        """
        return await self.ask_numbered(
            lambda request: self.client.reqHistoricalNews(request, number, codes, start, end, most, [])
        )

    async def time(self) -> int:
        """Return the venue's time in seconds since 1970."""
        return int((await self.gather("time", self.client.reqCurrentTime))[0])


class IbkrLink:
    """Keeps one connection for this process, and reopens it after it has ended.

    `dropped` counts the messages that weren't understood and that no view has reported yet.
    """

    def __init__(self, host: str, port: int, client_id: int, policy: RetryPolicy, patience: LinkTimeouts) -> None:
        self.place, self.policy, self.patience = (host, port, client_id), policy, patience
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._line: IbkrConnection | None = None
        self._errors = LibraryErrors()
        self._counted = self._before = 0
        self._turn: VenueLease | None = None
        self._sending, self._used, self._looks = 0, 0.0, False

    @property
    def dropped_count(self) -> int:
        """Return how many messages weren't understood since `mark_reported` was last called."""
        return max(self._before + (self._line.lost_count if self._line else 0), self._errors.undecoded) - self._counted

    @property
    def last_problem(self) -> str:
        """Return the library's last error message."""
        return self._errors.last

    def mark_reported(self, dropped: int) -> None:
        """Record that a view has reported this many messages that weren't understood."""
        self._counted += dropped

    def take_turns(self, folder: Path) -> None:
        """Let the bot's other processes connect too, one process at a time, because all of them have the same client
        id.
        """
        with self._lock:
            if self._turn is None or self._turn.folder != folder:
                self.hang_up()
                self._turn = VenueLease(folder)

    def read(self, question: Callable[[IbkrConnection], Awaitable[T]]) -> T:
        """Retry a request until there is a reply, over a new connection if the last one has ended; raise TradebotError
        if all tries fail.
        """
        return self.policy.run(lambda: self._once(question))

    def _once(self, question: Callable[[IbkrConnection], Awaitable[T]]) -> T:
        try:
            with self._lock:
                line = self.ready()
                answer = self.run(question, line)
                self._used = time.monotonic()
                return answer
        except VenueError as error:
            raise TemporaryError(f"{IBKR.title}: {printable(error.words)} ({error.code})") from error
        except (GoneError, ConnectionError) as error:
            raise RetryableError(
                "the Gateway has closed the connection", "it restarts each day; try again in a few minutes"
            ) from error
        except TimeoutError as error:
            if self._line is not None and self._line.receiver.cut:
                # The Gateway will report when the venue is back; a new connection would not know about the outage.
                raise self._lost_error() from error
            self.hang_up()
            raise RetryableError("the Gateway doesn't answer", GATEWAY) from error

    @contextmanager
    def sending(self) -> Iterator[IbkrConnection]:
        """Yield a working connection, and keep it open until the reply has arrived."""
        with self._lock:
            line = self.ready()
            self._sending += 1
        try:
            yield line
        finally:
            with self._lock:
                self._sending -= 1
                self._used = time.monotonic()

    def ready(self) -> IbkrConnection:
        """Return a working connection: the Gateway has answered, and hasn't lost the venue since then."""
        with self._lock:
            if self._line is None or self._line.receiver.gone or self._is_awaited(LONGEST_S):
                self.hang_up()
                self._line = self._connect()
            if self._line.receiver.cut:
                raise self._lost_error()
            if self._line.receiver.resubscribe:
                self._line.receiver.resubscribe = False
                self._line.quoted.clear()
            return self._line

    def _is_awaited(self, least_s: float) -> bool:
        """Return True if another process has waited at least `least_s` seconds for the connection and nothing is being
        sent.
        """
        return self._turn is not None and not self._sending and self._turn.waits(least_s)

    def _look(self) -> None:
        """Hand the connection over if another process wants it and this one has been idle for a moment."""
        if self._lock.acquire(blocking=False):
            try:
                line, idle = self._line, time.monotonic() - self._used >= QUIET_S
                if line is not None and self._is_awaited(0) and idle:
                    self._before, self._line = self._before + line.lost_count, None
                    line.client.disconnect()
                    self._let_go()
                self._looks = self._line is not None
            finally:
                self._lock.release()
        if self._looks and self._loop is not None:
            self._loop.call_later(LOOK_S, self._look)

    def _let_go(self) -> None:
        if self._turn is not None:
            self._turn.give_back()

    def _lost_error(self) -> TemporaryError:
        return TemporaryError(
            f"the Gateway has lost its connection to {IBKR.title} (error 1100)", "it usually reconnects automatically"
        )

    def _connect(self) -> IbkrConnection:
        with ExitStack() as unless_open:
            unless_open.callback(self.hang_up)
            if self._turn is not None:
                self._turn.take()
                if not self._looks:
                    self._looks = True
                    self._running().call_soon_threadsafe(self._look)
            until = time.monotonic() + (self.patience.freed if self._turn else 0)
            while True:
                self._line = line = self.run(self._make_connection)
                with suppress(*(InUseError,) * (time.monotonic() < until)):
                    self.run(line.open, *self.place)
                    unless_open.pop_all()
                    return line
                # The Gateway may not have noticed yet that the previous process has ended.
                self._drop()
                time.sleep(AGAIN_S)

    async def _make_connection(self) -> IbkrConnection:
        return IbkrConnection(self.patience)

    def hang_up(self) -> None:
        """Close the connection; the count of its dropped messages is kept."""
        with self._lock:
            self._drop()
            self._let_go()

    def _drop(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            self.run(_close, line)
            self._before += line.lost_count

    def close(self) -> None:
        """End the connection and the thread."""
        with self._lock:
            self.hang_up()
            self._errors.end()
            if self._loop is not None and self._thread is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join(self.patience.close)
                self._loop = self._thread = None
                self._looks = False

    def run(self, question: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """Run a coroutine in the thread's event loop, and return its result."""
        loop, longest = self._running(), 4 * (self.patience.answer + self.patience.connect)

        async def ran() -> T:
            return await question(*arguments)

        return asyncio.run_coroutine_threadsafe(ran(), loop).result(longest)

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            try:
                import ib_async  # noqa: F401
            except ImportError as error:
                lacks, cure = f"{IBKR.title} needs the extra ibkr", install("ibkr")
                raise OperatorError(lacks, cure, code=ExitCode.USAGE) from error
            self._errors.listen()
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_runs, args=(self._loop,), name="ibkr", daemon=True)
            self._thread.start()
        return self._loop


def _runs(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    loop.close()


async def _close(line: IbkrConnection) -> None:
    line.client.disconnect()
    # Write what is pending, so that the other side sees a clean end.
    await asyncio.sleep(0)


PORTS: Mapping[Mode, int] = {Mode.PAPER: 4002, Mode.LIVE: 4001}

"""The default port of each kind of Gateway."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")

PAPER_MARK = "D"

"""The prefix of paper accounts' numbers."""

_HIGHEST = 65_535, 2**31 - 1


class IbkrVenue:
    """One account behind a Gateway. The connection is opened at the first request."""

    feed = "Interactive Brokers"

    def __init__(self, mode: Mode, link: IbkrLink, before_read: Callable[[], None] = lambda: None) -> None:
        self.mode, self.link, self.before_read = mode, link, before_read
        self.place = link.place

    @property
    def base_url(self) -> str:
        """Return where the Gateway listens, for people."""
        return f"{self.place[0]}:{self.place[1]}"

    def check_account(self, number: str) -> None:
        """Raise OperatorError if an account's type doesn't match the mode."""
        if self.mode is not Mode.SANDBOX and number.startswith(PAPER_MARK) is not (self.mode is Mode.PAPER):
            kind = "real money" if self.mode is Mode.PAPER else "paper"
            raise OperatorError(
                f"mode {self.mode} does not fit this Gateway: it is logged in to a {kind} account",
                f"log the Gateway in for {self.mode} trading, and check {PORT}",
            )


@cache
def shared_link(host: str, port: int, client_id: int, reads_a_second: int = LinkTimeouts().reads_a_second) -> IbkrLink:
    """Return this process's connection to a Gateway; all users in the process share it, because there is only one
    client id.
    """
    return IbkrLink(host, port, client_id, RetryPolicy(), LinkTimeouts(reads_a_second=reads_a_second))


def connection_address(mode: Mode, secrets: Mapping[str, str], sandbox: tuple[str, int] | None) -> tuple[str, int, int]:
    """Return host, port and client id; raise OperatorError if one of them is invalid or doesn't match the mode."""
    client_id = _number(CLIENT_ID, secrets.get("ibkr_client_id") or str(TRADING_ID), _HIGHEST[1])
    if sandbox is not None:
        return *sandbox, client_id
    if mode is Mode.SANDBOX:
        raise OperatorError(
            f"the embedded exchange doesn't simulate {IBKR.title} yet",
            "use mode paper, with the Gateway's paper login",
        )
    host = secrets.get("ibkr_host") or LOOPBACK[0]
    if host not in LOOPBACK:
        # This socket has neither keys nor encryption: anyone who can reach it can trade.
        raise OperatorError(
            f"{HOST} is not this machine, and the Gateway's socket is not encrypted",
            "run the Gateway on the bot's machine, or forward its port here through SSH",
        )
    port = _number(PORT, secrets.get("ibkr_port") or str(PORTS[mode]), _HIGHEST[0])
    other = next(kind for kind in PORTS if kind is not mode)
    if port == PORTS[other]:
        raise OperatorError(f"mode {mode} does not fit {PORT}: {port} is for {other}", f"set {PORT}={PORTS[mode]}")
    return host, port, client_id


def _number(name: str, text: str, highest: int) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= highest:
        raise OperatorError(f"{name} is not a number from 1 to {highest}", f"set {name} again, or unset it")
    return int(text)
