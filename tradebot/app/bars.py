"""Connect the port to bars: the store in the bot's folder, the venue's data API, its calendar and its day."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from tradebot.adapters.bars.stored import StoredBars

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tradebot.adapters.bars.source import BarSource
    from tradebot.adapters.bars.store import SqliteBars
    from tradebot.adapters.state.events import JsonlEvents
    from tradebot.model.bar import Session
    from tradebot.model.venue_day import VenueDay


def stored_bars(
    folder: Path,
    events: JsonlEvents,
    source: Callable[[], BarSource],
    sessions: Callable[[date, date], Sequence[Session]],
    day: VenueDay,
) -> StoredBars:
    """Return a bot's closed bars; nothing is opened or asked before the first ones are needed."""

    def store() -> SqliteBars:
        from tradebot.adapters.bars.choosing import open_bars

        return open_bars(folder, events, datetime.now(UTC))

    return StoredBars(store, source, sessions, day)
