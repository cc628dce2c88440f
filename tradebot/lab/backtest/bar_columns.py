"""One symbol's raw bars of one timeframe, growing as time passes, and how many of them were complete at a moment."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from papervenue.market.bars import UNITS
from papervenue.times import SECOND, at_new_york

if TYPE_CHECKING:
    from papervenue.market.bars import Bar, Market
    from papervenue.market.daily import DailyBars
    from papervenue.market.sessions import Calendar

MICROSECOND = timedelta(microseconds=1)


class Columns:
    """Bars as plain arrays: starts in seconds since 1970 UTC, prices in USD, volume in shares."""

    __slots__ = ("close", "high", "low", "open", "starts", "volume")

    def __init__(self) -> None:
        self.starts = array("q")
        self.open, self.high, self.low, self.close, self.volume = (array("d") for _ in range(5))

    def add(self, start_s: int, opening: int, high: int, low: int, close: int, volume: int) -> None:
        """Append a bar whose prices are in units."""
        self.starts.append(start_s)
        self.open.append(opening / UNITS)
        self.high.append(high / UNITS)
        self.low.append(low / UNITS)
        self.close.append(close / UNITS)
        self.volume.append(volume)

    def cut(self, first: int, end: int) -> Columns:
        cut = Columns.__new__(Columns)
        cut.starts = self.starts[first:end]
        cut.open, cut.high, cut.low = self.open[first:end], self.high[first:end], self.low[first:end]
        cut.close, cut.volume = self.close[first:end], self.volume[first:end]
        return cut

    def extend(self, more: Columns) -> None:
        for name in Columns.__slots__:
            getattr(self, name).extend(getattr(more, name))

    def scale(self, first: int, end: int, price: float, volume: float) -> None:
        """Multiply the prices and volumes of some bars."""
        if first >= end:
            return
        if price != 1.0:
            for column in (self.open, self.high, self.low, self.close):
                column[first:end] = array("d", [value * price for value in column[first:end]])
        if volume != 1.0:
            self.volume[first:end] = array("d", [value * volume for value in self.volume[first:end]])


class Line:
    """The bars so far, perhaps with later ones, and when each of them was complete, in microseconds."""

    def __init__(self, market: Market, symbol: str) -> None:
        self.columns = Columns()
        self._market = market
        self._symbol = symbol
        self._ends_us = array("q")
        self._next = 0
        """The session whose bars come next."""
        self.past = 0
        """How many sessions before the market's first have been added."""

    def go_back(self, count: int, until_us: int) -> int:
        """Add the past until `count` bars were complete by a moment, or there is no more of it; return how many are."""
        while self.reach(until_us) < count and self._more_past():
            pass
        return self.reach(until_us)

    def _more_past(self) -> bool:
        """Add some of the past that isn't there yet; return False if there is none."""
        return False

    @contextmanager
    def _before_all(self) -> Iterator[None]:
        """Put what is added meanwhile before all that is there."""
        later, ends_us = self.columns, self._ends_us
        self.columns, self._ends_us = Columns(), array("q")
        yield
        self.columns.extend(later)
        self._ends_us.extend(ends_us)

    def reach(self, until_us: int) -> int:
        """Add at least what is complete by a moment, and return how many bars were complete then."""
        self._grow(until_us)
        ends = self._ends_us
        return len(ends) if ends and ends[-1] <= until_us else bisect_right(ends, until_us)

    def unfinished(self, until_us: int) -> Columns | None:
        """Return the bar that is complete except for its volume, or None."""
        return None

    def _grow(self, until_us: int) -> None:
        raise NotImplementedError


class Daily(Line):
    """Daily bars: prices from the regular session, volume from the whole day. Each is complete at its close.

    Trading after hours still adds to the volume, so until it is over the newest bar is an unfinished one.
    """

    def __init__(self, market: Market, symbol: str) -> None:
        super().__init__(market, symbol)
        self.past = min(market.calendar.first, market.past_days)
        self._add_past(-self.past, 0)

    def _add_past(self, first: int, end: int) -> None:
        for index in range(first, end):
            session, bar = self._market.calendar.session(index), self._market.history_day(self._symbol, -index)
            if bar is not None:
                self._add(at_new_york(session.date, 0), session.close_us, bar[1:])

    def _more_past(self) -> bool:
        if self.past >= self._market.past_days:
            return False
        with self._before_all():
            self._add_past(-self._market.past_days, -self.past)
        self.past = self._market.past_days
        return True

    def _grow(self, until_us: int) -> None:
        sessions = self._market.calendar.market
        while self._next < len(sessions) and sessions[self._next].post_us <= until_us:
            session, bar = sessions[self._next], self._market.whole_day(self._symbol, self._next)
            if bar is not None:
                self._add(at_new_york(session.date, 0), session.close_us, bar[1:])
            self._next += 1

    def unfinished(self, until_us: int) -> Columns | None:
        """Return the newest session's bar while trading after hours goes on, or None."""
        sessions = self._market.calendar.market
        if self._next >= len(sessions) or until_us < sessions[self._next].close_us:
            return None
        bar = self._day(self._next, until_us)
        if bar is None:
            return None
        columns = Columns()
        columns.add(at_new_york(sessions[self._next].date, 0) // SECOND, *bar)
        return columns

    def _day(self, index: int, until_us: int) -> tuple[int, ...] | None:
        bar = self._market.day(self._symbol, index).until(until_us, 0)
        if bar is None:
            return None
        thin = self._market.extended(self._symbol, index).volume(until_us)
        return (*bar[1:5], bar.volume + thin)

    def _add(self, start_us: int, end_us: int, bar: Sequence[int]) -> None:
        self.columns.add(start_us // SECOND, *bar)
        self._ends_us.append(end_us)


class WholeDays(Line):
    """Daily bars that a market of daily bars holds already; how many of them were complete is looked up."""

    def __init__(self, market: Market, symbol: str, source: DailyBars) -> None:
        super().__init__(market, symbol)
        days = source.days(symbol)
        if days is None:
            return
        starts_s, ends_us = _day_times(market.calendar, source.known_after_us)
        self.columns.starts = array("q", [starts_s[place] for place in days.places])
        self._ends_us = array("q", [ends_us[place] for place in days.places])
        for name in ("open", "high", "low", "close"):
            setattr(self.columns, name, array("d", [units / UNITS for units in getattr(days, name)]))
        self.columns.volume = array("d", days.volume)

    def _grow(self, until_us: int) -> None:
        """Do nothing: all bars are there."""


@lru_cache(maxsize=2)
def _day_times(calendar: Calendar, known_after_us: int | None) -> tuple[list[int], list[int]]:
    """Return when each session's daily bar starts, in seconds, and when it is known, in microseconds."""
    starts_s = [at_new_york(session.date, 0) // SECOND for session in calendar.all]
    if known_after_us is None:
        return starts_s, [session.close_us for session in calendar.all]
    return starts_s, [session.open_us + known_after_us for session in calendar.all]


class Intraday(Line):
    """Bars merged from the minutes of regular sessions: the first starts at the open, the last ends at the close."""

    def __init__(self, market: Market, symbol: str, width: timedelta) -> None:
        super().__init__(market, symbol)
        self._width_us = width // MICROSECOND

    def _grow(self, until_us: int) -> None:
        sessions = self._market.calendar.market
        while self._next < len(sessions) and sessions[self._next].open_us < until_us:
            session = sessions[self._next]
            self._merge(self._market.day(self._symbol, self._next).bars, session.open_us, session.close_us)
            self._next += 1

    def _more_past(self) -> bool:
        if self.past >= self._market.past_minutes:
            return False
        self.past += 1
        session = self._market.calendar.session(-self.past)
        with self._before_all():
            self._merge(self._market.day(self._symbol, -self.past).bars, session.open_us, session.close_us)
        return True

    def _merge(self, bars: Sequence[Bar], opens_us: int, closes_us: int) -> None:
        """Add the bars of a whole session at once: `reach` tells which of them were complete."""
        if not bars:
            return
        starts, opens, highs, lows, closes, volumes = zip(*bars, strict=True)
        first = 0
        while first < len(bars):
            start_us = starts[first] - (starts[first] - opens_us) % self._width_us
            end_us = min(start_us + self._width_us, closes_us)
            end = bisect_left(starts, end_us, first)
            high, low, volume = max(highs[first:end]), min(lows[first:end]), sum(volumes[first:end])
            self.columns.add(start_us // SECOND, opens[first], high, low, closes[end - 1], volume)
            self._ends_us.append(end_us)
            first = end
