"""Fetch bars from the charts of Kraken Futures: those of a perpetual's trades, of its mark price, or of the coin's spot
price.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial

from tradebot.adapters.bars.store import CorporateAction
from tradebot.adapters.wire.json_fields import DriftTally, JsonFields, RowError, keep_readable
from tradebot.auditing.bar_findings import RawBar
from tradebot.errors import ExitCode, OperatorError, TemporaryError
from tradebot.model.series import PriceKind, width_of
from tradebot.venues.kraken.client import Client, KrakenVenue
from tradebot.venues.kraken.reader import symbol_path
from tradebot.venues.kraken.rows import moment

RESOLUTIONS = {
    "1Min": "1m",
    "5Min": "5m",
    "15Min": "15m",
    "30Min": "30m",
    "1Hour": "1h",
    "4Hour": "4h",
    "12Hour": "12h",
    "1Day": "1d",
}
"""The venue's names of timeframes."""
MOST_PAGES = 1_000


class KrakenBars:
    """A source of Kraken Futures' bars; a bar is available as soon as it has ended."""

    name, delay = "kraken_futures", timedelta(0)
    timeframes = frozenset(RESOLUTIONS)

    def __init__(self, venue: KrakenVenue, tally: DriftTally) -> None:
        self._client, self._tally = Client(venue), tally
        self.refused_symbols: frozenset[str] = frozenset()

    def pages(
        self,
        symbols: Sequence[str],
        timeframe: str,
        first: datetime,
        last: datetime,
        price: PriceKind = PriceKind.TRADE,
    ) -> Iterator[Mapping[str, Sequence[RawBar]]]:
        """Yield the bars of each symbol, page by page, because the venue truncates long replies."""
        self.refused_symbols, width_s = frozenset(), int((width_of(timeframe) or timedelta(days=1)).total_seconds())
        for symbol in symbols:
            path = f"/api/charts/v1/{price}/{symbol_path(symbol)}/{RESOLUTIONS[timeframe]}"
            start, end = int(first.timestamp()), int(last.timestamp())
            for _ in range(MOST_PAGES):
                try:
                    answer = self._client.read(path, **{"from": str(start), "to": str(end)})
                except OperatorError as error:
                    if error.code is ExitCode.AUTHENTICATION:
                        raise
                    self.refused_symbols |= {symbol}
                    break
                candles = answer.get("candles")
                if not isinstance(candles, list):
                    raise TemporaryError(f"the chart of {symbol} has no list")
                bars = keep_readable("bar", candles, partial(_bar, width_s, tally=self._tally), self._tally)
                yield {symbol: [bar for bar in bars if start <= bar.start_s <= end]}
                if answer.get("more_candles") is not True:
                    break
                newest = max((bar.start_s for bar in bars), default=start - 1)
                if newest < start:
                    raise TemporaryError(f"the chart of {symbol} repeats a page")
                start = newest + 1
            else:
                raise TemporaryError(f"the chart of {symbol} has more than {MOST_PAGES} pages")

    def actions(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[CorporateAction]]:
        """Return nothing: perpetuals have no splits and no dividends."""
        return dict.fromkeys(symbols, ())


def _bar(width_s: int, raw: object, tally: DriftTally) -> RawBar:
    row = JsonFields("bar", raw, tally)
    opening, high, low, close = (float(row.positive(name)) for name in ("open", "high", "low", "close"))
    if not low <= min(opening, close) <= max(opening, close) <= high:
        raise RowError("high", "and low don't contain open and close")
    start_s = int(moment(row, "time").timestamp())
    if start_s % width_s:
        raise RowError("time", "isn't the start of a bar of this timeframe")
    return RawBar(start_s, opening, high, low, close, float(row.number("volume")))
