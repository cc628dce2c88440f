"""Serve closed bars that are stored already: nothing is fetched or written, and no venue is asked.

Whoever asks gets what is there. Whether that is what there was at the time has to be seen otherwise.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cached_property

from tradebot.adapters.bars.read_through import StoredBars
from tradebot.adapters.bars.source import BarSource, CorporateAction
from tradebot.adapters.bars.store import STORED_ALWAYS, BarStore
from tradebot.adapters.bars.window import Window
from tradebot.auditing.bar_findings import RawBar
from tradebot.errors import TemporaryError
from tradebot.model.bar import Session
from tradebot.model.series import PriceKind
from tradebot.model.venue_day import VenueDay


class RestingBars(StoredBars):
    """Closed bars from the store alone; one that it lacks is absent."""

    def __init__(
        self, opens: Callable[[], BarStore], sessions: Callable[[date, date], Sequence[Session]], venue: VenueDay
    ) -> None:
        super().__init__(opens, self._nowhere, sessions, venue)

    @cached_property
    def _source(self) -> BarSource:
        # Until Python 3.12, all objects wait while one computes such a property, as other bars do that ask a venue.
        return self._finds()

    def _nowhere(self) -> BarSource:
        return _Nowhere(STORED_ALWAYS | {span.timeframe for span in self.store.spans()})

    def _ensure(
        self, window: Window, symbols: Sequence[str], heard: Callable[[int], None] = lambda changed: None
    ) -> int:
        return 0

    def _ensure_actions(self, symbols: Sequence[str], first: date, known: datetime) -> None:
        pass


class _Nowhere:
    """A source without any bars, with the timeframes that the store has from another one."""

    name, delay, refused = "", timedelta(0), frozenset[str]()

    def __init__(self, timeframes: frozenset[str]) -> None:
        self.timeframes = timeframes

    def pages(
        self,
        symbols: Sequence[str],
        timeframe: str,
        first: datetime,
        last: datetime,
        price: PriceKind = PriceKind.TRADE,
    ) -> Iterator[Mapping[str, Sequence[RawBar]]]:
        """Raise TemporaryError: nothing is fetched."""
        raise _lacking()

    def actions(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[CorporateAction]]:
        """Raise TemporaryError: nothing is fetched."""
        raise _lacking()


def _lacking() -> TemporaryError:
    return TemporaryError("these bars aren't stored", "tradebot bars fetch")
