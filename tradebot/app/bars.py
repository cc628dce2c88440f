"""Connect the port to bars: the store in the bot's folder, the venue's data API, and the exchange's calendar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from tradebot.adapters.bars.stored import StoredBars

if TYPE_CHECKING:
    from tradebot.app.wiring import App
    from tradebot.model.bar import Session

LONGEST_PAUSE = timedelta(days=7)
"""The longest time between two sessions."""


def stored_bars(app: App) -> StoredBars:
    """Return a bot's closed bars; nothing is opened or asked before the first are needed."""
    from tradebot.adapters.alpaca.bars import AlpacaBars
    from tradebot.adapters.bars.choosing import open_bars

    return StoredBars(
        lambda: open_bars(app.folder.path, app.events, datetime.now(UTC)),
        lambda: AlpacaBars(app.venue, app.drift),
        lambda first, last: sessions(app, first, last),
    )


def sessions(app: App, first: date, last: date) -> Sequence[Session]:
    """Return the sessions between two dates, inclusive: from the ledger, or from the venue if the ledger lacks some."""
    around = app.books.sessions(first - LONGEST_PAUSE, last + LONGEST_PAUSE)
    dates = [first - LONGEST_PAUSE, *(session.date for session in around), last + LONGEST_PAUSE]
    if all(later - earlier <= LONGEST_PAUSE for earlier, later in pairwise(dates)):
        return [session for session in around if first <= session.date <= last]
    return app.reader.calendar(first, last)
