"""Collect the messages that the library has decoded until their request is complete.

The messages on the socket are counted separately, because the library logs and drops any that it can't parse.
"""

import asyncio
import logging
import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC
from functools import partial
from typing import Any, NamedTuple

from tradebot.errors import TemporaryError
from tradebot.venues.ibkr.capabilities import BACK, BACK_WITHOUT_DATA, IN_USE, LOST, NOTICES

LONGEST = 16 * 1024 * 1024

"""The longest message, in bytes; a larger length field means that the stream is out of step."""

_LENGTH = struct.Struct(">I")

LIBRARY = "ib_async"

DECODER = "ib_async.Decoder"


class FrameCounter:
    """Counts complete messages on the socket by their number. `too_long` is True once a length field can't be right."""

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self.too_long = False
        self._unread, self.greeted = bytearray(), False

    @property
    def cut(self) -> bool:
        """Return True if a message has arrived only in part."""
        return bool(self._unread)

    def feed(self, data: bytes) -> None:
        """Count the complete messages in `data`; the first one is the greeting, which has no number."""
        self._unread += data
        while len(self._unread) >= _LENGTH.size and not self.too_long:
            (length,) = _LENGTH.unpack_from(self._unread)
            self.too_long = length > LONGEST
            end = _LENGTH.size + length
            if self.too_long or len(self._unread) < end:
                return
            number = bytes(self._unread[_LENGTH.size : min(end, _LENGTH.size + 8)]).partition(b"\0")[0]
            del self._unread[:end]
            if self.greeted:
                self.counts[number.decode(errors="replace")] += 1
            self.greeted = True


class LibraryErrors(logging.Handler):
    """Collects the errors that the library logs, and keeps them off the terminal."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.undecoded, self.last = 0, ""

    def emit(self, record: logging.LogRecord) -> None:
        """Count a logged error: the decoder's errors are lost messages."""
        self.undecoded += record.name == DECODER
        self.last = str(record.msg)[:80]

    def listen(self) -> None:
        """Start collecting the library's errors."""
        logger = logging.getLogger(LIBRARY)
        logger.propagate = False
        logger.addHandler(self)

    def end(self) -> None:
        """Stop collecting the library's errors."""
        logging.getLogger(LIBRARY).removeHandler(self)


COUNTED = {"3": "status", "5": "open", "7": "portfolio", "11": "execution", "59": "commission", "61": "position"}

COUNTED |= {"101": "completed", "6": "account", "10": "contract", "4": "error"}

"""The numbers of the messages that orders and money depend on, with the names of their handlers."""

_BID, _ASK, _LAST, _CLOSE = 1, 2, 4, 9

_DELAYED = {66: _BID, 67: _ASK, 68: _LAST, 75: _CLOSE}

_HALTED = 49

_UNSET = "1.7976931348623157E308"

"""The library's value for a missing figure."""


class VenueError(Exception):
    """Raised for a request that the venue answered with an error code and a text."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{words} ({code})")
        self.code, self.words = code, words


class GoneError(Exception):
    """Raised when the connection has ended."""


class InUseError(TemporaryError):
    """Raised when another program is connected with the bot's client id."""


class ReportedStatus(NamedTuple):
    """An order's status and fills, as the venue reported them."""

    order_id: int
    word: str
    filled: float
    perm_id: int


class Ticks:
    """Streaming data of one contract; `seen` is the loop's time at its last price, and `age` the time since then."""

    def __init__(self) -> None:
        self.prices: dict[int, float] = {}
        self.sizes: dict[int, float] = {}
        self.seen, self.age, self.problem, self.halted, self.delayed = 0.0, 0.0, "", False, False

    @property
    def complete(self) -> bool:
        """Return True if no further ticks need to be awaited."""
        return bool(self.problem) or {_BID, _ASK, _LAST} <= self.prices.keys()


class _Nowhere:
    """Rejects times without a time zone, because they can't be interpreted."""

    def __getattr__(self, name: str) -> str:
        """Raise ValueError."""
        raise ValueError(f"a time without a time zone: {name}")


class MessageReceiver:
    """Receives each message that the library has decoded.

    The library calls a method for each message, in its own event loop and under names that it defines.
    """

    def __init__(self) -> None:
        self.received = Counter[str]()
        self.commissions: dict[str, Any] = {}
        self.ticks: dict[int, Ticks] = {}
        self.cut = self.resubscribe = self.gone = False
        self.in_use: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rows: dict[Hashable, list[Any]] = {}
        self._ends: dict[Hashable, asyncio.Future[list[Any]]] = {}
        self._events: defaultdict[int, list[tuple[str, Any]]] = defaultdict(list)
        self._something = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        """Return the handler with this name, which the library calls for a message; unneeded messages are ignored."""
        if name in _CALLED:
            return partial(_CALLED[name], self)
        if name in _FIXED:
            return _FIXED[name]
        if name.startswith(("_", "tcp")):
            raise AttributeError(name)
        return _nothing

    def expect(self, key: Hashable) -> asyncio.Future[list[Any]]:
        """Return a future for a request's rows, which is set once all of them have arrived."""
        self._rows[key] = []
        self._ends[key] = asyncio.get_running_loop().create_future()
        if self.gone:
            self._ends[key].set_exception(GoneError("the connection has ended"))
        return self._ends[key]

    def forget(self, key: Hashable) -> None:
        """Remove a request, completed or not."""
        self._rows.pop(key, None)
        self._ends.pop(key, None)

    def listen_to(self, order_id: int) -> None:
        """Collect messages about an order from now on."""
        self._events[order_id] = []

    def messages_about(self, order_id: int) -> list[tuple[str, Any]]:
        """Return the messages about an order so far."""
        return self._events.get(order_id, [])

    async def something(self) -> None:
        """Wait for the next message about an order, or until the connection ends."""
        self._something.clear()
        if not self.gone:
            await self._something.wait()

    def end(self, problem: str) -> None:
        """Record that the connection has ended: pending requests won't be completed."""
        self.gone = True
        for future in self._ends.values():
            if not future.done():
                future.set_exception(GoneError(problem))
        self._something.set()

    def _row(self, key: Hashable, row: Any) -> None:
        if key in self._rows:
            self._rows[key].append(row)

    def _over(self, key: Hashable) -> None:
        future = self._ends.get(key)
        if future is not None and not future.done():
            future.set_result(self._rows[key])

    def _event(self, order_id: int, name: str, what: Any) -> None:
        if order_id in self._events:
            self._events[order_id].append((name, what))
            self._something.set()

    def _error(self, number: int, code: int, words: str, *rest: str) -> None:
        """Report an error to the request or order that it is about, or note a change of the connection."""
        self.received["error"] += 1
        if code == LOST:
            self.cut = True
        elif code in (BACK, BACK_WITHOUT_DATA):
            self.cut, self.resubscribe = False, self.resubscribe or code == BACK_WITHOUT_DATA
        elif code == IN_USE and not self.in_use.done():
            self.in_use.set_result(None)
        error = VenueError(code, words)
        if number in self.ticks:
            self.ticks[number].problem = str(error)
        future = self._ends.get(number)
        if future is not None and not future.done() and code not in NOTICES:
            future.set_exception(error)
        self._event(number, "error", error)

    def _position(self, account: str, contract: Any, size: float, cost: float) -> None:
        self.received["position"] += 1
        self._row("positions", (account, contract, size, cost))

    def _positions_over(self) -> None:
        self._over("positions")

    def _value(self, tag: str, value: str, currency: str, account: str) -> None:
        self.received["account"] += 1
        self._row("account", (tag, value, currency, account))

    def _portfolio(self, contract: Any, size: float, price: float, *rest: Any) -> None:
        self.received["portfolio"] += 1
        self._row("account", (contract.conId, price))

    def _account_over(self, account: str) -> None:
        self._over("account")

    def _open(self, order_id: int, contract: Any, order: Any, state: Any) -> None:
        self.received["open"] += 1
        if order.whatIf:
            # Nothing was placed: a warning precedes the figures of a what-if order.
            self._row(order_id, state)
            if str(state.initMarginChange).upper() != _UNSET:
                self._over(order_id)
            return
        self._row("open", (contract, order, state))
        self._event(order_id, "open", (contract, order, state))

    def _status(
        self, order_id: int, word: str, filled: float, remaining: float, average: float, perm_id: int, *rest: Any
    ) -> None:
        self.received["status"] += 1
        status = ReportedStatus(order_id, word, filled, perm_id)
        self._row("open", status)
        self._event(order_id, "status", status)

    def _open_over(self) -> None:
        self._over("open")

    def _on_completed(self, contract: Any, order: Any, state: Any) -> None:
        self.received["completed"] += 1
        self._row("completed", (contract, order, state))

    def _completed_over(self) -> None:
        self._over("completed")

    def _execution(self, request: int, contract: Any, execution: Any) -> None:
        self.received["execution"] += 1
        self._row(request, (contract, execution))

    def _commission(self, report: Any) -> None:
        self.received["commission"] += 1
        self.commissions[report.execId] = report

    def _contract(self, request: int, details: Any) -> None:
        self.received["contract"] += 1
        self._row(request, details)

    def _bars_over(self, request: int, *span: str) -> None:
        self._over(request)

    def _providers(self, providers: list[Any]) -> None:
        for provider in providers:
            self._row("news", provider)
        self._over("news")

    def _headline(self, request: int, *headline: str) -> None:
        self._row(request, headline)

    def _headlines_over(self, request: int, has_more: bool) -> None:
        self._row(request, has_more)
        self._over(request)

    def _time(self, seconds: int) -> None:
        self._row("time", seconds)
        self._over("time")

    def _price(self, request: int, kind: int, price: float, size: float) -> None:
        ticks = self.ticks.get(request)
        if ticks is not None:
            ticks.delayed = ticks.delayed or kind in _DELAYED
            ticks.prices[_DELAYED.get(kind, kind)] = price
            ticks.seen = asyncio.get_running_loop().time()

    def _generic(self, request: int, kind: int, value: float) -> None:
        ticks = self.ticks.get(request)
        if ticks is not None and kind == _HALTED:
            ticks.halted = value > 0


def _nothing(*arguments: object) -> None:
    """Ignore a message that no request needs."""


_FIXED: Mapping[str, object] = {"ib": _Nowhere(), "defaultTimezone": UTC}

_CALLED: Mapping[str, Callable[..., None]] = {
    "error": MessageReceiver._error,
    "position": MessageReceiver._position,
    "positionEnd": MessageReceiver._positions_over,
    "updateAccountValue": MessageReceiver._value,
    "updatePortfolio": MessageReceiver._portfolio,
    "accountDownloadEnd": MessageReceiver._account_over,
    "openOrder": MessageReceiver._open,
    "orderStatus": MessageReceiver._status,
    "openOrderEnd": MessageReceiver._open_over,
    "completedOrder": MessageReceiver._on_completed,
    "completedOrdersEnd": MessageReceiver._completed_over,
    "execDetails": MessageReceiver._execution,
    "execDetailsEnd": MessageReceiver._over,
    "commissionReport": MessageReceiver._commission,
    "contractDetails": MessageReceiver._contract,
    "contractDetailsEnd": MessageReceiver._over,
    "historicalData": MessageReceiver._row,
    "historicalDataEnd": MessageReceiver._bars_over,
    "newsProviders": MessageReceiver._providers,
    "historicalNews": MessageReceiver._headline,
    "historicalNewsEnd": MessageReceiver._headlines_over,
    "currentTime": MessageReceiver._time,
    "priceSizeTick": MessageReceiver._price,
    "tickGeneric": MessageReceiver._generic,
}

"""The library's handler for each kind of message, by the library's names."""
