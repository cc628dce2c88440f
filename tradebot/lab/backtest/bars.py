"""Closed bars straight from the engine's market: what the bot's own store of bars would return at that moment.

Each symbol's bars of a timeframe are kept as plain arrays that only grow by what is complete. A request copies the
bars that it needs and nothing else.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache, partial
from math import ceil
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from papervenue.faces.data.rows import listing
from papervenue.market import actions as words
from papervenue.times import DAY, HOUR, SECOND, at_new_york, from_datetime
from tradebot.adapters.bars.resampling import steps_of
from tradebot.adapters.bars.source import DIVIDEND, SPLIT, CorporateAction
from tradebot.adapters.bars.store import PriceStep
from tradebot.adapters.bars.window import REACHES, window_of
from tradebot.auditing.bar_findings import RawBar
from tradebot.lab.backtest.bar_columns import Columns, Daily, Intraday, Line, WholeDays
from tradebot.lab.backtest.engine_conversion import session_of
from tradebot.model.series import DAY as DAYS
from tradebot.model.series import Series, width_of
from tradebot.venues.alpaca.capabilities import ALPACA

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from papervenue.engine.engine_state import Floor
    from papervenue.market.actions import Action
    from papervenue.market.bars import Market
    from papervenue.market.daily import DailyBars
    from tradebot.model.bar import Session
    from tradebot.model.view import BarNeed


_MOST_NAMES = 3
"""How many earlier names of a company are followed."""
_NEVER = 2**62


class Steps:
    """A symbol's price steps. They are computed again only when another of its actions comes into force."""

    def __init__(self, market: Market, symbol: str, days: Callable[[], Line]) -> None:
        self._actions = sorted(market.actions.of(symbol), key=_in_force_us)
        self._turns_us = [_in_force_us(action) for action in self._actions]
        self._symbol = symbol
        self._days = days
        self._valid = (0, 0)
        self._steps: Sequence[PriceStep] = ()
        self._known: dict[CorporateAction, Sequence[PriceStep]] = {}

    def at(self, until_us: int) -> Sequence[PriceStep]:
        """Return the steps in force at a moment, oldest first; the same object as before if they are the same."""
        from_us, to_us = self._valid
        if not from_us <= until_us < to_us:
            self._renew(until_us)
        return self._steps

    def _renew(self, until_us: int) -> None:
        turns, count = self._turns_us, bisect_right(self._turns_us, until_us)
        self._valid = turns[count - 1] if count else -_NEVER, turns[count] if count < len(turns) else _NEVER
        actions = sorted(map(_translated, self._own(self._actions[:count])))
        self._steps = [step for action in actions for step in self._step(action)]

    def _own(self, in_force: Sequence[Action]) -> Iterator[Action]:
        """Yield the splits and dividends in force under the symbol and under the company's earlier names."""
        names = {self._symbol}
        for _ in range(_MOST_NAMES):
            names |= {one.symbol for one in in_force if one.kind == words.NAME_CHANGE and one.new_symbol in names}
        return (one for one in in_force if one.symbol in names and one.kind in (words.DIVIDEND, *words.SPLITS))

    def _step(self, action: CorporateAction) -> Sequence[PriceStep]:
        """Return the step of an action; none for a dividend without a close before it, or not below that."""
        if action not in self._known:
            self._known[action] = steps_of([action], self._day_before(action.ex_date), ALPACA.day)
        return self._known[action]

    def _day_before(self, day: date) -> list[RawBar]:
        line, columns = self._days(), self._days().columns
        count = line.reach(at_new_york(day.isoformat(), 0))
        if not count:
            return []
        close = columns.close[count - 1]
        return [RawBar(columns.starts[count - 1], close, close, close, close, 0.0)]


def _in_force_us(action: Action) -> int:
    """Return from when on bars are adjusted for an action: the start of its ex-date, if it is known by then."""
    return max(at_new_york(action.ex_date, 0), action.declared_us)


def _translated(action: Action) -> CorporateAction:
    """Return an action as it is read from the API, which tells rates as floating-point numbers."""
    ex_date = date.fromisoformat(action.ex_date)
    if action.kind == words.DIVIDEND:
        return CorporateAction(ex_date, DIVIDEND, float(action.rate))
    new, old = (Decimal(repr(float(rate))) for rate in (action.new_rate, action.old_rate))
    return CorporateAction(ex_date, SPLIT, float(new / old))


_DATE = attrgetter("date")


class Span(NamedTuple):
    """Which bars of a line are meant: the first place and the one after the last, and perhaps a bar beyond them."""

    first: int
    end: int
    beyond: Columns | None = None


class Kept(NamedTuple):
    """The series that was returned last, with what it was made of; the `past` of a line moves its places."""

    span: Span
    past: int
    steps: Sequence[PriceStep]
    series: Series


class EngineBars:
    """The port to bars on an engine's market. It never fetches, waits or fails.

    `days` is the source of a market of daily bars.
    """

    def __init__(self, floor: Floor, days: DailyBars | None = None) -> None:
        self._market: Market = floor.market
        self._days = days
        self._lines: dict[tuple[str, str], Line] = {}
        self._steps: dict[str, Steps] = {}
        self._kept: dict[tuple[str, str, int, bool], Kept] = {}

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        """Return the last `need.depth` bars of each symbol that were complete at `until`, oldest first."""
        until_us, found = from_datetime(until), dict[str, Series]()
        for symbol in symbols:
            series = self._series(need, symbol, until, until_us)
            if series is not None:
                found[symbol] = series
        return found

    def _series(self, need: BarNeed, symbol: str, until: datetime, until_us: int) -> Series | None:
        line = self._line(symbol, need.timeframe)
        span = self._span(need, symbol, line, until, until_us)
        if span is None or (span.first >= span.end and span.beyond is None):
            return None
        steps = self._steps_of(symbol).at(until_us) if need.adjusted else ()
        key = (symbol, need.timeframe, need.depth, need.adjusted)
        kept = self._kept.get(key)
        if kept is not None and kept.span == span and kept.steps is steps and kept.past == line.past:
            return kept.series
        series = _series_of(need, symbol, _cut(line.columns, span), steps)
        self._kept[key] = Kept(span, line.past, steps, series)
        return series

    def _line(self, symbol: str, timeframe: str) -> Line:
        line = self._lines.get((symbol, timeframe))
        if line is None:
            line = self._lines[symbol, timeframe] = self._new_line(symbol, width_of(timeframe))
        return line

    def _new_line(self, symbol: str, width: timedelta | None) -> Line:
        if width is not None:
            return Intraday(self._market, symbol, width)
        return Daily(self._market, symbol) if self._days is None else WholeDays(self._market, symbol, self._days)

    def _steps_of(self, symbol: str) -> Steps:
        steps = self._steps.get(symbol)
        if steps is None:
            steps = self._steps[symbol] = Steps(self._market, symbol, partial(self._line, symbol, DAYS))
        return steps

    def _span(self, need: BarNeed, symbol: str, line: Line, until: datetime, until_us: int) -> Span | None:
        """Return which bars of a line are the last ones at a moment, or None if the symbol means nothing then."""
        end, beyond = line.reach(until_us), line.unfinished(until_us)
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
        return Span(first, end, beyond)

    def _sessions(self, first: date, last: date) -> Sequence[Session]:
        """Return the sessions between two dates, inclusive, oldest first."""
        known = self._market.calendar.all
        low, high = bisect_left(known, first.isoformat(), key=_DATE), bisect_right(known, last.isoformat(), key=_DATE)
        return [session_of(session) for session in known[low:high]]


@lru_cache(maxsize=1_024)
def _sure_us(timeframe: str, depth: int) -> int:
    """Return how far back every window of the bot's store surely reaches; it takes longer to say how far exactly."""
    width = width_of(timeframe)
    if width is None:
        return depth * 3 * DAY // 2
    # An hour less, because clocks may have changed since the window's first session.
    return ceil(depth / ceil(ALPACA.day.lasts / width)) * DAY - HOUR


def _cut(columns: Columns, span: Span) -> Columns:
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
    """Multiply bars by the factors of the steps after each of them, in the order in which the bot's store does."""
    price, volume, end = 1.0, 1.0, len(bars.starts)
    for step in reversed(steps):
        first = bisect_left(bars.starts, step.at_s, 0, end)
        bars.scale(first, end, price, volume)
        price, volume, end = price * step.price, volume * step.volume, first
        if not end:
            return
    bars.scale(0, end, price, volume)
