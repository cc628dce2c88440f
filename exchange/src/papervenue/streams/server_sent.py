"""Serve streams of server-sent events over plain HTTP: past events first, then new ones.

A client that returns requests the events after the last one that it received, by id or time. If a request names an end,
the response ends there; any other stream continues until either side closes it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Protocol

from papervenue.engine.account import Account
from papervenue.engine.account_lists import PastUpdate
from papervenue.engine.engine import Engine
from papervenue.events import Event, EventPosition
from papervenue.exchange import Exchange
from papervenue.faces.activity_event import activity_event_json
from papervenue.faces.guard import account_of
from papervenue.faces.trading.query import params
from papervenue.faces.web import Call, Handler, Reply, Route, Stream, route
from papervenue.jsontext import encode
from papervenue.streams.socket import Message
from papervenue.streams.trade_updates import StreamEvent, TradeUpdates, Window, read_window, ulid, update_json

LONGEST_QUEUE = 20_000
"""How many events may wait for a client; if it falls further behind, all of them are dropped."""
_NS = 1_000


class EventFeed(Protocol):
    """Past events, then new ones; `dropped` counts the events that a slow client has lost since it was last told."""

    dropped: int

    async def past(self) -> Iterable[StreamEvent]:
        """Return the requested events that had happened when the feed was created."""

    def fresh(self) -> Iterator[StreamEvent]:
        """Yield events that happened after the feed was created, each only once."""

    def close(self) -> None:
        """Stop listening."""


class UpdateFeed:
    def __init__(self, exchange: Exchange, account: Account, updates: TradeUpdates, window: Window) -> None:
        self.dropped = 0
        self._log = exchange.log
        self._past = account.updates
        self._window = window
        self._begun = exchange.sequence
        self._waiting: deque[StreamEvent] = deque()
        updates.listen(account.key_id, self, True)
        self._leave: Callable[[], None] = lambda: updates.listen(account.key_id, self, False)

    def tell(self, event_place: EventPosition, messages: Sequence[Message]) -> None:
        """Accept a new update, unless it happened before the feed was created: `past` returns those."""
        if event_place.number <= self._begun:
            return
        if len(self._waiting) >= LONGEST_QUEUE:
            self.dropped += len(self._waiting)
            self._waiting.clear()
        event_id = ulid(event_place.at_us, event_place.number)
        for message in messages:
            encoded = partial(encode, message.value["data"])
            self._waiting.append(StreamEvent(event_id, event_place.at_us, event_place.at_ns, encoded))

    async def past(self) -> Iterable[StreamEvent]:
        """Return past updates, once the lines of all of them are written."""
        while self._log.count < self._begun:
            await asyncio.sleep(_SOON_S)
        return self._past_events()

    def _past_events(self) -> Iterator[StreamEvent]:
        window = self._window
        for update in self._past.since(lambda at: window.has_begun(ulid(at.at_us, at.number), at.at_ns)):
            number, at_us, at_ns = update.place
            event_id = ulid(at_us, number)
            if number > self._begun or window.has_ended(event_id, at_ns):
                return
            if window.has_begun(event_id, at_ns):
                yield StreamEvent(event_id, at_us, at_ns, partial(_encode_update, update))

    def fresh(self) -> Iterator[StreamEvent]:
        while self._waiting:
            yield self._waiting.popleft()

    def close(self) -> None:
        self._leave()


def _encode_update(update: PastUpdate) -> bytes:
    return encode(update_json(update, update.place))


class ActivityFeed:
    """The activities of the account with a key; after a reset, those of the new account."""

    dropped = 0

    def __init__(self, engine: Engine, account: Account) -> None:
        self._engine = engine
        self._account = account
        self._told = len(account.activities)

    async def past(self) -> Sequence[StreamEvent]:
        """Return no events, and begin with the first activity, because past activities are sent like new ones."""
        self._told = 0
        return ()

    def fresh(self) -> Iterator[StreamEvent]:
        self._follow()
        begun, self._told = self._told, len(self._account.activities)
        for index in range(begun, self._told):
            yield self._event(index)

    def close(self) -> None:
        """Do nothing: this feed reads from the account and has no subscription to end."""

    def _follow(self) -> None:
        if self._account.number not in self._engine.accounts:
            of_key = (account for account in self._engine.accounts.values() if account.key_id == self._account.key_id)
            self._account, self._told = next(of_key, self._account), 0

    def _event(self, index: int) -> StreamEvent:
        engine, account, at_us = self._engine, self._account, self._account.activities[index].at_us
        event_id = ulid(at_us, index)
        return StreamEvent(
            event_id, at_us, at_us * _NS, lambda: encode(activity_event_json(engine, account, index, event_id))
        )


HEARTBEAT_S = 10.0
_HEARTBEAT = b":heartbeat\n\n"
_SOON_S = 0.005
_TOGETHER = 32
"""How many events to send at once; creating them takes about a millisecond."""
_HEADERS = {"content-type": "text/event-stream", "cache-control": "no-cache"}


class ServerSent:
    """The routes of the event streams. This object also listens to events, and wakes the clients."""

    def __init__(self, exchange: Exchange, updates: TradeUpdates) -> None:
        self._exchange = exchange
        self._updates = updates
        self._streams: set[EventStream] = set()
        exchange.listeners.append(self)
        exchange.moved.append(lambda from_us, to_us: self.publish(None))

    def routes(self) -> list[Route]:
        """Return the routes: Alpaca's path for trade updates, its older path for them, and the path for activities."""
        exchange, updates = self._exchange, self._updates
        trades = self._answering(lambda account, window: UpdateFeed(exchange, account, updates, window))
        activities = self._answering(lambda account, window: ActivityFeed(exchange.engine, account))
        return [
            route("/v2/events/trades", GET=trades),
            route("/v2beta1/events/trades", GET=trades),
            route("/v2beta1/events/activities", GET=activities),
        ]

    def capture(self, event: Event, event_place: EventPosition) -> bool | None:
        """Return True if clients have to be woken once the event's line is written, None if there are no clients."""
        return True if self._streams else None

    def publish(self, captured: object) -> None:
        for stream in self._streams:
            stream.wake()

    def _answering(self, feed_of: Callable[[Account, Window], EventFeed]) -> Handler:
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

    def __init__(
        self, exchange: Exchange, feed: EventFeed, window: Window, leave: Callable[[EventStream], None]
    ) -> None:
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
            if self._exchange.has_unrecorded:
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
        remaining = iter(events)
        while together := [*islice(remaining, _TOGETHER)]:
            wanted = (event for event in together if self._window.holds(event.id, event.at_ns))
            if part := b"".join(b"data: %b\n\n" % event.encoded() for event in wanted):
                yield part
            # Sending returns at once while the client reads fast, so give other clients a turn here.
            await asyncio.sleep(0)

    async def _more(self) -> bool:
        """Wait until there may be something to send; return False if there was nothing for the heartbeat interval."""
        try:
            await asyncio.wait_for(self._woken.wait(), HEARTBEAT_S)
        except TimeoutError:
            return False
        return True
