"""Draw candles of trades, of the mark and of the index, from a minute to a week, out of the market's minutes.

The candle of a span that isn't over yet holds the minutes that are, as the venue shows it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import groupby, islice
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from papervenue.engine.engine import Engine
from papervenue.faces.kraken.read_routes import index_of
from papervenue.faces.kraken.wire_format import encoded, error, milliseconds
from papervenue.faces.web import Call, Reply
from papervenue.jsontext import plain
from papervenue.margined import funding
from papervenue.market.bars import Bar, without_wicks
from papervenue.market.sessions import Calendar, full_calendar
from papervenue.times import DAY, HOUR, MINUTE, SECOND

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


class Candle(NamedTuple):
    """What was traded, or what the mark or the index was, in a span; prices are in USD."""

    start_us: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int


class Charts:
    """Answers requests for candles."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

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
        # As many as fit, and one more to know whether there are more.
        made = list(islice(self.between(symbol, kind, span_us, since_us, until_us), MOST_CANDLES + 1))
        shown = [_told(one) for one in made[:MOST_CANDLES]]
        return Reply(200, encoded({"candles": shown, "more_candles": len(made) > MOST_CANDLES}))

    def between(self, symbol: str, kind: str, span_us: int, since_us: int, until_us: int) -> Iterator[Candle]:
        """Yield the candles of a symbol that begin in a span, oldest first."""
        until_us = min(self._engine.now_us, until_us)
        begin_us, end_us = _begin(since_us + span_us - 1, span_us), _begin(until_us, span_us) + span_us
        bars = self._bars(symbol, kind, span_us, begin_us, end_us)
        for start_us, of_candle in groupby(bars, key=lambda bar: _begin(bar.start_us, span_us)):
            opens, highs, lows, closes, volumes = zip(*self._priced(symbol, kind, of_candle), strict=True)
            yield Candle(start_us, opens[0], max(highs), min(lows), closes[-1], sum(volumes) if kind == TRADE else 0)

    def _bars(self, symbol: str, kind: str, span_us: int, first_us: int, until_us: int) -> Iterator[Bar]:
        """Yield what the candles that begin in a span are made of: complete minutes or, of the past, larger parts.

        A part of the past is one that is cheap to have, and never a part of two candles.
        """
        market, now_us = self._engine.market, self._engine.now_us
        wicks = kind != MARK
        for index in _sessions(market.calendars[symbol], first_us, min(until_us, now_us)):
            if index >= 0:
                day_bars = market.day(symbol, index)
                every, complete = day_bars.bars, day_bars.complete(now_us)
                # Most requests are for the newest few of a day's minutes.
                bars = every[bisect_left(every, first_us, 0, complete, key=_START) : complete]
                parts: Iterable[Bar] = bars if wicks else map(without_wicks, bars)
            elif wicks and span_us >= DAY and (day := market.history_day(symbol, -index)) is not None:
                yield day
                continue
            else:
                parts = market.past_candles(symbol, index, min(span_us, DAY), wicks=wicks)
            yield from (part for part in parts if first_us <= part.start_us < until_us)

    def _priced(
        self, symbol: str, kind: str, bars: Iterable[Bar]
    ) -> Iterator[tuple[Decimal, Decimal, Decimal, Decimal, int]]:
        """Yield the prices in USD and the volume of each part of a candle in which one rate of funding was in force.

        The index of a minute is made with the rate of its own time: no candle changes because a rate does.
        """
        usd, rates = self._engine.market.grids[symbol].usd, self._engine.funding_changes.get(symbol)
        own = self._engine.market.grids[symbol].instrument.funding

        def rate_of(bar: Bar) -> Decimal:
            return funding.rate_at(self._engine, symbol, bar.end_us)

        for rate, group in groupby(bars, rate_of) if kind == SPOT and rates else [(own, bars)]:
            held = list(group)
            high, low = max(bar.high for bar in held), min(bar.low for bar in held)
            shown = (lambda units, rate=rate: index_of(usd(units), rate)) if kind == SPOT else usd
            volume = sum(bar.volume for bar in held)
            yield shown(held[0].open), shown(high), shown(low), shown(held[-1].close), volume


_START = attrgetter("start_us")


def _told(one: Candle) -> dict[str, Any]:
    prices = {"open": one.open, "high": one.high, "low": one.low, "close": one.close}
    texts = {name: plain(price) for name, price in prices.items()}
    return {"time": milliseconds(one.start_us), **texts, "volume": str(one.volume)}


def _begin(us: int, span_us: int) -> int:
    """Return when the candle began that a moment belongs to."""
    shift = _MONDAY if span_us == 7 * DAY else 0
    return (us - shift) // span_us * span_us + shift


def _sessions(calendar: Calendar, first_us: int, until_us: int) -> range:
    """Return the indexes of the sessions that a span touches, however long before the market's first they are."""
    if calendar.played[0].open_us > first_us:
        calendar = full_calendar(calendar)
    ends = bisect_right(calendar.played, first_us, key=lambda session: session.close_us)
    opens = bisect_left(calendar.played, until_us, key=lambda session: session.open_us)
    return range(ends - calendar.first, opens - calendar.first)
