"""Connect the port to bars: the store in the bot's folder, the venue's data API, and the exchange's calendar."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tradebot.adapters.bars.stored import StoredBars
from tradebot.app import calendar

if TYPE_CHECKING:
    from tradebot.adapters.alpaca.bars import AlpacaBars
    from tradebot.adapters.bars.store import BarStore
    from tradebot.app.wiring import App


def stored_bars(app: App, closing: ExitStack) -> StoredBars:
    """Return a bot's closed bars; nothing is opened or asked before the first ones are needed."""
    bars = StoredBars(
        lambda: _store(app),
        lambda: _source(app),
        lambda first, last: calendar.sessions(app.books, app.reader.calendar, first, last),
    )
    closing.callback(bars.close)
    return bars


def _store(app: App) -> BarStore:
    from tradebot.adapters.bars.choosing import open_bars

    return open_bars(app.folder.path, app.events, datetime.now(UTC))


def _source(app: App) -> AlpacaBars:
    from tradebot.adapters.alpaca.bars import AlpacaBars

    return AlpacaBars(app.venue, app.drift)
