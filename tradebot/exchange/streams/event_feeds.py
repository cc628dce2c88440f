"""What an event stream is fed with: the trade updates of a key, or the activities of its account."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from tradebot.exchange.engine.account import Account
from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.events import Place
from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faces.activity_event import activity_event_json
from tradebot.exchange.jsontext import encode
from tradebot.exchange.streams.event_ids import ulid
from tradebot.exchange.streams.frames import Message
from tradebot.exchange.streams.past_updates import PastUpdates
from tradebot.exchange.streams.trade_updates import TradeUpdates
from tradebot.exchange.streams.window import StreamEvent, Window

LONGEST_QUEUE = 20_000
"""Events that may wait for a client; all of them are dropped where it is so far behind."""
_NS = 1_000


class Feed(Protocol):
    """Events of the past, then those that come; `dropped` counts what a slow client has lost since it was told."""

    dropped: int

    async def past(self) -> Sequence[StreamEvent]:
        """Return the events of the window that had happened when the feed was made."""
        ...

    def fresh(self) -> Iterator[StreamEvent]:
        """Yield those that have happened since and were not yielded yet."""
        ...

    def close(self) -> None:
        """Let go of what the feed listens to."""
        ...


class UpdateFeed:
    """A key's trade updates."""

    def __init__(self, exchange: Exchange, account: Account, updates: TradeUpdates, window: Window) -> None:
        self.dropped = 0
        self._past = PastUpdates(exchange, account.number, window)
        self._begun = exchange.sequence
        self._waiting: deque[StreamEvent] = deque()
        updates.listen(account.key_id, self, True)
        self._leave: Callable[[], None] = lambda: updates.listen(account.key_id, self, False)

    def tell(self, place: Place, messages: Sequence[Message]) -> None:
        """Take an update in; one that was on its way when the feed was made belongs to the past."""
        if place.number <= self._begun:
            return
        if len(self._waiting) >= LONGEST_QUEUE:
            self.dropped += len(self._waiting)
            self._waiting.clear()
        event_id = ulid(place.at_us, place.number)
        for message in messages:
            encoded = partial(encode, message.value["data"])
            self._waiting.append(StreamEvent(event_id, place.at_us, place.at_ns, encoded))

    async def past(self) -> Sequence[StreamEvent]:
        """Return the updates of the past, which are found in a thread."""
        return await asyncio.to_thread(self._past.read)

    def fresh(self) -> Iterator[StreamEvent]:
        """Yield the updates that wait."""
        while self._waiting:
            yield self._waiting.popleft()

    def close(self) -> None:
        """Listen no longer, and look for nothing."""
        self._past.unwanted = True
        self._leave()


class ActivityFeed:
    """The activities of a key's account; after a reset those of its new one."""

    dropped = 0

    def __init__(self, engine: Engine, account: Account) -> None:
        self._engine = engine
        self._account = account
        self._told = len(account.activities)

    async def past(self) -> Sequence[StreamEvent]:
        """Begin with the first activity: those of the past are told like those that come."""
        self._told = 0
        return ()

    def fresh(self) -> Iterator[StreamEvent]:
        """Yield the activities that were not told yet."""
        self._follow()
        begun, self._told = self._told, len(self._account.activities)
        for place in range(begun, self._told):
            yield self._event(place)

    def close(self) -> None:
        """Nothing listens: what there is to tell stands in the account."""

    def _follow(self) -> None:
        if self._account.number not in self._engine.accounts:
            of_key = (one for one in self._engine.accounts.values() if one.key_id == self._account.key_id)
            self._account, self._told = next(of_key, self._account), 0

    def _event(self, place: int) -> StreamEvent:
        engine, account, at_us = self._engine, self._account, self._account.activities[place].at_us
        event_id = ulid(at_us, place)
        return StreamEvent(
            event_id, at_us, at_us * _NS, lambda: encode(activity_event_json(engine, account, place, event_id))
        )
