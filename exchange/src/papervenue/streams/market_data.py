"""Serve the market-data streams at /v2/{feed}: bars, quotes and trades as engine time passes.

Messages are generated from the market when the client has room for them, so a slow client uses no extra memory, misses
nothing and delays nobody. Each key may have one connection per feed, as with Alpaca's usual subscriptions.

The market's resolution is a minute, so all data of a minute is due when the minute ends: first its trades and quotes,
each with its own timestamp within the minute, then its bars, then the day's bars so far. They are the same as in the
historical API. Prices are JSON numbers in USD, and times are aware datetimes.

No trade here is ever late, corrected or broken, and there are no price bands or order imbalances. Clients can subscribe
to updatedBars, lulds and imbalances, but those channels stay silent, as do corrections and cancelErrors.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Any, NamedTuple

from starlette.types import Receive, Scope, Send

from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.faces.data.history import DataHistory
from papervenue.faces.data.rows import Row, bar_json, of_minute, quote_json, tape, trade_json
from papervenue.faces.guard import Credentials, account_with, credentials_of
from papervenue.faults.streaming import MARKET_DATA, Recipient, StreamFaults
from papervenue.market.bars import UNITS, Bar
from papervenue.market.ticks import quotes, trades
from papervenue.streams.socket import Message, Socket
from papervenue.times import MINUTE, to_datetime

DataPoint = dict[str, Any]
Asked = dict[str, frozenset[str]]
Wanted = Callable[[str], Iterable[str]]
"""Returns the symbols that a client has subscribed to in a channel; EVERY_SYMBOL means all."""

EVERY_SYMBOL = "*"
TEST_FEED, TEST_SYMBOL = "test", "FAKEPACA"
_EMPTY_FEEDS = ("otc", "boats", "overnight")
"""Feeds for kinds of trading that this market doesn't have."""
_CHANNELS = ("trades", "quotes", "bars", "dailyBars")
_TEST_PRICE, _TEST_VOLUME = 130 * UNITS, 700
_HALTED = {"C": ("H", "Trading Halt", "T1", "Halt News Pending")}
_RESUMED = {"C": ("T", "Trading Resumption", "T3", "News and Resumption Times")}
_CTA_HALTED = ("2", "Trading Halt", "P", "News Pending")
_CTA_RESUMED = ("3", "Resume", "D", "News Released")


class Due(NamedTuple):
    """The data points that become available at one moment of engine time, in the order in which to send them."""

    at_us: int
    points: list[DataPoint]


class MarketMessages:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._history = DataHistory(engine.market)
        self._around = engine.model.around

    def between(self, feed: str, from_us: int, to_us: int, wanted: Wanted) -> Iterator[Due]:
        """Yield the data points that become due after `from_us` and up to `to_us`, in order of time.

        Only one session is kept in memory.
        """
        if feed in _EMPTY_FEEDS:
            return
        subscribed = {channel: self._subscribed_symbols(feed, wanted(channel)) for channel in _CHANNELS}
        for end_us, bars in self._ended_bars(feed, from_us, to_us, set().union(*subscribed.values())):
            points = [*self._ticks(feed, bars, subscribed), *self._bars(feed, end_us, bars, subscribed)]
            if points:
                yield Due(end_us, points)

    def statuses(self, wanted: Wanted, halted: set[str]) -> list[DataPoint]:
        """Return the halts that began or ended since the client was last told, and update the client's set.

        They have the engine's current time, because a halt is only noticed while it is in force.
        """
        now, points = self._engine.now_us, []
        for symbol in sorted(self._subscribed_symbols("", wanted("statuses"))):
            is_halted = symbol in self._engine.halted
            if is_halted != (symbol in halted):
                halted ^= {symbol}
                points.append(_status(symbol, is_halted, now))
        return points

    def _subscribed_symbols(self, feed: str, symbols: Iterable[str]) -> frozenset[str]:
        names = frozenset([TEST_SYMBOL]) if feed == TEST_FEED else self._engine.market.known
        chosen = frozenset(symbols)
        return names if EVERY_SYMBOL in chosen else chosen & names

    def _ended_bars(
        self, feed: str, from_us: int, to_us: int, symbols: Iterable[str]
    ) -> Iterator[tuple[int, list[tuple[str, Bar]]]]:
        """Yield the times at which minute bars of these symbols end, with those bars in order of symbol."""
        first_us, last_us = from_us - MINUTE + 1, to_us - MINUTE
        ordered = sorted(symbols)
        if feed == TEST_FEED:
            yield from _test_bars(first_us, last_us) if ordered else ()
            return
        for index in self._history.indices(first_us, last_us):
            ended = defaultdict(list)
            for symbol in ordered:
                for bar in self._history.session_minutes(symbol, index, to_us):
                    if first_us <= bar.start_us:
                        ended[bar.end_us].append((symbol, bar))
            yield from sorted(ended.items())

    def _ticks(self, feed: str, bars: Iterable[tuple[str, Bar]], subscribed: Asked) -> Iterator[DataPoint]:
        """Yield trades and quotes in order of time; for the same time and symbol the trade comes first."""
        traded = [
            point for symbol, bar in bars if symbol in subscribed["trades"] for point in self._trades(feed, symbol, bar)
        ]
        quoted = [
            point for symbol, bar in bars if symbol in subscribed["quotes"] for point in self._quotes(feed, symbol, bar)
        ]
        yield from sorted([*traded, *quoted], key=itemgetter("t", "S"))

    def _trades(self, feed: str, symbol: str, bar: Bar) -> Iterator[DataPoint]:
        extended = feed != TEST_FEED and self._history.is_extended(bar)
        for trade in trades(bar):
            yield _point("t", symbol, trade.at_us, trade_json(symbol, trade, feed, extended))

    def _quotes(self, feed: str, symbol: str, bar: Bar) -> Iterator[DataPoint]:
        for quote in quotes(bar, self._around):
            yield _point("q", symbol, quote.at_us, quote_json(symbol, quote, feed))

    def _bars(self, feed: str, end_us: int, bars: list[tuple[str, Bar]], subscribed: Asked) -> Iterator[DataPoint]:
        for symbol, bar in bars:
            if symbol in subscribed["bars"]:
                yield _point("b", symbol, bar.start_us, bar_json(of_minute(bar)))
        for symbol, bar in bars:
            if symbol in subscribed["dailyBars"] and feed != TEST_FEED and not self._history.is_extended(bar):
                day = self._history.day(symbol, self._engine.market.calendar.last_begun(bar.start_us), end_us)
                if day is not None:
                    yield _point("d", symbol, day.start_us, bar_json(day))


def _point(kind: str, symbol: str, at_us: int, row: Row) -> DataPoint:
    return {"T": kind, "S": symbol, **row, "t": to_datetime(at_us)}


def _status(symbol: str, halted: bool, at_us: int) -> DataPoint:
    by_tape, other = (_HALTED, _CTA_HALTED) if halted else (_RESUMED, _CTA_RESUMED)
    letter = tape(symbol)
    code, text, reason, why = by_tape.get(letter, other)
    return {
        "T": "s",
        "S": symbol,
        "sc": code,
        "sm": text,
        "rc": reason,
        "rm": why,
        "t": to_datetime(at_us),
        "z": letter,
    }


def _test_bars(first_us: int, last_us: int) -> Iterator[tuple[int, list[tuple[str, Bar]]]]:
    """Yield one made-up bar for every minute, day and night, for the test feed."""
    for start_us in range(-(-first_us // MINUTE) * MINUTE, last_us + 1, MINUTE):
        cents = start_us // MINUTE % 60 * (UNITS // 100)
        price = _TEST_PRICE + cents
        yield start_us + MINUTE, [(TEST_SYMBOL, Bar(start_us, price, price, price, price, _TEST_VOLUME))]


CHANNELS = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "imbalances")
"""Channels that clients can subscribe to; corrections and cancelErrors automatically follow the trades channel."""
_FOLLOWS_TRADES = ("corrections", "cancelErrors")
_SHOWN_WHEN_EMPTY = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds")
_SYMBOL = re.compile(r"\*|[A-Z0-9][A-Z0-9./-]{0,31}", re.ASCII)
_NOT_CHANNELS = ("action", *_FOLLOWS_TRADES)
_MOST_SYMBOLS = 50_000


class SubscriptionError(ValueError):
    """Raised for a subscription change that is refused as a whole, with one of the stream's error codes."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Subscription:
    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._symbols: dict[str, dict[str, None]] = {channel: {} for channel in CHANNELS}

    def __bool__(self) -> bool:
        return any(self._symbols.values())

    def symbols(self, channel: str) -> list[str]:
        """Return the symbols subscribed to on a channel, possibly including the wildcard."""
        return list(self._symbols[channel])

    def add(self, message: dict[str, Any]) -> None:
        """Subscribe to the channels and symbols in a message; raise SubscriptionError if that isn't possible."""
        changes = _wanted_changes(message)
        after = {channel: self._symbols[channel] | dict.fromkeys(changes.get(channel, ())) for channel in CHANNELS}
        if self._limit is not None and len(after["trades"]) + len(after["quotes"]) > self._limit:
            raise SubscriptionError(405, "symbol limit exceeded")
        if sum(map(len, after.values())) > _MOST_SYMBOLS:
            raise SubscriptionError(405, "symbol limit exceeded")
        self._symbols = after

    def remove(self, message: dict[str, Any]) -> None:
        """Unsubscribe from the channels and symbols in a message; raise SubscriptionError if that isn't possible."""
        for channel, symbols in _wanted_changes(message).items():
            for symbol in symbols:
                self._symbols[channel].pop(symbol, None)

    def to_confirmation(self) -> dict[str, list[str]]:
        """Return the entire subscription in the form of the stream's confirmation."""
        symbols = {channel: self.symbols(channel) for channel in CHANNELS}
        followers = dict.fromkeys(_FOLLOWS_TRADES, symbols["trades"])
        return {
            channel: symbols[channel] for channel in CHANNELS if symbols[channel] or channel in _SHOWN_WHEN_EMPTY
        } | followers


def _wanted_changes(message: dict[str, Any]) -> dict[str, list[str]]:
    changes = {}
    for channel, symbols in message.items():
        # Some clients name the channels of every feed in each message, those of other feeds as null.
        if channel in _NOT_CHANNELS or (channel not in CHANNELS and symbols in (None, [])):
            continue
        if channel not in CHANNELS:
            raise SubscriptionError(410, "invalid subscribe action for this feed")
        changes[channel] = _require_symbols(symbols)
    return changes


def _require_symbols(symbols: object) -> list[str]:
    if symbols is None:
        return []
    if not isinstance(symbols, list) or not all(isinstance(s, str) and _SYMBOL.fullmatch(s) for s in symbols):
        raise SubscriptionError(400, "invalid syntax")
    return symbols


_AUTH_TIMEOUT_S = 10.0
_SIP_DELAY_US = 15 * MINUTE
_POLICY_VIOLATION = 1008


class MarketFeed(NamedTuple):
    """A feed: its name, and by how much its data is delayed.

    Every login is refused on a feed that the exchange doesn't offer, and on a paid feed if the subscription is free.
    """

    name: str
    delay_us: int = 0
    carried: bool = True
    paid: bool = False


FEEDS = {
    "/v2/iex": MarketFeed("iex"),
    "/v2/sip": MarketFeed("sip", paid=True),
    "/v2/delayed_sip": MarketFeed("delayed_sip", _SIP_DELAY_US),
    "/v2/otc": MarketFeed("otc"),
    "/v2/test": MarketFeed("test"),
    "/v1beta1/boats": MarketFeed("boats"),
    "/v1beta1/overnight": MarketFeed("overnight"),
    "/v1beta1/news": MarketFeed("news", carried=False),
    "/v1beta1/indicative": MarketFeed("indicative", carried=False),
    "/v1beta1/opra": MarketFeed("opra", carried=False),
    "/v1beta3/crypto/us": MarketFeed("crypto", carried=False),
}
"""Alpaca's market-data streams by path."""

_MOST_TOGETHER = 250
"""Maximum data points in one frame, because many clients accept at most a mebibyte at a time."""
_FREE_SYMBOLS = 30
_SYNTAX = (400, "invalid syntax")


class MarketStreams:
    """The ASGI application of the streams; call `wake` whenever engine time has moved.

    `free` means a free subscription; `slots` are the occupied (feed, key) pairs.
    """

    def __init__(self, engine: Engine, free: bool, delivery: StreamFaults) -> None:
        self.engine = engine
        self.free = free
        self.delivery = delivery
        self.messages = MarketMessages(engine)
        self.slots: set[tuple[str, str]] = set()
        self._sockets: set[Socket] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = Socket(scope, receive, send, binary=False, farewell=_error(407, "slow client"))
        # A path may end with a slash here, as on the real host.
        client = _Client(socket, FEEDS[scope["path"].rstrip("/")], self)
        socket.news = client.news
        timeout = asyncio.get_running_loop().call_later(_AUTH_TIMEOUT_S, client.time_out)
        self._sockets.add(socket)
        try:
            await socket.serve(client.hear, client.greet)
        finally:
            timeout.cancel()
            self._sockets.discard(socket)
            client.leave()

    def wake(self) -> None:
        for socket in self._sockets:
            socket.wake()


class _Client:
    """One connection: who it is, what it subscribed to, and the engine time up to which it has received data."""

    def __init__(self, socket: Socket, feed: MarketFeed, streams: MarketStreams) -> None:
        self._socket, self._feed, self._streams = socket, feed, streams
        self._account: Account | None = None
        self._carried = feed.carried and not (streams.free and feed.paid)
        self._subscription = Subscription(_FREE_SYMBOLS if streams.free else None)
        self._halted: set[str] = set()
        self._told_us = 0

    def greet(self) -> None:
        """Send the welcome, and log in a client whose handshake carried its key."""
        self._say("success", msg="connected")
        credentials = credentials_of(self._socket.headers)
        if credentials is not None:
            self._authenticate(credentials)

    def hear(self, message: dict[str, Any] | None) -> None:
        action = None if message is None else message.get("action")
        if message is None or not isinstance(action, str):
            self._fail(*_SYNTAX)
        elif action == "auth":
            self._log_in(message)
        elif self._account is None:
            self._fail(401, "not authenticated")
        elif action == "subscribe":
            self._change(self._subscription.add, message)
        elif action == "unsubscribe":
            self._change(self._subscription.remove, message)
        else:
            self._fail(*_SYNTAX)

    def time_out(self) -> None:
        """Disconnect a client that didn't authenticate in time."""
        if self._account is None:
            self._refuse(404, "auth timeout")

    def leave(self) -> None:
        """Release the key's slot on the feed."""
        if self._account is not None:
            self._streams.slots.discard((self._feed.name, self._account.key_id))
            self._streams.delivery.forget(Recipient(self._feed.name, self._account.key_id))

    def _log_in(self, message: dict[str, Any]) -> None:
        key, secret = message.get("key"), message.get("secret")
        if not isinstance(key, str) or not isinstance(secret, str):
            self._fail(*_SYNTAX)
        elif self._account is not None:
            self._fail(403, "already authenticated")
        else:
            self._authenticate(Credentials(key, secret))

    def _authenticate(self, credentials: Credentials) -> None:
        account = account_with(credentials, self._streams.engine)
        slot = self._feed.name, credentials.key_id
        if account is None:
            self._refuse(402, "auth failed")
        elif not self._carried:
            self._refuse(409, "insufficient subscription")
        elif slot in self._streams.slots:
            self._refuse(406, "connection limit exceeded")
        else:
            self._streams.slots.add(slot)
            self._account = account
            self._say("success", msg="authenticated")

    def _change(self, change: Callable[[dict[str, Any]], None], message: dict[str, Any]) -> None:
        if not self._subscription:
            self._told_us = self._reached_us()
        try:
            change(message)
        except SubscriptionError as error:
            self._fail(error.code, str(error))
        else:
            self._say("subscription", **self._subscription.to_confirmation())

    def _reached_us(self) -> int:
        return self._streams.engine.now_us - self._feed.delay_us

    def news(self) -> Iterator[Message]:
        """Yield the data that became due since the last call, in frames that any client accepts."""
        if not self._subscription:
            return
        from_us, self._told_us = self._told_us, max(self._told_us, self._reached_us())
        for due in self._streams.messages.between(self._feed.name, from_us, self._told_us, self._subscription.symbols):
            yield from self._frames(due.points)
        yield from self._frames(self._streams.messages.statuses(self._subscription.symbols, self._halted))

    def _frames(self, points: list[DataPoint]) -> Iterator[Message]:
        delivered = [point for point_due in points for point in self._deliver(point_due)]
        for first in range(0, len(delivered), _MOST_TOGETHER):
            yield Message(delivered[first : first + _MOST_TOGETHER])

    def _deliver(self, point: DataPoint) -> list[DataPoint]:
        if self._account is None:
            return []
        recipient = Recipient(self._feed.name, self._account.key_id)
        return self._streams.delivery.deliver(MARKET_DATA, self._account.number, point, recipient)

    def _say(self, kind: str, **fields: object) -> None:
        self._socket.put(Message([{"T": kind, **fields}]))

    def _fail(self, code: int, text: str) -> None:
        self._socket.put(_error(code, text))

    def _refuse(self, code: int, text: str) -> None:
        self._fail(code, text)
        self._socket.close(_POLICY_VIOLATION, text)


def _error(code: int, text: str) -> Message:
    return Message([{"T": "error", "code": code, "msg": text}])
