"""Feed the event streams with a key's trade updates or its account's activities."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol

from tradebot.exchange.engine.account import Account
from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.engine.updates import PastUpdate
from tradebot.exchange.events import Place
from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faces.activity_event import activity_event_json
from tradebot.exchange.jsontext import encode
from tradebot.exchange.streams.frames import Message
from tradebot.exchange.streams.trade_updates import StreamEvent, TradeUpdates, Window, ulid, update_json

LONGEST_QUEUE = 20_000
"""How many events may wait for a client; if it falls further behind, all of them are dropped."""
_NS = 1_000
_SOON_S = 0.005


class Feed(Protocol):
    """Past events, then new ones; `dropped` counts those a slow client lost since it was last told."""

    dropped: int

    async def past(self) -> Iterable[StreamEvent]:
        """Return the requested events that had happened when the feed was created."""

    def fresh(self) -> Iterator[StreamEvent]:
        """Yield the events since then that weren't yielded yet."""

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

    def tell(self, place: Place, messages: Sequence[Message]) -> None:
        """Accept an update, unless it was already in transit when the feed was created and so belongs to the past."""
        if place.number <= self._begun:
            return
        if len(self._waiting) >= LONGEST_QUEUE:
            self.dropped += len(self._waiting)
            self._waiting.clear()
        event_id = ulid(place.at_us, place.number)
        for message in messages:
            encoded = partial(encode, message.value["data"])
            self._waiting.append(StreamEvent(event_id, place.at_us, place.at_ns, encoded))

    async def past(self) -> Iterable[StreamEvent]:
        """Return past updates, once the lines of all of them are written."""
        while self._log.count < self._begun:
            await asyncio.sleep(_SOON_S)
        return self._past_events()

    def _past_events(self) -> Iterator[StreamEvent]:
        window = self._window
        for update in self._past.since(lambda place: window.has_begun(ulid(place.at_us, place.number), place.at_ns)):
            number, at_us, at_ns = update.place
            event_id = ulid(at_us, number)
            if number > self._begun or window.has_ended(event_id, at_ns):
                return
            if window.has_begun(event_id, at_ns):
                yield StreamEvent(event_id, at_us, at_ns, partial(_encoded, update))

    def fresh(self) -> Iterator[StreamEvent]:
        while self._waiting:
            yield self._waiting.popleft()

    def close(self) -> None:
        self._leave()


def _encoded(update: PastUpdate) -> bytes:
    return encode(update_json(update, update.place))


class ActivityFeed:
    """The activities of a key's account; after a reset, those of the new account."""

    dropped = 0

    def __init__(self, engine: Engine, account: Account) -> None:
        self._engine = engine
        self._account = account
        self._told = len(account.activities)

    async def past(self) -> Sequence[StreamEvent]:
        """Start from the first activity: past ones are sent the same way as new ones."""
        self._told = 0
        return ()

    def fresh(self) -> Iterator[StreamEvent]:
        self._follow()
        begun, self._told = self._told, len(self._account.activities)
        for place in range(begun, self._told):
            yield self._event(place)

    def close(self) -> None:
        """Do nothing: this feed reads from the account and listens to nothing."""

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
