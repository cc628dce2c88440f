"""Model the trades and quotes within a minute, so that together they match its bar exactly.

A minute's price moves from its open through one extreme and the other to its close. A minute that rose touches its low
first, and a minute that fell its high. The price also touches the middle of each leg, which gives seven points. The
bar's shares are split evenly over the points, with the remainder at the close, and each point prints as one to four
trades. A bar with fewer shares than points shows only its four prices, with trades of zero shares if necessary. So the
first, highest, lowest and last trade price and the total size match the bar, and the turnover is known without
generating the trades.

A quote around each point comes before its trades, so that every trade is inside its quote. At the end of the minute,
the last quote is repeated.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from itertools import accumulate, groupby
from typing import NamedTuple

from papervenue.market.bars import Bar, Day, tick
from papervenue.times import MINUTE

_POINTS = 7
_SHARES_A_TRADE = 100
_MOST_TRADES_A_POINT = 4
_MARGIN_US = 1_000
"""The distance of the first and last trade from the ends of the minute."""
_TRADE_NUMBERS_A_MINUTE = 100

QuoteAround = Callable[[int], tuple[int, int]]
"""Returns bid and ask around a price, all in price units."""


class Trade(NamedTuple):
    """One modeled trade; the price is in units, the number unique within its symbol."""

    at_us: int
    price: int
    size: int
    number: int


class Quote(NamedTuple):
    """One modeled quote; prices in units, sizes in shares."""

    at_us: int
    bid: int
    ask: int
    bid_size: int
    ask_size: int


def turnover(bar: Bar) -> int:
    """Return the turnover of a bar: price in units times shares, summed over its trades."""
    points = _points(bar)
    share, rest = divmod(bar.volume, len(points))
    return share * sum(points) + rest * bar.close


def trade_count(bar: Bar) -> int:
    """Return how many trades the bar has."""
    return _POINTS * _repeats(bar) if bar.volume >= _POINTS else len(_points(bar))


def trades(bar: Bar) -> list[Trade]:
    """Return a bar's trades in order of time, evenly spaced."""
    repeats = _repeats(bar)
    points = _points(bar)
    share, rest = divmod(bar.volume, len(points))
    sizes = [size for _ in points for size in _split(share, repeats)]
    sizes[-1] += rest
    prices = [price for price in points for _ in range(repeats)]
    gaps, first = max(1, len(prices) - 1), bar.start_us // MINUTE * _TRADE_NUMBERS_A_MINUTE
    length_us = MINUTE - 2 * _MARGIN_US
    return [
        Trade(bar.start_us + _MARGIN_US + index * length_us // gaps, price, size, first + index)
        for index, (price, size) in enumerate(zip(prices, sizes, strict=True))
    ]


def last_trade(bar: Bar) -> Trade:
    points, repeats = _points(bar), _repeats(bar)
    share, rest = divmod(bar.volume, len(points))
    index = len(points) * repeats - 1
    # A single trade takes place at the beginning of its minute.
    length_us = MINUTE - 2 * _MARGIN_US if index else 0
    number = bar.start_us // MINUTE * _TRADE_NUMBERS_A_MINUTE + index
    return Trade(bar.start_us + _MARGIN_US + length_us, bar.close, _split(share, repeats)[-1] + rest, number)


def quotes(bar: Bar, around: QuoteAround) -> list[Quote]:
    """Return a bar's quotes in order of time, the last at its end."""
    # The last quote of a minute and the first one of the next are a microsecond apart.
    points = _points(bar)
    moments = [bar.start_us + 1 + index * MINUTE // len(points) for index in range(len(points))]
    timed = zip([*moments, bar.end_us], [*points, bar.close], strict=True)
    return [
        Quote(at_us, *around(price), *_sizes(bar, len(points) - index)) for index, (at_us, price) in enumerate(timed)
    ]


def last_quote(bar: Bar, around: QuoteAround) -> Quote:
    """Return the last quote of a bar without generating the others."""
    return Quote(bar.end_us, *around(bar.close), *_sizes(bar, 0))


class Totals:
    """Running totals over a day's bars: the number of trades and the turnover after each bar."""

    def __init__(self, day: Day) -> None:
        self._counts = array("q", accumulate(map(trade_count, day.bars), initial=0))
        # A day of a large bar overflows 64 bits.
        self._turnovers = [*accumulate(map(turnover, day.bars), initial=0)]

    def until(self, bars: int) -> tuple[int, int]:
        return self._counts[bars], self._turnovers[bars]


def _path(bar: Bar) -> tuple[int, ...]:
    _, opening, high, low, close, _ = bar
    first, second = (low, high) if close >= opening else (high, low)
    step = tick(low)
    # Rounding to the tick grid can put a midpoint below the low of a bar that is off the grid.
    middles = [(a + other) // (2 * step) * step for a, other in ((opening, first), (low, high), (second, close))]
    start, two, three = (middle if middle > low else low for middle in middles)
    return opening, start, first, two, second, three, close


def _points(bar: Bar) -> tuple[int, ...]:
    path = _path(bar)
    return path if bar.volume >= _POINTS else tuple(price for price, _ in groupby(path[::2]))


def _repeats(bar: Bar) -> int:
    return max(1, min(_MOST_TRADES_A_POINT, bar.volume // (_POINTS * _SHARES_A_TRADE)))


def _split(shares: int, parts: int) -> list[int]:
    share, rest = divmod(shares, parts)
    return [share] * (parts - 1) + [share + rest]


def _sizes(bar: Bar, to_come: int) -> tuple[int, int]:
    """Return the bid and ask sizes in round lots, which vary only with the bar and the number of quotes to come."""
    salt = bar.volume + 5 * to_come
    return _SHARES_A_TRADE * (1 + salt % 7), _SHARES_A_TRADE * (1 + salt % 9)
