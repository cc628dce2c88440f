"""Fetch bars of trades from the venue's history; a bar that isn't over is left out."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tradebot.adapters.bars.store import CorporateAction
from tradebot.adapters.wire.http import printable
from tradebot.adapters.wire.json_fields import DriftTally, RowError
from tradebot.auditing.bar_findings import RawBar
from tradebot.errors import TemporaryError
from tradebot.model.series import PriceKind, width_of
from tradebot.venues.ibkr.capabilities import HISTORY_ERROR, IBKR, NO_BARS, WITHOUT_BARS
from tradebot.venues.ibkr.link import IbkrConnection
from tradebot.venues.ibkr.prices import contract_with_bars
from tradebot.venues.ibkr.venue import IbkrVenue
from tradebot.venues.ibkr.wrapper import VenueError

SIZES: Mapping[str, tuple[str, timedelta]] = {
    "1Min": ("1 min", timedelta(days=1)),
    "5Min": ("5 mins", timedelta(days=5)),
    "15Min": ("15 mins", timedelta(days=10)),
    "30Min": ("30 mins", timedelta(days=20)),
    "1Hour": ("1 hour", timedelta(days=30)),
    "1Day": ("1 day", timedelta(days=300)),
}
"""What the venue calls its timeframes, and for how long one question may ask."""


class IbkrBars:
    """A source of bars; one is there as soon as it has ended."""

    name, delay = "ibkr", timedelta(0)
    timeframes = frozenset(SIZES)

    def __init__(self, venue: IbkrVenue, tally: DriftTally) -> None:
        self._venue, self._tally = venue, tally
        self.refused: frozenset[str] = frozenset()

    def pages(
        self,
        symbols: Sequence[str],
        timeframe: str,
        first: datetime,
        last: datetime,
        price: PriceKind = PriceKind.TRADE,
    ) -> Iterator[Mapping[str, Sequence[RawBar]]]:
        """Yield the bars of each symbol, page by page."""
        self.refused, width = frozenset(), width_of(timeframe) or timedelta(days=1)
        now = datetime.fromtimestamp(self._venue.link.read(lambda line: line.time()), UTC)
        # A day is over with its session, some hours after midnight.
        lasts_s = (IBKR.day.opens + IBKR.day.lasts if timeframe == "1Day" else width).total_seconds()
        for symbol in symbols:
            start, until = first, min(last + width, now)
            while start < until:
                end = min(start + SIZES[timeframe][1], until)
                rows = self._page(symbol, timeframe, start, end)
                if rows is None:
                    self.refused |= {symbol}
                    break
                bars = [bar for bar in self._readable(rows) if first.timestamp() <= bar.start_s <= last.timestamp()]
                inside = [bar for bar in bars if start.timestamp() <= bar.start_s < end.timestamp()]
                yield {symbol: [bar for bar in inside if bar.start_s + lasts_s <= now.timestamp()]}
                start = end

    def _page(self, symbol: str, timeframe: str, start: datetime, end: datetime) -> list[Any] | None:
        """Return the rows of a span; None if there is no such contract."""

        async def ask(line: IbkrConnection) -> list[Any] | None:
            contract = await contract_with_bars(line, symbol)
            if contract is None:
                return None
            size, span = SIZES[timeframe][0], end - start
            lasts = f"{span.days + 1} D" if span >= timedelta(days=1) else f"{max(int(span.total_seconds()), 60)} S"
            try:
                return await line.numbered(
                    lambda number: line.client.reqHistoricalData(
                        number, contract, f"{end:%Y%m%d-%H:%M:%S}", lasts, size, "TRADES", 0, 2, False, []
                    )
                )
            except VenueError as error:
                if error.code != HISTORY_ERROR:
                    raise
                if NO_BARS in error.words.lower():
                    return []
                told = printable(error.words)
                hint = next((what for words, what in WITHOUT_BARS.items() if words in told.lower()), "")
                raise TemporaryError(f"{IBKR.title} tells no bars of {symbol}: {told}", hint) from error

        self._venue.before_read()
        return self._venue.link.read(ask)

    def _readable(self, rows: Sequence[Any]) -> Iterator[RawBar]:
        for row in rows:
            try:
                yield _bar(row)
            except RowError as error:
                self._tally.note("bar", error.field_name, f"row refused: {error.problem}")

    def actions(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[CorporateAction]]:
        """Return nothing: futures have no splits and no dividends."""
        return dict.fromkeys(symbols, ())


def _bar(row: Any) -> RawBar:
    text = str(row.date)
    try:
        start = IBKR.day.begins_s(datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()) if len(text) == 8 else 0
        start_s = start or int(text)
    except ValueError as error:
        raise RowError("date", "is no moment") from error
    opening, high, low, close = (float(one) for one in (row.open, row.high, row.low, row.close))
    if not 0 < low <= min(opening, close) <= max(opening, close) <= high:
        raise RowError("high", "or low doesn't hold the open and the close")
    return RawBar(start_s, opening, high, low, close, max(float(row.volume), 0.0))
