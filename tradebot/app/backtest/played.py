"""The bars of a backtest at another venue than the usual one, made again from its market for whoever looks at them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tradebot.adapters.bars.making import merged, series
from tradebot.app.backtest.translating import session_of
from tradebot.auditing.bar_findings import RawBar
from tradebot.exchange.market.instruments import Grid
from tradebot.exchange.times import SECOND
from tradebot.model.series import Series, width_of

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
