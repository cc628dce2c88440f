"""Reconstruct past trade updates, with each order as it was then, by replaying a copy of the log.

The log is the record of what happened, so only clients that ask for the past pay for it.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from tradebot.exchange.events import Event, Place
from tradebot.exchange.exchange import Exchange, open_market
from tradebot.exchange.jsontext import encode
from tradebot.exchange.log import LogError
from tradebot.exchange.market.spec import MarketError
from tradebot.exchange.private_files import open_own
from tradebot.exchange.state import LOG_FILE
from tradebot.exchange.streams.event_ids import ulid
from tradebot.exchange.streams.trade_updates import update_json
from tradebot.exchange.streams.window import StreamEvent, Window


class PastUpdates:
    """The updates of an account within a window, up to a given number of log lines."""

    def __init__(self, exchange: Exchange, account: str, window: Window) -> None:
        self._log = exchange.log
        self._stored = exchange.stored
        self._account = account
        self._window = window
        self._lines = exchange.sequence
        self._found: list[StreamEvent] = []
        self.unwanted = False

    def read(self) -> list[StreamEvent]:
        """Return the updates, oldest first; raise PastError. This takes as long as a start and may run in a thread."""
        try:
            self._replay()
        except (OSError, LogError, MarketError, _UnwantedError) as error:
            raise PastError from error
        return self._found

    def _replay(self) -> None:
        state_dir = self._log.path.parent
        with TemporaryDirectory(prefix="exchange-past-") as copy:
            copied = open_own(Path(copy) / LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            with os.fdopen(copied, "wb") as file:
                file.writelines(line + b"\n" for line in islice(self._log.read(), self._lines))
            Exchange(Path(copy), self._stored, open_market(state_dir, self._stored), listeners=[self])

    def capture(self, event: Event, place: Place) -> None:
        """Accept an update; a replay with a running clock goes past the present, which is ignored."""
        if self.unwanted:
            raise _UnwantedError
        if event.update is None or event.account != self._account or place.number > self._lines:
            return
        event_id = ulid(place.at_us, place.number)
        if self._window.holds(event_id, place.at_ns):
            data = encode(update_json(event.update, place))
            self._found.append(StreamEvent(event_id, place.at_us, place.at_ns, lambda: data))

    def publish(self, captured: object) -> None:
        """Do nothing, because nothing was captured."""


class PastError(Exception):
    """The past can't be read: there is no room for a copy, or nobody is waiting for it anymore."""


class _UnwantedError(Exception):
    """The client that asked for the past has left."""
