"""The bars of a backtest at another venue than the usual one, made again from its market for whoever looks at them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from tradebot.adapters.bars.making import merged, series
from tradebot.app.backtest.translating import session_of
from tradebot.auditing.bar_findings import RawBar
from tradebot.exchange.market.generator import GeneratedBars
from tradebot.exchange.market.instruments import Grid
from tradebot.exchange.times import SECOND
from tradebot.model.series import Series, width_of
from tradebot.views.performance.curve import Benchmark

if TYPE_CHECKING:
    from datetime import datetime

    from tradebot.app.backtest.market import OpenedMarket
    from tradebot.model.view import BarNeed


class PlayedBars:
    """The port to bars of trades in the sessions that were played; of the time before, there are none.

    What was traded there has no splits and no dividends, so adjusted bars are the same.
    """

    def __init__(self, opened: OpenedMarket) -> None:
        self._source = opened.source
        self._hours = [session_of(session) for session in opened.calendar.market]
        self._grids = {instrument.symbol: Grid(instrument) for instrument in opened.spec.venue.instruments}

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        """Return the last `need.depth` bars of each symbol that were complete at `until`, oldest first."""
        width, end_s = width_of(need.timeframe), int(until.timestamp())
        width_s = max(int((width or one.close - one.open).total_seconds()) for one in self._hours)
        found = {}
        for symbol in self._grids.keys() & set(symbols):
            minutes = list(self._minutes(symbol, until))
            bars = list(merged(minutes, self._hours, width_s, end_s))[-need.depth :]
            if bars:
                found[symbol] = series(symbol, need.timeframe, bars, adjusted=need.adjusted)
        return found

    def _minutes(self, symbol: str, until: datetime) -> Iterator[RawBar]:
        usd, begun = self._grids[symbol].usd, [place for place, one in enumerate(self._hours) if one.open < until]
        for place in begun:
            for bar in self._source.bars(symbol, place):
                opening, high, low, close = (float(usd(units)) for units in (bar.open, bar.high, bar.low, bar.close))
                yield RawBar(bar.start_us // SECOND, opening, high, low, close, float(bar.volume))


def daily_prices(opened: OpenedMarket, until: datetime, symbols: Sequence[str]) -> Mapping[str, Benchmark]:
    """Return the opens and closes of these symbols in the sessions that had ended by then, without their minutes.

    Around the clock, a session opens at the close of the one before.
    """
    source, found = opened.source, {}
    assert isinstance(source, GeneratedBars), "a venue of its own has a generated market"
    ended = [place for place, one in enumerate(opened.calendar.market) if session_of(one).close <= until]
    days = [session_of(opened.calendar.market[place]).date for place in ended]
    for instrument in opened.spec.venue.instruments:
        symbol, usd = instrument.symbol, Grid(instrument).usd
        begins = source.history_close(symbol, 1)
        if symbol in symbols and begins is not None:
            closes = [float(usd(source.close(symbol, place))) for place in ended]
            opens = [float(usd(begins)), *closes]
            of_closes, of_opens = (dict(zip(days, each, strict=False)) for each in (closes, opens))
            found[symbol] = Benchmark(symbol, of_closes, of_opens)
    return found


def last_prices(opened: OpenedMarket, until: datetime) -> Mapping[str, Decimal]:
    """Return the last closes of all symbols by then; none before the first session has ended."""
    prices = daily_prices(opened, until, opened.symbols)
    return {symbol: Decimal(str(each.closes[max(each.closes)])) for symbol, each in prices.items() if each.closes}
