"""Draw candles of trades, of the mark and of the index, from a minute to a week, out of the market's minutes.

The candle of a span that isn't over yet holds the minutes that are, as the venue shows it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import groupby
from types import MappingProxyType
from typing import Any

from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.faces.kraken.words import encoded, error, milliseconds
from tradebot.exchange.faces.web import Call, Reply
from tradebot.exchange.jsontext import plain
from tradebot.exchange.market.bars import Bar
from tradebot.exchange.market.sessions import Calendar
from tradebot.exchange.times import DAY, HOUR, MINUTE, SECOND

MOST_CANDLES = 2_000
RESOLUTIONS: Mapping[str, int] = MappingProxyType(
    {
        "1m": MINUTE,
        "5m": 5 * MINUTE,
        "15m": 15 * MINUTE,
        "30m": 30 * MINUTE,
        "1h": HOUR,
        "4h": 4 * HOUR,
        "12h": 12 * HOUR,
        "1d": DAY,
        "1w": 7 * DAY,
    }
)
_MONDAY = 4 * DAY
"""Weeks begin on Mondays, and time on a Thursday."""
TRADE, MARK, SPOT = "trade", "mark", "spot"


class Charts:
    """Answers requests for candles."""

    def __init__(self, engine: Engine, index: Callable[[str, int], Decimal]) -> None:
        self._engine = engine
        self._index = index

    def candles(self, call: Call) -> Reply:
        """Return the candles that begin in a span, oldest first; without a beginning, the newest ones."""
        market, now_us = self._engine.market, self._engine.now_us
        kind, symbol, span_us = call.names["kind"], call.names["symbol"].upper(), RESOLUTIONS.get(call.names["span"])
        if kind not in (TRADE, MARK, SPOT) or symbol not in market.known or span_us is None:
            raise error(now_us, "invalidArgument")
        try:
            first, last = (int(call.query[name]) if call.query.get(name) else None for name in ("from", "to"))
        except ValueError:
            raise error(now_us, "invalidArgument") from None
        until_us = now_us if last is None else min(now_us, last * SECOND)
        since_us = until_us - MOST_CANDLES * span_us if first is None else first * SECOND
        begin_us, end_us = _begin(since_us + span_us - 1, span_us), _begin(until_us, span_us) + span_us
        bars = self._bars(symbol, begin_us, end_us, whole=kind == TRADE and span_us >= DAY)
        # As many as fit, and one more to know whether there are more.
        made: list[Any] = []
        for start_us, of_candle in groupby(bars, key=lambda bar: _begin(bar.start_us, span_us)):
            if len(made) == MOST_CANDLES:
                return self._answer(made, more=True)
            made.append(self._candle(symbol, kind, start_us, of_candle))
        return self._answer(made, more=False)

    def _answer(self, candles: list[Any], *, more: bool) -> Reply:
        return Reply(200, encoded({"candles": candles, "more_candles": more}))

    def _bars(self, symbol: str, first_us: int, until_us: int, *, whole: bool) -> Iterator[Bar]:
        """Yield the complete minutes that begin in a span, or whole days of the past, which are cheaper to have."""
        market, now_us = self._engine.market, self._engine.now_us
        calendar = market.calendars[symbol]
        for index in _sessions(calendar, first_us, min(until_us, now_us)):
            past = market.history_day(symbol, -index) if whole and index < 0 else None
            if past is not None:
                yield past
            if past is not None or index < -market.past_minutes:
                continue
            day = market.day(symbol, index)
            starts = bisect_left(day.bars, first_us, key=lambda bar: bar.start_us)
            ends = bisect_left(day.bars, until_us, key=lambda bar: bar.start_us)
            yield from day.bars[starts : min(ends, day.complete(now_us))]

    def _candle(self, symbol: str, kind: str, start_us: int, bars: Iterable[Bar]) -> dict[str, Any]:
        held = list(bars)
        if kind != TRADE:
            # The mark knows nothing of a minute's extremes.
            held = [bar._replace(high=max(bar.open, bar.close), low=min(bar.open, bar.close)) for bar in held]
        prices = {
            "open": held[0].open,
            "high": max(bar.high for bar in held),
            "low": min(bar.low for bar in held),
            "close": held[-1].close,
        }
        usd = self._engine.market.grids[symbol].usd
        shown = {name: self._index(symbol, units) if kind == SPOT else usd(units) for name, units in prices.items()}
        volume = sum(bar.volume for bar in held) if kind == TRADE else 0
        texts = {name: plain(value) for name, value in shown.items()}
        return {"time": milliseconds(start_us), **texts, "volume": str(volume)}


def _begin(us: int, span_us: int) -> int:
    """Return when the candle began that a moment belongs to."""
    shift = _MONDAY if span_us == 7 * DAY else 0
    return (us - shift) // span_us * span_us + shift


def _sessions(calendar: Calendar, first_us: int, until_us: int) -> range:
    """Return the indexes of the sessions that a span touches."""
    ends, opens = [one.close_us for one in calendar.played], [one.open_us for one in calendar.played]
    return range(bisect_right(ends, first_us) - calendar.first, bisect_left(opens, until_us) - calendar.first)
