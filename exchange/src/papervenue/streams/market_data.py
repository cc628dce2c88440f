"""Serve the market-data streams at /v2/{feed}: bars, quotes and trades as engine time passes.

Messages are generated from the market when the client has room for them, so a slow client uses no extra memory, misses
nothing and delays nobody. Each key has one connection per feed, as in Alpaca's usual subscriptions.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from starlette.types import Receive, Scope, Send

from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.faces.keys import Credentials, account_with, credentials_of
from papervenue.faults.streaming import MARKET_DATA, Recipient, StreamFaults
from papervenue.streams.market_messages import DataPoint, MarketMessages
from papervenue.streams.socket import Message, Socket
from papervenue.times import MINUTE

CHANNELS = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "imbalances")
"""Channels that clients can subscribe to; corrections and cancelErrors automatically follow the trades channel."""
_FOLLOWS_TRADES = ("corrections", "cancelErrors")
_SHOWN_WHEN_EMPTY = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds")
_SYMBOL = re.compile(r"\*|[A-Z0-9][A-Z0-9./-]{0,31}", re.ASCII)
_NOT_CHANNELS = ("action", *_FOLLOWS_TRADES)
_MOST_SYMBOLS = 50_000


class SubscriptionError(ValueError):
    """A change refused with one of the stream's error codes; none of it takes effect."""

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
        """Return a channel's symbols, possibly including the wildcard."""
        return list(self._symbols[channel])

    def add(self, message: dict[str, Any]) -> None:
        """Subscribe to what a message names; raise SubscriptionError if that isn't possible."""
        changes = _wanted(message)
        after = {channel: self._symbols[channel] | dict.fromkeys(changes.get(channel, ())) for channel in CHANNELS}
        if self._limit is not None and len(after["trades"]) + len(after["quotes"]) > self._limit:
            raise SubscriptionError(405, "symbol limit exceeded")
        if sum(map(len, after.values())) > _MOST_SYMBOLS:
            raise SubscriptionError(405, "symbol limit exceeded")
        self._symbols = after

    def remove(self, message: dict[str, Any]) -> None:
        """Unsubscribe from what a message names; raise SubscriptionError if that isn't possible."""
        for channel, symbols in _wanted(message).items():
            for symbol in symbols:
                self._symbols[channel].pop(symbol, None)

    def shown(self) -> dict[str, list[str]]:
        """Return the entire subscription in the form the stream confirms it."""
        symbols = {channel: self.symbols(channel) for channel in CHANNELS}
        followers = dict.fromkeys(_FOLLOWS_TRADES, symbols["trades"])
        return {
            channel: symbols[channel] for channel in CHANNELS if symbols[channel] or channel in _SHOWN_WHEN_EMPTY
        } | followers


def _wanted(message: dict[str, Any]) -> dict[str, list[str]]:
    changes = {}
    for channel, symbols in message.items():
        # Some clients name the channels of every feed in each message, those of other feeds as null.
        if channel in _NOT_CHANNELS or (channel not in CHANNELS and symbols in (None, [])):
            continue
        if channel not in CHANNELS:
            raise SubscriptionError(410, "invalid subscribe action for this feed")
        changes[channel] = _listed(symbols)
    return changes


def _listed(symbols: object) -> list[str]:
    if symbols is None:
        return []
    if not isinstance(symbols, list) or not all(isinstance(s, str) and _SYMBOL.fullmatch(s) for s in symbols):
        raise SubscriptionError(400, "invalid syntax")
    return symbols


_AUTH_TIMEOUT_S = 10.0
_SIP_DELAY_US = 15 * MINUTE
_POLICY_VIOLATION = 1008


class Feed(NamedTuple):
    """A feed with its name and the age of its data.

    A feed that the exchange doesn't carry refuses every login; so does a paid feed under the free subscription.
    """

    name: str
    delay_us: int = 0
    carried: bool = True
    paid: bool = False


FEEDS = {
    "/v2/iex": Feed("iex"),
    "/v2/sip": Feed("sip", paid=True),
    "/v2/delayed_sip": Feed("delayed_sip", _SIP_DELAY_US),
    "/v2/otc": Feed("otc"),
    "/v2/test": Feed("test"),
    "/v1beta1/boats": Feed("boats"),
    "/v1beta1/overnight": Feed("overnight"),
    "/v1beta1/news": Feed("news", carried=False),
    "/v1beta1/indicative": Feed("indicative", carried=False),
    "/v1beta1/opra": Feed("opra", carried=False),
    "/v1beta3/crypto/us": Feed("crypto", carried=False),
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

    def __init__(self, socket: Socket, feed: Feed, streams: MarketStreams) -> None:
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
            self._say("subscription", **self._subscription.shown())

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
        delivered = [point for given in points for point in self._delivered(given)]
        for first in range(0, len(delivered), _MOST_TOGETHER):
            yield Message(delivered[first : first + _MOST_TOGETHER])

    def _delivered(self, point: DataPoint) -> list[DataPoint]:
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
