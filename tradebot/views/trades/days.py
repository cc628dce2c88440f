"""Ranges of the venue's days, both ends included, and the time that the market was open."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise

from msgspec import Struct

from tradebot.model.bar import Session
from tradebot.model.venue_day import VenueDay


class DateRange(Struct, frozen=True):
    """Days from `first` through `last`; None means an open end."""

    first: date | None = None
    last: date | None = None

    def has(self, at: datetime, day: VenueDay) -> bool:
        if self.first is None and self.last is None:
            return True
        return self.includes(day.date_of(at))

    def includes(self, day: date) -> bool:
        return not self.is_after(day) and (self.first is None or self.first <= day)

    def is_after(self, day: date) -> bool:
        return self.last is not None and day > self.last


EVER = DateRange()
"""All days."""


LONGEST_GAP = timedelta(days=7)
"""The longest time from one opening to the next, as in September 2001. After a longer one, a session is missing."""


class MarketTime:
    """The hours in which the market was open, from the calendar's sessions, oldest first."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self._sessions = sessions
        self._opens = [session.open for session in sessions]
        self._before_s = [0.0]
        for session in sessions:
            self._before_s.append(self._before_s[-1] + (session.close - session.open).total_seconds())

    def between_s(self, start: datetime, end: datetime) -> float | None:
        """Return for how many seconds the market was open between two moments; None if a session isn't known."""
        first, last = bisect_right(self._opens, start), bisect_right(self._opens, end)
        times = [*self._opens[max(first - 1, 0) : last], end]
        if not first or any(later - earlier > LONGEST_GAP for earlier, later in pairwise(times)):
            return None
        return self._until_s(end, last) - self._until_s(start, first)

    def _until_s(self, at: datetime, index: int) -> float:
        """Return for how many seconds the market was open until `at`, by which `index` sessions had begun."""
        if not index:
            return 0.0
        session = self._sessions[index - 1]
        return self._before_s[index - 1] + (min(at, session.close) - session.open).total_seconds()
