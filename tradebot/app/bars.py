"""Connect the bars port: the store in the bot's folder, the venue's data API, and the venue's calendar and day."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from tradebot.adapters.bars.read_through import RestingBars, StoredBars
from tradebot.adapters.state.state_folder import BARS, BARS_FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tradebot.adapters.bars.store import BarSource, SqliteBars
    from tradebot.adapters.state.events import JsonlEvents
    from tradebot.model.bar import Session
    from tradebot.model.venue_day import VenueDay


def bars_at_rest(
    folder: Path, events: JsonlEvents, sessions: Callable[[date, date], Sequence[Session]], day: VenueDay
) -> StoredBars | None:
    """Return a bot's stored bars, without a source for fetching more; None if the bot never stored any."""
    is_stored = (folder / BARS).exists() or (folder / BARS_FOLDER).exists()
    return RestingBars(_opening(folder, events), sessions, day) if is_stored else None


def stored_bars(
    folder: Path,
    events: JsonlEvents,
    source: Callable[[], BarSource],
    sessions: Callable[[date, date], Sequence[Session]],
    day: VenueDay,
) -> StoredBars:
    """Return a bot's closed bars. The store is opened, and the source used, only when bars are first needed."""
    return StoredBars(_opening(folder, events), source, sessions, day)


def _opening(folder: Path, events: JsonlEvents) -> Callable[[], SqliteBars]:
    def store() -> SqliteBars:
        from tradebot.adapters.bars.parquet import open_bars

        return open_bars(folder, events, datetime.now(UTC))

    return store
