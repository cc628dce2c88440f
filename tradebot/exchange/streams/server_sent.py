"""Serve event streams over plain HTTP as server-sent events: past events first, then new ones.

A client that was away asks for what came after its last event, by id or time. A request with an end gets a complete
answer; any other stream continues until either side closes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import islice

from tradebot.exchange.engine.account import Account
from tradebot.exchange.events import Event, Place
from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faces.keys import account_of
from tradebot.exchange.faces.trading.query import params
from tradebot.exchange.faces.web import Call, Handler, Reply, Route, Stream, route
from tradebot.exchange.streams.event_feeds import ActivityFeed, Feed, UpdateFeed
from tradebot.exchange.streams.trade_updates import StreamEvent, TradeUpdates, Window, read_window, ulid

HEARTBEAT_S = 10.0
_HEARTBEAT = b":heartbeat\n\n"
_SOON_S = 0.005
_TOGETHER = 32
"""How many events to send at once; making them takes about a millisecond."""
_HEADERS = {"content-type": "text/event-stream", "cache-control": "no-cache"}


class ServerSent:
    """The routes of the event streams, and the listener that wakes their clients."""

    def __init__(self, exchange: Exchange, updates: TradeUpdates) -> None:
        self._exchange = exchange
        self._updates = updates
        self._streams: set[EventStream] = set()
        exchange.listeners.append(self)
        exchange.moved.append(lambda from_us, to_us: self.publish(None))

    def routes(self) -> list[Route]:
        """Return the routes: Alpaca's path of the trade updates, its older path, and that of the activities."""
        exchange, updates = self._exchange, self._updates
        trades = self._answering(lambda account, window: UpdateFeed(exchange, account, updates, window))
        activities = self._answering(lambda account, window: ActivityFeed(exchange.engine, account))
        return [
            route("/v2/events/trades", GET=trades),
            route("/v2beta1/events/trades", GET=trades),
            route("/v2beta1/events/activities", GET=activities),
        ]

    def capture(self, event: Event, place: Place) -> bool | None:
        """Request a wake-up for clients, if any, once the event's line is written."""
        return True if self._streams else None

    def publish(self, captured: object) -> None:
        for stream in self._streams:
            stream.wake()

    def _answering(self, feed_of: Callable[[Account, Window], Feed]) -> Handler:
        def answer(call: Call) -> Reply:
            account, window = account_of(call, self._exchange.engine), read_window(params(call))
            if call.method == "HEAD":
                return Reply(200, b"", _HEADERS)
            stream = EventStream(self._exchange, feed_of(account, window), window, self._streams.discard)
            self._streams.add(stream)
            return Reply(200, b"", _HEADERS, Stream(stream, stream.close))

        return answer


class EventStream:
    """The events sent to one client; `leave` is called with the stream when it ends."""

    def __init__(self, exchange: Exchange, feed: Feed, window: Window, leave: Callable[[EventStream], None]) -> None:
        self._exchange = exchange
        self._feed = feed
        self._window = window
        self._leave = leave
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> None:
        self._feed.close()
        self._leave(self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._window.wants_past:
            async for part in self._parts(await self._feed.past()):
                yield part
        while True:
            self._woken.clear()
            # Events whose lines aren't written yet can't be sent, nor can their time be treated as over.
            if self._exchange.unrecorded:
                await asyncio.sleep(_SOON_S)
                continue
            now_us = self._exchange.engine.now_us
            over = self._window.is_over(now_us, ulid(now_us, self._exchange.sequence))
            async for part in self._parts(self._feed.fresh()):
                yield part
            if over:
                return
            if self._feed.dropped:
                yield f": you are reading too slowly, dropped {self._feed.dropped} messages\n\n".encode()
                self._feed.dropped = 0
            if not await self._more():
                yield _HEARTBEAT

    async def _parts(self, events: Iterable[StreamEvent]) -> AsyncIterator[bytes]:
        left = iter(events)
        while together := [*islice(left, _TOGETHER)]:
            wanted = (event for event in together if self._window.holds(event.id, event.at_ns))
            if part := b"".join(b"data: %b\n\n" % event.encoded() for event in wanted):
                yield part
            # Sending returns at once while the client reads fast, so give other clients a turn here.
            await asyncio.sleep(0)

    async def _more(self) -> bool:
        """Wait until there may be something to send; return False if the client has heard nothing for long."""
        try:
            await asyncio.wait_for(self._woken.wait(), HEARTBEAT_S)
        except TimeoutError:
            return False
        return True
