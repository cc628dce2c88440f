"""The bars of a backtest at another venue than the usual one, made again from its market for whoever looks at them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from papervenue.market.source import QuickCloses
from papervenue.times import SECOND
from tradebot.adapters.bars.making import merged, series
from tradebot.auditing.bar_findings import RawBar
from tradebot.lab.backtest.translating import session_of
from tradebot.lab.performance.curve import Benchmark
from tradebot.model.series import Series, width_of

if TYPE_CHECKING:
    from datetime import date, datetime

    from tradebot.lab.backtest.market import OpenedMarket
    from tradebot.model.bar import Session
    from tradebot.model.view import BarNeed


class PlayedBars:
    """The port to bars of trades in the sessions that were played; of the time before, there are none.

    What was traded there has no splits and no dividends, so adjusted bars are the same.
    """

    def __init__(self, opened: OpenedMarket) -> None:
        self._market = opened.market()
        self._grids = opened.grids

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        """Return the last `need.depth` bars of each symbol that were complete at `until`, oldest first."""
        width, end_s = width_of(need.timeframe), int(until.timestamp())
        found = {}
        for symbol in self._grids.keys() & set(symbols):
            hours = [session_of(session) for session in self._market.calendars[symbol].market]
            width_s = max(int((width or one.close - one.open).total_seconds()) for one in hours)
            minutes = list(self._minutes(symbol, hours, until))
            bars = list(merged(minutes, hours, width_s, end_s))[-need.depth :]
            if bars:
                found[symbol] = series(symbol, need.timeframe, bars, adjusted=need.adjusted)
        return found

    def _minutes(self, symbol: str, hours: Sequence[Session], until: datetime) -> Iterator[RawBar]:
        usd, begun = self._grids[symbol].usd, [place for place, one in enumerate(hours) if one.open < until]
        for place in begun:
            for bar in self._market.day(symbol, place).bars:
                opening, high, low, close = (float(usd(units)) for units in (bar.open, bar.high, bar.low, bar.close))
                yield RawBar(bar.start_us // SECOND, opening, high, low, close, float(bar.volume))


def daily_prices(opened: OpenedMarket, until: datetime, symbols: Sequence[str]) -> Mapping[str, Benchmark]:
    """Return the opens and closes of these symbols in the sessions that had ended by then.

    Around the clock, a session opens at the close of the one before.
    """
    found = {}
    for symbol in (one for one in opened.grids if one in symbols):
        usd, begins = opened.grids[symbol].usd, opened.source.history_close(symbol, 1)
        closes = {day: float(usd(units)) for day, units in _closes(opened, symbol, _ended(opened, symbol, until))}
        opens = [*closes.values()] if begins is None else [float(usd(begins)), *closes.values()]
        if opens:
            found[symbol] = Benchmark(symbol, closes, dict(zip(closes, opens, strict=False)))
    return found


def _closes(opened: OpenedMarket, symbol: str, places: Iterable[int]) -> Iterator[tuple[date, int]]:
    """Yield the date and the close of each of these sessions of a symbol that has one, in units."""
    source, market = opened.source, opened.market()
    sessions, last_us = market.calendars[symbol].market, market.grids[symbol].last_us
    for place in places:
        session = sessions[place]
        if last_us is not None and session.open_us >= last_us:
            continue
        if isinstance(source, QuickCloses) and (last_us is None or session.close_us <= last_us):
            # The minutes of a generated session take long to make.
            yield session_of(session).date, source.close(symbol, place)
        elif bars := market.day(symbol, place).bars:
            yield session_of(session).date, bars[-1].close


def _ended(opened: OpenedMarket, symbol: str, until: datetime) -> range:
    """Return the places of a symbol's sessions that had ended by then."""
    return range(sum(session_of(one).close <= until for one in opened.calendar_of(symbol).market))


def last_prices(opened: OpenedMarket, until: datetime) -> Mapping[str, Decimal]:
    """Return the last closes of all symbols by then; none before the first session has ended."""
    found = {}
    for symbol, grid in opened.grids.items():
        last = next(_closes(opened, symbol, reversed(_ended(opened, symbol, until))), None)
        if last is not None:
            found[symbol] = Decimal(str(float(grid.usd(last[1]))))
    return found
