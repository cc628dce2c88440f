"""Provide a symbol's past as rows: minutes, trades, quotes, bars of any timeframe, and auctions.

Nothing outside the requested interval is read, and only what was complete at the given moment is shown.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import date
from fractions import Fraction
from functools import cached_property, lru_cache, partial
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, TypeVar

from papervenue.faces.data.params import Timeframe
from papervenue.faces.data.rows import Aggregate, merge_aggregates, of_minute, of_past_day
from papervenue.market.bars import Bar, Day, Market
from papervenue.market.sessions import Session
from papervenue.market.ticks import Quote, QuoteAround, Totals, Trade, quotes, trades
from papervenue.times import DAY, MINUTE, at_new_york

_TOTALS_IN_MEMORY = 4_000
_TIMEFRAMES_IN_MEMORY = 8
_START = attrgetter("start_us")
Tick = TypeVar("Tick", Trade, Quote)
Adjust = Callable[[int, Aggregate], Aggregate]
"""Adjusts an aggregate that traded from a given moment on."""


class PastWindow(NamedTuple):
    """A part of a symbol's past, from one timestamp to another, both inclusive."""

    symbol: str
    start_us: int
    end_us: int
    newest_first: bool
    known_us: int


class Auctions(NamedTuple):
    """The auction prices of one session, in units; None if the auction had no trade or isn't over."""

    midnight_us: int
    opened_us: int
    opening: int | None
    closed_us: int
    closing: int | None


class DataHistory:
    def __init__(self, market: Market) -> None:
        self._market = market
        self._sessions = market.calendar.market
        self._midnights = [at_new_york(session.date, 0) for session in self._sessions]
        # Cached data from before the market; anything earlier is looked up on request.
        self._kept = min(market.past_days, market.calendar.first)
        self._first_us = at_new_york(market.calendar.session(-self._kept).date, 0)
        self._totals = lru_cache(maxsize=_TOTALS_IN_MEMORY)(Totals)
        self._stamped = lru_cache(maxsize=_TIMEFRAMES_IN_MEMORY)(self._stamps)

    def minutes(self, window: PastWindow) -> Iterator[Bar]:
        """Return the minute bars that start in a window, including those outside the regular session."""
        indices = self._days(window.start_us, window.end_us)
        for index in reversed(indices) if window.newest_first else indices:
            bars = self.session_minutes(window.symbol, index, window.known_us)
            selected = bars[
                bisect_left(bars, window.start_us, key=_START) : bisect_right(bars, window.end_us, key=_START)
            ]
            yield from reversed(selected) if window.newest_first else selected

    def indices(self, start_us: int, end_us: int) -> range:
        """Return the sessions whose day in New York overlaps an interval."""
        first = max(bisect_right(self._midnights, start_us) - 1, 0)
        return range(first, bisect_right(self._midnights, end_us))

    def _days(self, start_us: int, end_us: int) -> range:
        """Return the sessions as `indices` does, and also those before the market's first whose minutes are known."""
        days, past = self.indices(start_us, end_us), self._past_midnights
        if not past or start_us >= self._midnights[0]:
            return days
        first = max(bisect_right(past, start_us) - 1, 0) - len(past)
        return range(first, days.stop if end_us >= self._midnights[0] else bisect_right(past, end_us) - len(past))

    @cached_property
    def _past_midnights(self) -> list[int]:
        """Return the midnights of the sessions before the market's first whose minutes are known, oldest first."""
        return [at_new_york(self._session(index).date, 0) for index in range(-self._market.past_minutes, 0)]

    def session_minutes(self, symbol: str, index: int, known_us: int) -> Sequence[Bar]:
        """Return the minute bars of a session's day that are complete at a given time, oldest first."""
        regular, thin = self._market.day(symbol, index), self._market.extended(symbol, index)
        bars, around = regular.bars[: regular.complete(known_us)], thin.bars[: thin.complete(known_us)]
        before = bisect_left(around, self._session(index).open_us, key=_START)
        return (*around[:before], *bars, *around[before:])

    def is_extended(self, bar: Bar) -> bool:
        session = self._session(self._days(bar.start_us, bar.start_us)[0])
        return not session.open_us <= bar.start_us < session.close_us

    def trades(self, window: PastWindow) -> Iterator[tuple[Trade, bool]]:
        """Return the trades in a window, each with whether it was outside the regular session."""
        for bar in self.minutes(window._replace(start_us=window.start_us - MINUTE)):
            extended = self.is_extended(bar)
            for trade in _within(trades(bar), window):
                yield trade, extended

    def quotes(self, window: PastWindow, around: QuoteAround) -> Iterator[Quote]:
        for bar in self.minutes(window._replace(start_us=window.start_us - MINUTE)):
            yield from _within(quotes(bar, around), window)

    def bars(
        self, window: PastWindow, timeframe: Timeframe, kinds: Collection[str] = (), now_us: int = 0
    ) -> Iterator[Aggregate]:
        """Return the bars of a timeframe that are stamped within a window.

        A bar in progress includes the minutes that are complete. The bars are adjusted for corporate actions of these
        kinds up to now.
        """
        adjust = partial(self._adjust_bar, window.symbol, kinds, now_us) if kinds else lambda traded_us, raw: raw
        if timeframe.unit == "minute":
            return self._intraday(window, timeframe.length * MINUTE, adjust)
        return self._periods(window, timeframe, adjust)

    def _adjust_bar(
        self, symbol: str, kinds: Collection[str], now_us: int, traded_us: int, raw: Aggregate
    ) -> Aggregate:
        bar = Bar(traded_us, *raw[1:6])
        (new,) = self._market.adjust_bars(symbol, [bar], kinds, now_us)
        if new == bar:
            return raw
        paid = round(Fraction(raw.turnover * new.close * new.volume, max(1, raw.close * raw.volume)))
        return Aggregate(raw.start_us, *new[1:], raw.trades, paid)

    def _intraday(self, window: PastWindow, width_us: int, adjust: Adjust) -> Iterator[Aggregate]:
        """Group minutes into intervals that start with the day in UTC, as the real API does."""
        start_us, end_us = _bar_around(window.start_us, width_us)
        first = start_us if start_us == window.start_us else end_us
        last = _bar_around(window.end_us, width_us)[1] - 1
        bars = self.minutes(window._replace(start_us=first, end_us=last))
        minutes = (adjust(bar.start_us, of_minute(bar)) for bar in bars)
        if width_us == MINUTE:
            yield from minutes
            return
        for start_us, parts in groupby(minutes, lambda part: _bar_around(part.start_us, width_us)[0]):
            ordered = list(parts)
            yield merge_aggregates(start_us, ordered[::-1] if window.newest_first else ordered)

    def _periods(self, window: PastWindow, timeframe: Timeframe, adjust: Adjust) -> Iterator[Aggregate]:
        stamps, members = self._stamped(timeframe, self._kept if window.start_us >= self._first_us else None)
        places = range(bisect_left(stamps, window.start_us), bisect_right(stamps, window.end_us))
        for position in reversed(places) if window.newest_first else places:
            days = ((index, self.day(window.symbol, index, window.known_us)) for index in members[position])
            opens = [adjust(self._session(index).open_us, day) for index, day in days if day]
            if opens:
                yield merge_aggregates(stamps[position], opens)

    def _stamps(self, timeframe: Timeframe, past_days: int | None) -> tuple[list[int], list[list[int]]]:
        """Return the midnights that a timeframe's bars are stamped with, and the sessions of each.

        They begin `past_days` sessions before the market's first, or with the first known day if that is None.
        """
        indices = range(-(self._market.past_days if past_days is None else past_days), len(self._sessions))
        firsts = [(index, timeframe.first_day(date.fromisoformat(self._session(index).date))) for index in indices]
        grouped = [(first, list(group)) for first, group in groupby(firsts, lambda pair: pair[1])]
        stamps = [at_new_york(first.isoformat(), 0) for first, _ in grouped]
        return stamps, [[index for index, _ in group] for _, group in grouped]

    def _session(self, index: int) -> Session:
        return self._market.calendar.session(index)

    def day(self, symbol: str, index: int | None, known_us: int) -> Aggregate | None:
        """Return a session's daily bar so far, or None before its first trade.

        Prices come from the regular session only, but volume, trades and turnover from the whole day. A negative index
        counts back from the market's first session; of those days, only the complete bar is known.
        """
        if index is not None and index < 0:
            return self._past_day(symbol, index, known_us)
        if index is None or index >= len(self._sessions) or self._midnights[index] > known_us:
            return None
        regular, thin = self._market.day(symbol, index), self._market.extended(symbol, index)
        bar = regular.until(known_us, self._midnights[index])
        if bar is None:
            return None
        count, turnover = self._so_far(regular, known_us)
        thin_count, thin_turnover = self._so_far(thin, known_us)
        volume = bar.volume + thin.volume(known_us)
        return Aggregate(*bar[:-1], volume, count + thin_count, turnover + thin_turnover)

    def _past_day(self, symbol: str, index: int, known_us: int) -> Aggregate | None:
        session = self._session(index) if -index <= self._market.past_days else None
        if session is None or session.close_us > known_us:
            return None
        bar = self._market.history_day(symbol, -index)
        minutes = (session.close_us - session.open_us) // MINUTE
        return of_past_day(bar, at_new_york(session.date, 0), minutes) if bar else None

    def _so_far(self, day: Day, known_us: int) -> tuple[int, int]:
        return self._totals(day).until(day.complete(known_us))

    def auctions(self, window: PastWindow) -> Iterator[Auctions]:
        """Return the auctions of the sessions whose date begins within a window."""
        first = bisect_left(self._midnights, window.start_us)
        indices = range(first, bisect_right(self._midnights, window.end_us))
        for index in reversed(indices) if window.newest_first else indices:
            auctions = self._auctions(window.symbol, index, window.known_us)
            if auctions is not None:
                yield auctions

    def _auctions(self, symbol: str, index: int, known_us: int) -> Auctions | None:
        day, session = self._market.day(symbol, index), self._sessions[index]
        bars = day.bars[: day.complete(known_us)]
        if not bars:
            return None
        opening = bars[0].open if bars[0].start_us == session.open_us else None
        closing = bars[-1].close if bars[-1].end_us == session.close_us else None
        return Auctions(self._midnights[index], session.open_us, opening, session.close_us, closing)


def _bar_around(at_us: int, width_us: int) -> tuple[int, int]:
    """Return the start and end of the bar around a moment; midnight in UTC cuts the last bar of a day short."""
    midnight_us = at_us // DAY * DAY
    start_us = at_us - (at_us - midnight_us) % width_us
    return start_us, min(start_us + width_us, midnight_us + DAY)


def _within(ticks: Sequence[Tick], window: PastWindow) -> Iterable[Tick]:
    selected = [tick for tick in ticks if window.start_us <= tick.at_us <= window.end_us]
    return reversed(selected) if window.newest_first else selected
