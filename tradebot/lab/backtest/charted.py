"""Read bars from the charts of an exchange in this process: those that the venue's adapter would read, at less cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

from papervenue.faces.kraken import charts
from papervenue.faces.kraken.charts import Candle, Charts
from papervenue.times import SECOND, from_datetime
from tradebot.adapters.bars.source import CorporateAction
from tradebot.auditing.bar_findings import RawBar
from tradebot.model.series import PriceKind
from tradebot.venues.kraken.bars import RESOLUTIONS


class ChartedBars:
    """A source of bars whose charts go back as far as the market does; one is there as soon as it has ended."""

    name, delay = "kraken_futures", timedelta(0)
    timeframes, refused = frozenset(RESOLUTIONS), frozenset[str]()

    def __init__(self, of: Charts) -> None:
        self._charts = of

    def pages(
        self,
        symbols: Sequence[str],
        timeframe: str,
        first: datetime,
        last: datetime,
        price: PriceKind = PriceKind.TRADE,
    ) -> Iterator[Mapping[str, Sequence[RawBar]]]:
        """Yield the bars of each symbol that begin in a span, one symbol after the other."""
        span_us = charts.RESOLUTIONS[RESOLUTIONS[timeframe]]
        for symbol in symbols:
            found = self._charts.between(symbol, price.value, span_us, from_datetime(first), from_datetime(last))
            yield {symbol: list(map(_bar, found))}

    def actions(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[CorporateAction]]:
        """Return nothing: perpetuals have no splits and no dividends."""
        return dict.fromkeys(symbols, ())


def _bar(of: Candle) -> RawBar:
    opening, high, low, close = map(float, (of.open, of.high, of.low, of.close))
    return RawBar(of.start_us // SECOND, opening, high, low, close, float(of.volume))
