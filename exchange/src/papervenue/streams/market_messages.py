"""Decide which data points of the market-data streams are due as engine time passes, and in what order.

The market's resolution is a minute, so all data of a minute is due when it ends: first its trades and quotes, each with
its own timestamp within the minute, then its bars, then the day's bars so far. They are identical to the data of the
historical API. Prices are JSON numbers in USD, times aware datetimes.

No trade here is ever late, corrected or broken, and there are no price bands or order imbalances. Clients can subscribe
to updatedBars, lulds and imbalances, but those channels stay silent, as do corrections and cancelErrors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Any, NamedTuple

from papervenue.engine.engine import Engine
from papervenue.faces.data.history import History
from papervenue.faces.data.rows import Row, bar_json, of_minute, quote_json, tape, trade_json
from papervenue.market.bars import UNITS, Bar
from papervenue.market.ticks import quotes, trades
from papervenue.times import MINUTE, to_datetime

DataPoint = dict[str, Any]
Asked = dict[str, frozenset[str]]
Wanted = Callable[[str], Iterable[str]]
"""Returns the symbols that a client has subscribed to in a channel; EVERY_SYMBOL means all."""

EVERY_SYMBOL = "*"
TEST_FEED, TEST_SYMBOL = "test", "FAKEPACA"
_EMPTY_FEEDS = ("otc", "boats", "overnight")
"""Feeds for kinds of trading that this market doesn't have."""
_CHANNELS = ("trades", "quotes", "bars", "dailyBars")
_TEST_PRICE, _TEST_VOLUME = 130 * UNITS, 700
_HALTED = {"C": ("H", "Trading Halt", "T1", "Halt News Pending")}
_RESUMED = {"C": ("T", "Trading Resumption", "T3", "News and Resumption Times")}
_CTA_HALTED = ("2", "Trading Halt", "P", "News Pending")
_CTA_RESUMED = ("3", "Resume", "D", "News Released")


class Due(NamedTuple):
    """Data points due at the same engine time, in the order to send them."""

    at_us: int
    points: list[DataPoint]


class MarketMessages:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._history = History(engine.market)
        self._around = engine.model.around

    def between(self, feed: str, from_us: int, to_us: int, wanted: Wanted) -> Iterator[Due]:
        """Yield what becomes due after `from_us` and up to `to_us`, in order of time, keeping one session in memory."""
        if feed in _EMPTY_FEEDS:
            return
        asked = {channel: self._asked(feed, wanted(channel)) for channel in _CHANNELS}
        for end_us, bars in self._ended(feed, from_us, to_us, set().union(*asked.values())):
            points = [*self._ticks(feed, bars, asked), *self._bars(feed, end_us, bars, asked)]
            if points:
                yield Due(end_us, points)

    def statuses(self, wanted: Wanted, halted: set[str]) -> list[DataPoint]:
        """Return changes of halts since the set that a client last received, and update that set.

        They carry the engine's current time, because a halt is only noticed while it is in force.
        """
        now, points = self._engine.now_us, []
        for symbol in sorted(self._asked("", wanted("statuses"))):
            is_halted = symbol in self._engine.halted
            if is_halted != (symbol in halted):
                halted ^= {symbol}
                points.append(_status(symbol, is_halted, now))
        return points

    def _asked(self, feed: str, symbols: Iterable[str]) -> frozenset[str]:
        known = frozenset([TEST_SYMBOL]) if feed == TEST_FEED else self._engine.market.known
        chosen = frozenset(symbols)
        return known if EVERY_SYMBOL in chosen else chosen & known

    def _ended(
        self, feed: str, from_us: int, to_us: int, symbols: Iterable[str]
    ) -> Iterator[tuple[int, list[tuple[str, Bar]]]]:
        """Yield the times at which minute bars of these symbols end, with those bars in order of symbol."""
        first_us, last_us = from_us - MINUTE + 1, to_us - MINUTE
        ordered = sorted(symbols)
        if feed == TEST_FEED:
            yield from _test_bars(first_us, last_us) if ordered else ()
            return
        for index in self._history.indices(first_us, last_us):
            ended = defaultdict(list)
            for symbol in ordered:
                for bar in self._history.session_minutes(symbol, index, to_us):
                    if first_us <= bar.start_us:
                        ended[bar.end_us].append((symbol, bar))
            yield from sorted(ended.items())

    def _ticks(self, feed: str, bars: Iterable[tuple[str, Bar]], asked: Asked) -> Iterator[DataPoint]:
        """Yield trades and quotes in order of time; for the same time and symbol the trade comes first."""
        traded = [
            point for symbol, bar in bars if symbol in asked["trades"] for point in self._trades(feed, symbol, bar)
        ]
        quoted = [
            point for symbol, bar in bars if symbol in asked["quotes"] for point in self._quotes(feed, symbol, bar)
        ]
        yield from sorted([*traded, *quoted], key=itemgetter("t", "S"))

    def _trades(self, feed: str, symbol: str, bar: Bar) -> Iterator[DataPoint]:
        extended = feed != TEST_FEED and self._history.is_extended(bar)
        for trade in trades(bar):
            yield _point("t", symbol, trade.at_us, trade_json(symbol, trade, feed, extended))

    def _quotes(self, feed: str, symbol: str, bar: Bar) -> Iterator[DataPoint]:
        for quote in quotes(bar, self._around):
            yield _point("q", symbol, quote.at_us, quote_json(symbol, quote, feed))

    def _bars(self, feed: str, end_us: int, bars: list[tuple[str, Bar]], asked: Asked) -> Iterator[DataPoint]:
        for symbol, bar in bars:
            if symbol in asked["bars"]:
                yield _point("b", symbol, bar.start_us, bar_json(of_minute(bar)))
        for symbol, bar in bars:
            if symbol in asked["dailyBars"] and feed != TEST_FEED and not self._history.is_extended(bar):
                day = self._history.day(symbol, self._engine.market.calendar.begun(bar.start_us), end_us)
                if day is not None:
                    yield _point("d", symbol, day.start_us, bar_json(day))


def _point(kind: str, symbol: str, at_us: int, row: Row) -> DataPoint:
    return {"T": kind, "S": symbol, **row, "t": to_datetime(at_us)}


def _status(symbol: str, halted: bool, at_us: int) -> DataPoint:
    by_tape, other = (_HALTED, _CTA_HALTED) if halted else (_RESUMED, _CTA_RESUMED)
    letter = tape(symbol)
    code, text, reason, why = by_tape.get(letter, other)
    return {
        "T": "s",
        "S": symbol,
        "sc": code,
        "sm": text,
        "rc": reason,
        "rm": why,
        "t": to_datetime(at_us),
        "z": letter,
    }


def _test_bars(first_us: int, last_us: int) -> Iterator[tuple[int, list[tuple[str, Bar]]]]:
    """Yield one made-up bar for every minute, day and night, for the test feed."""
    for start_us in range(-(-first_us // MINUTE) * MINUTE, last_us + 1, MINUTE):
        cents = start_us // MINUTE % 60 * (UNITS // 100)
        price = _TEST_PRICE + cents
        yield start_us + MINUTE, [(TEST_SYMBOL, Bar(start_us, price, price, price, price, _TEST_VOLUME))]
