"""Serve closed bars straight from the engine's market. They equal the bars that the bot's own store would have at that
time.

For each symbol and timeframe, the bars are plain arrays to which only complete bars are added. A request copies only
the bars that it needs.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache, partial
from math import ceil
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from papervenue.faces.data.rows import listing
from papervenue.market import actions as words
from papervenue.market.bars import UNITS, Bar, Market
from papervenue.times import DAY, HOUR, SECOND, at_new_york, from_datetime
from tradebot.adapters.bars.series import REACHES, price_steps, window_of
from tradebot.adapters.bars.store import DIVIDEND, SPLIT, CorporateAction, PriceStep
from tradebot.auditing.bar_findings import RawBar
from tradebot.lab.backtest.engine_conversion import session_of
from tradebot.model.series import DAY as DAYS
from tradebot.model.series import Series, width_of
from tradebot.venues.alpaca.capabilities import ALPACA

if TYPE_CHECKING:
    from papervenue.engine.engine_state import EngineState
    from papervenue.market.actions import Action
    from papervenue.market.daily import DailyBars
    from papervenue.market.sessions import Calendar
    from tradebot.model.bar import Session
    from tradebot.model.view import BarNeed

MICROSECOND = timedelta(microseconds=1)


class Columns:
    """Bars as plain arrays: starts in seconds since 1970 UTC, prices in USD, volume in shares."""

    __slots__ = ("close", "high", "low", "open", "starts", "volume")

    def __init__(self) -> None:
        self.starts = array("q")
        self.open, self.high, self.low, self.close, self.volume = (array("d") for _ in range(5))

    def add(self, start_s: int, opening: int, high: int, low: int, close: int, volume: int) -> None:
        """Append a bar, given prices in the engine's units of 1/10,000 USD."""
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
        """Multiply the prices and volumes of the bars from index `first` to just before `end` by factors."""
        if first >= end:
            return
        if price != 1.0:
            for column in (self.open, self.high, self.low, self.close):
                column[first:end] = array("d", [value * price for value in column[first:end]])
        if volume != 1.0:
            self.volume[first:end] = array("d", [value * volume for value in self.volume[first:end]])


class BarColumn:
    """A column of bars, which may include later ones, and the times in microseconds at which the bars were complete."""

    def __init__(self, market: Market, symbol: str) -> None:
        self.columns = Columns()
        self._market = market
        self._symbol = symbol
        self._ends_us = array("q")
        self._next = 0
        "The session whose bars are added next."
        self.past = 0
        "How many sessions before the market's first were added."

    def go_back(self, count: int, until_us: int) -> int:
        """Add earlier bars until `count` bars were complete at a time or none are left; return how many were complete
        then.
        """
        while self.reach(until_us) < count and self._more_past():
            pass
        return self.reach(until_us)

    def _more_past(self) -> bool:
        """Add earlier bars; return False if there are none."""
        return False

    @contextmanager
    def _before_all(self) -> Iterator[None]:
        """Put the bars added inside the block before all others."""
        later, ends_us = self.columns, self._ends_us
        self.columns, self._ends_us = Columns(), array("q")
        yield
        self.columns.extend(later)
        self._ends_us.extend(ends_us)

    def reach(self, until_us: int) -> int:
        """Add bars until all that were complete at a time are there; return how many were complete then."""
        self._grow(until_us)
        ends = self._ends_us
        return len(ends) if ends and ends[-1] <= until_us else bisect_right(ends, until_us)

    def unfinished_bar(self, until_us: int) -> Columns | None:
        """Return the bar that is complete except for its volume, or None."""
        return None

    def _grow(self, until_us: int) -> None:
        raise NotImplementedError


class Daily(BarColumn):
    """Daily bars, with prices from the regular session and volume from the whole day. A bar counts as complete at the
    close.

    After-hours trading still adds to the newest bar's volume, so that bar is unfinished until this trading ends.
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

    def unfinished_bar(self, until_us: int) -> Columns | None:
        """Return the newest session's bar while after-hours trading lasts, or None."""
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


class WholeDays(BarColumn):
    """Daily bars of a market that has all of them from the start; how many were complete at a given time is looked
    up.
    """

    def __init__(self, market: Market, symbol: str, source: DailyBars) -> None:
        super().__init__(market, symbol)
        days = source.days(symbol)
        if days is None:
            return
        starts_s, ends_us = _day_times(market.calendar, source.known_after_us)
        self.columns.starts = array("q", [starts_s[index] for index in days.places])
        self._ends_us = array("q", [ends_us[index] for index in days.places])
        for name in ("open", "high", "low", "close"):
            setattr(self.columns, name, array("d", [units / UNITS for units in getattr(days, name)]))
        self.columns.volume = array("d", days.volume)

    def _grow(self, until_us: int) -> None:
        """Do nothing, because all bars are present."""


@lru_cache(maxsize=2)
def _day_times(calendar: Calendar, known_after_us: int | None) -> tuple[list[int], list[int]]:
    """Return when each session's daily bar starts, in seconds, and when it is known, in microseconds."""
    starts_s = [at_new_york(session.date, 0) // SECOND for session in calendar.all]
    if known_after_us is None:
        return starts_s, [session.close_us for session in calendar.all]
    return starts_s, [session.open_us + known_after_us for session in calendar.all]


class Intraday(BarColumn):
    """Bars merged from the minutes of regular sessions: the first bar starts at the open, and the last ends at the
    close.
    """

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
        """Add the bars of a whole session; `reach` counts those that were complete."""
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


_MOST_NAMES = 3
"""How many earlier names of a company are looked up."""
_NEVER = 2**62


class PriceSteps:
    """The price adjustments for a symbol's splits and dividends, recomputed only when another one comes into force."""

    def __init__(self, market: Market, symbol: str, days: Callable[[], BarColumn]) -> None:
        self._actions = sorted(market.actions.of(symbol), key=_in_force_us)
        self._turns_us = [_in_force_us(action) for action in self._actions]
        self._symbol = symbol
        self._days = days
        self._valid = (0, 0)
        self._steps: Sequence[PriceStep] = ()
        self._known: dict[CorporateAction, Sequence[PriceStep]] = {}

    def at(self, until_us: int) -> Sequence[PriceStep]:
        """Return the steps in force at a time, oldest first; if nothing has changed, return the same object as
        before.
        """
        from_us, to_us = self._valid
        if not from_us <= until_us < to_us:
            self._renew(until_us)
        return self._steps

    def _renew(self, until_us: int) -> None:
        turns, count = self._turns_us, bisect_right(self._turns_us, until_us)
        self._valid = turns[count - 1] if count else -_NEVER, turns[count] if count < len(turns) else _NEVER
        actions = sorted(map(_to_corporate_action, self._own(self._actions[:count])))
        self._steps = [step for action in actions for step in self._step(action)]

    def _own(self, in_force: Sequence[Action]) -> Iterator[Action]:
        """Yield the splits and dividends in force under the symbol and under the company's earlier names."""
        names = {self._symbol}
        for _ in range(_MOST_NAMES):
            names |= {rule.symbol for rule in in_force if rule.kind == words.NAME_CHANGE and rule.new_symbol in names}
        return (rule for rule in in_force if rule.symbol in names and rule.kind in (words.DIVIDEND, *words.SPLITS))

    def _step(self, action: CorporateAction) -> Sequence[PriceStep]:
        """Return an action's step; none for a dividend without a close above it on the day before."""
        if action not in self._known:
            self._known[action] = price_steps([action], self._day_before(action.ex_date), ALPACA.day)
        return self._known[action]

    def _day_before(self, day: date) -> list[RawBar]:
        line, columns = self._days(), self._days().columns
        count = line.reach(at_new_york(day.isoformat(), 0))
        if not count:
            return []
        close = columns.close[count - 1]
        return [RawBar(columns.starts[count - 1], close, close, close, close, 0.0)]


def _in_force_us(action: Action) -> int:
    """Return from when bars are adjusted for an action: the start of its ex-date, if it is known by then."""
    return max(at_new_york(action.ex_date, 0), action.declared_us)


def _to_corporate_action(action: Action) -> CorporateAction:
    """Convert an action as the API would deliver it, with rates as floats."""
    ex_date = date.fromisoformat(action.ex_date)
    if action.kind == words.DIVIDEND:
        return CorporateAction(ex_date, DIVIDEND, float(action.rate))
    new, old = (Decimal(repr(float(rate))) for rate in (action.new_rate, action.old_rate))
    return CorporateAction(ex_date, SPLIT, float(new / old))


_DATE = attrgetter("date")


class BarSpan(NamedTuple):
    """Which bars of a column to use: the first index, the exclusive last index, and possibly an unfinished bar after
    them.
    """

    first: int
    end: int
    beyond: Columns | None = None


class BarCache(NamedTuple):
    """The series that was returned last, and a key that shows whether it is still valid.

    `past` counts the bars that were added at the front.
    """

    span: BarSpan
    past: int
    steps: Sequence[PriceStep]
    series: Series


class EngineBars:
    """Implements the bars port on an engine's market. It never fetches, waits or fails.

    `days` is the source of a market of daily bars.
    """

    def __init__(self, floor: EngineState, days: DailyBars | None = None) -> None:
        self._market: Market = floor.market
        self._days = days
        self._lines: dict[tuple[str, str], BarColumn] = {}
        self._steps: dict[str, PriceSteps] = {}
        self._kept: dict[tuple[str, str, int, bool], BarCache] = {}

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        """Return the last `need.depth` bars of each symbol that were complete at `until`, oldest first."""
        until_us, by_symbol = from_datetime(until), dict[str, Series]()
        for symbol in symbols:
            series = self._series(need, symbol, until, until_us)
            if series is not None:
                by_symbol[symbol] = series
        return by_symbol

    def _series(self, need: BarNeed, symbol: str, until: datetime, until_us: int) -> Series | None:
        line = self._line(symbol, need.timeframe)
        span = self._span(need, symbol, line, until, until_us)
        if span is None or (span.first >= span.end and span.beyond is None):
            return None
        steps = self._steps_of(symbol).at(until_us) if need.adjusted else ()
        key = (symbol, need.timeframe, need.depth, need.adjusted)
        bar_span = self._kept.get(key)
        if bar_span is not None and bar_span.span == span and bar_span.steps is steps and bar_span.past == line.past:
            return bar_span.series
        series = _series_of(need, symbol, _cut(line.columns, span), steps)
        self._kept[key] = BarCache(span, line.past, steps, series)
        return series

    def _line(self, symbol: str, timeframe: str) -> BarColumn:
        line = self._lines.get((symbol, timeframe))
        if line is None:
            line = self._lines[symbol, timeframe] = self._new_line(symbol, width_of(timeframe))
        return line

    def _new_line(self, symbol: str, width: timedelta | None) -> BarColumn:
        if width is not None:
            return Intraday(self._market, symbol, width)
        return Daily(self._market, symbol) if self._days is None else WholeDays(self._market, symbol, self._days)

    def _steps_of(self, symbol: str) -> PriceSteps:
        steps = self._steps.get(symbol)
        if steps is None:
            steps = self._steps[symbol] = PriceSteps(self._market, symbol, partial(self._line, symbol, DAYS))
        return steps

    def _span(self, need: BarNeed, symbol: str, line: BarColumn, until: datetime, until_us: int) -> BarSpan | None:
        """Return the range of a column's last bars at a time; None if the symbol doesn't exist then."""
        end, beyond = line.reach(until_us), line.unfinished_bar(until_us)
        if end < need.depth:
            end = line.go_back(need.depth, until_us)
        starts = line.columns.starts
        lowest = 0
        if symbol not in self._market.known:
            listed = listing(self._market, symbol, until_us)
            if listed is None:
                return None
            end = min(end, bisect_right(starts, listed.until_us // SECOND))
            lowest = bisect_left(starts, -(-listed.from_us // SECOND))
            beyond = beyond if listed.until_us >= until_us else None
        first = max(end + (beyond is not None) - need.depth, lowest)
        if first < end and starts[first] * SECOND < until_us - _sure_us(need.timeframe, need.depth):
            window = window_of(need, until, REACHES[-1], self._sessions, ALPACA.day)
            first = end if window is None else max(first, bisect_left(starts, window.first_s))
        return BarSpan(first, end, beyond)

    def _sessions(self, first: date, last: date) -> Sequence[Session]:
        """Return the sessions between two dates, inclusive, oldest first."""
        days = self._market.calendar.all
        low, high = bisect_left(days, first.isoformat(), key=_DATE), bisect_right(days, last.isoformat(), key=_DATE)
        return [session_of(session) for session in days[low:high]]


@lru_cache(maxsize=1_024)
def _sure_us(timeframe: str, depth: int) -> int:
    """Return a time span, in microseconds, that every window of the bot's store covers; the exact one takes longer to
    compute.
    """
    width = width_of(timeframe)
    if width is None:
        return depth * 3 * DAY // 2
    # Subtract an hour, because clocks may have changed since the window's first session.
    return ceil(depth / ceil(ALPACA.day.lasts / width)) * DAY - HOUR


def _cut(columns: Columns, span: BarSpan) -> Columns:
    cut = columns.cut(span.first, span.end)
    if span.beyond is not None:
        cut.extend(span.beyond)
    return cut


def _series_of(need: BarNeed, symbol: str, bars: Columns, steps: Sequence[PriceStep]) -> Series:
    if steps and steps[-1].at_s > bars.starts[0]:
        adjust(bars, steps)
    return Series(
        symbol, need.timeframe, need.adjusted, bars.starts, bars.open, bars.high, bars.low, bars.close, bars.volume
    )


def adjust(bars: Columns, steps: Sequence[PriceStep]) -> None:
    """Multiply bars by the factors of all later adjustments, in the same order as the bot's store."""
    price, volume, end = 1.0, 1.0, len(bars.starts)
    for step in reversed(steps):
        first = bisect_left(bars.starts, step.at_s, 0, end)
        bars.scale(first, end, price, volume)
        price, volume, end = price * step.price, volume * step.volume, first
        if not end:
            return
    bars.scale(0, end, price, volume)
