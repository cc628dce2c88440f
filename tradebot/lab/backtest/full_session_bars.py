"""Give features of whole sessions access to later bars of a backtest's market, looked up by time.

Only intraday bars of trades are available in advance. They equal the bars that the backtest's venue serves later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from papervenue.times import DAY, SECOND, from_datetime
from tradebot.adapters.bars.read_through import StoredBars
from tradebot.adapters.memory.bars import MemoryBars
from tradebot.auditing.bar_findings import RawBar
from tradebot.model.series import DAY as DAYS
from tradebot.model.series import WIDTHS, PriceKind, Series

if TYPE_CHECKING:
    from papervenue.market.bars import Bar, Market
    from tradebot.adapters.bars.store import CorporateAction
    from tradebot.model.bar import Session
    from tradebot.model.venue_day import VenueDay
    from tradebot.model.view import BarNeed
    from tradebot.ports.stores import Bars, Features
    from tradebot.ports.world import World

MICROSECOND = timedelta(microseconds=1)


def features_ahead(bars: Bars, world: World) -> Features:
    """Return a calculator of features for whole sessions, from bars that include the remainder of a session."""
    from tradebot.desk.features import BarFeatures

    return BarFeatures(bars, world.ledger.sessions, world.venue.day, whole=True)


class ForeseenBars:
    """Bars that include the remainder of a session; `told` are the venue's, used for daily bars."""

    def __init__(
        self, market: Market, told: Bars, sessions: Callable[[date, date], Sequence[Session]], day: VenueDay
    ) -> None:
        self._told = told
        self._ahead = StoredBars(MemoryBars, lambda: _Ahead(market), sessions, day, final=True)

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        """Return the last `need.depth` bars of each symbol that are complete at `until`, which may be in the future."""
        return (self._told if need.timeframe == DAYS else self._ahead).closed(need, symbols, until)


class _Ahead:
    """A source of all bars of a market, whatever the time."""

    name, delay = "market", timedelta(0)
    timeframes, refused_symbols = frozenset(WIDTHS), frozenset[str]()

    def __init__(self, market: Market) -> None:
        self._market = market

    def pages(
        self,
        symbols: Sequence[str],
        timeframe: str,
        first: datetime,
        last: datetime,
        price: PriceKind = PriceKind.TRADE,
    ) -> Iterator[Mapping[str, Sequence[RawBar]]]:
        """Yield the bars of each symbol that begin in a span, one symbol after the other."""
        assert price is PriceKind.TRADE, "only bars of trades are foreseen"
        span_us, first_us, last_us = WIDTHS[timeframe] // MICROSECOND, from_datetime(first), from_datetime(last)
        for symbol in symbols:
            if symbol in self._market.grids:
                parts = self._parts(symbol, span_us, first_us, last_us + span_us)
                made = groupby(parts, lambda bar: bar.start_us // span_us * span_us)
                bars = (self._bar(symbol, start_us // SECOND, of) for start_us, of in made)
                yield {symbol: [bar for bar in bars if first_us <= bar.start_s * SECOND <= last_us]}

    def _parts(self, symbol: str, span_us: int, first_us: int, end_us: int) -> Iterator[Bar]:
        calendar = self._market.calendars[symbol]
        for place, session in enumerate(calendar.played):
            if session.close_us <= first_us or session.open_us >= end_us:
                continue
            index = place - calendar.first
            if index < 0 and calendar.contiguous:
                yield from self._market.past_candles(symbol, index, min(span_us, DAY), wicks=True)
            elif index >= -self._market.past_minutes:
                yield from self._market.day(symbol, index).bars

    def _bar(self, symbol: str, start_s: int, parts: Iterator[Bar]) -> RawBar:
        bars, usd = list(parts), self._market.grids[symbol].usd
        prices = bars[0].open, max(bar.high for bar in bars), min(bar.low for bar in bars), bars[-1].close
        opening, high, low, close = (float(usd(units)) for units in prices)
        return RawBar(start_s, opening, high, low, close, float(sum(bar.volume for bar in bars)))

    def actions(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[CorporateAction]]:
        """Return nothing: what is traded there has no splits and no dividends."""
        return dict.fromkeys(symbols, ())
