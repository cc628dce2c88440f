"""Find the session that a recorded bar belongs to: a share's, with the hours around it, or a contract's own."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

from papervenue.market.bars import Bar
from papervenue.market.instruments import Grid
from papervenue.market.minute_rows import BadRowError, share, share_or_contract
from papervenue.market.sessions import Calendar
from papervenue.market.spec import MarketSpec
from papervenue.times import MINUTE

OUTSIDE, NOT_REQUESTED = "outside the market's sessions", "symbol not requested"


class ShareSessions:
    """Finds the session of each share's bar; the next one is nearly always in the same session."""

    grid = staticmethod(share)

    def __init__(self, spec: MarketSpec, calendar: Calendar) -> None:
        self._calendar, self._requested = calendar, frozenset(spec.symbols)
        self._index, self._first_us, self._last_us = 0, 0, -1

    def index(self, symbol: str, bar: Bar) -> int:
        """Return the session of a bar, complemented for a bar before its open or after its close."""
        index = self._session(bar)
        if self._requested and symbol not in self._requested:
            raise BadRowError(NOT_REQUESTED)
        return index

    def _session(self, bar: Bar) -> int:
        if self._first_us <= bar.start_us <= self._last_us:
            return self._index
        index = self._calendar.reached(bar.start_us)
        if index < 0 or bar.end_us > self._calendar.market[index].post_us:
            raise BadRowError(OUTSIDE)
        session = self._calendar.market[index]
        first_us, last_us = session.open_us, session.close_us - MINUTE
        if not first_us <= bar.start_us <= last_us:
            return ~index
        self._index, self._first_us, self._last_us = index, first_us, last_us
        return index


class ContractSessions:
    """Finds the session of each contract's bar, in the contract's own calendar and up to its last trading."""

    def __init__(self, spec: MarketSpec, calendar: Calendar, calendars: Mapping[str, Calendar]) -> None:
        self._grids = {one.symbol: Grid(one) for one in spec.venue.instruments}
        self._calendars = {symbol: calendars.get(symbol, calendar) for symbol in self._grids}
        self._opens = {one: [session.open_us for session in one.played] for one in {*self._calendars.values()}}

    def grid(self, symbol: str) -> Grid | None:
        """Return what a symbol's prices are counted in; None for what is no symbol."""
        return self._grids.get(symbol) or share_or_contract(symbol)

    def index(self, symbol: str, bar: Bar) -> int:
        """Return the session of a bar; those before the market's first are negative."""
        if symbol not in self._grids:
            raise BadRowError(NOT_REQUESTED)
        calendar, last_us = self._calendars[symbol], self._grids[symbol].last_us
        place = bisect_right(self._opens[calendar], bar.start_us) - 1
        if place < 0 or bar.start_us >= calendar.last_close_us:
            raise BadRowError(OUTSIDE)
        if bar.end_us > calendar.played[place].close_us:
            raise BadRowError("between two sessions of its contract")
        if last_us is not None and bar.start_us >= last_us:
            raise BadRowError("after its contract's last trading")
        return place - calendar.first
