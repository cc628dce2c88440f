"""Bars, and what of them can be seen at a moment: a bar exists once its minute is over, never before.

Prices are whole numbers of 0.0001 USD, so that no sum or comparison depends on floating point.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import accumulate
from operator import attrgetter
from typing import NamedTuple, Protocol

from tradebot.exchange.market.sessions import Calendar
from tradebot.exchange.times import MINUTE

UNITS = 10_000
"""Price units in one dollar."""
_SESSIONS_IN_MEMORY = 3


class Bar(NamedTuple):
    """One bar, stamped at its start; prices in units of 0.0001 USD, volume in shares."""

    start_us: int
    open: int
    high: int
    low: int
    close: int
    volume: int

    @property
    def end_us(self) -> int:
        """Return the moment at which a minute bar is complete."""
        return self.start_us + MINUTE


class BarSource(Protocol):
    """Where bars come from."""

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return the minute bars of a symbol in a session of the market, oldest first."""
        ...

    def history_close(self, symbol: str, sessions_before: int) -> int | None:
        """Return a close from before the market's first session, or None when it is not known."""
        ...

    def liquid(self, symbol: str) -> bool:
        """Say whether a symbol trades freely enough to be sold short and in fractions."""
        ...


class Day:
    """One symbol's session, with its running totals, so that the day so far costs one look-up."""

    def __init__(self, bars: Sequence[Bar]) -> None:
        self.bars = bars
        self._starts = [bar.start_us for bar in bars]
        self._highs = list(accumulate(map(attrgetter("high"), bars), max))
        self._lows = list(accumulate(map(attrgetter("low"), bars), min))
        self._volumes = list(accumulate(map(attrgetter("volume"), bars)))

    def complete(self, now_us: int) -> int:
        """Return how many bars are over at a moment."""
        return bisect_right(self._starts, now_us - MINUTE)

    def until(self, now_us: int, start_us: int) -> Bar | None:
        """Return the day's bar as far as it is known, stamped `start_us`; None before the first bar."""
        count = self.complete(now_us)
        if not count:
            return None
        last = count - 1
        return Bar(
            start_us,
            self.bars[0].open,
            self._highs[last],
            self._lows[last],
            self.bars[last].close,
            self._volumes[last],
        )

    def volume(self, now_us: int) -> int:
        """Return the shares traded so far."""
        count = self.complete(now_us)
        return self._volumes[count - 1] if count else 0


class Market:
    """Every symbol's bars in every session, made or read when first asked for."""

    def __init__(self, source: BarSource, calendar: Calendar, symbols: Sequence[str]) -> None:
        self.calendar = calendar
        self.symbols = tuple(symbols)
        self.known = frozenset(symbols)
        self._source = source
        kept = max(64, _SESSIONS_IN_MEMORY * len(self.symbols))
        self.day = lru_cache(maxsize=kept)(self._day)

    def liquid(self, symbol: str) -> bool:
        """Say whether a symbol can be sold short and traded in fractions."""
        return self._source.liquid(symbol)

    def _day(self, symbol: str, index: int) -> Day:
        return Day(self._source.bars(symbol, index))

    def last_bar(self, symbol: str, now_us: int) -> Bar | None:
        """Return the newest complete bar of a symbol, of this session or of one before it."""
        begun = self.calendar.begun(now_us)
        for index in range(begun if begun is not None else -1, -1, -1):
            day = self.day(symbol, index)
            count = day.complete(now_us)
            if count:
                return day.bars[count - 1]
        return None

    def price(self, symbol: str, now_us: int) -> int | None:
        """Return the last known price: the newest bar's close, or the close before the market began."""
        bar = self.last_bar(symbol, now_us)
        return bar.close if bar else self._source.history_close(symbol, 1)

    def close_of(self, symbol: str, index: int) -> int | None:
        """Return the last price of a session; a negative index counts back from the market's first."""
        if index < 0:
            return self._source.history_close(symbol, -index)
        bars = self.day(symbol, index).bars
        return bars[-1].close if bars else None

    def previous_close(self, symbol: str, now_us: int) -> int | None:
        """Return the close of the last session that ended before the one in progress began."""
        begun = self.calendar.begun(now_us)
        if begun is None:
            return self.close_of(symbol, -1)
        return self.close_of(symbol, begun - 1)


def usd(units: int) -> Decimal:
    """Return price units as exact dollars."""
    return Decimal(units).scaleb(-4)


def half_spread(price: int) -> int:
    """Return how far bid and ask are from the middle: one basis point, in whole ticks, at least one."""
    step = tick(price)
    return max(step, (price + UNITS * step // 2) // (UNITS * step) * step)


def tick(price: int) -> int:
    """Return the price step: a cent from one dollar up, a hundredth of a cent below."""
    return UNITS // 100 if price >= UNITS else 1


def bid(middle: int) -> int:
    """Return the modelled best bid around a price, on the grid of ticks."""
    step = tick(middle)
    return max(step, (middle - half_spread(middle)) // step * step)


def ask(middle: int) -> int:
    """Return the modelled best offer around a price, on the grid of ticks."""
    step = tick(middle)
    return -(-(middle + half_spread(middle)) // step) * step
