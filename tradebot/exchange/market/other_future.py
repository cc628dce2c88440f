"""Give a market another future: up to a moment its bars are its own, and later ones come from another source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tradebot.exchange.market.source import BarSource, QuickPast

if TYPE_CHECKING:
    from tradebot.exchange.market.bars import Bar


class PastAndFuture(BarSource, QuickPast, Protocol):
    """A source that generates its bars."""


class OtherFuture:
    """The bars of one source that have ended by `at_us`, and those of another that end later.

    What was before the market's first session is the first source's.
    """

    def __init__(self, source: PastAndFuture, other: PastAndFuture, at_us: int) -> None:
        self._source = source
        self._other = other
        self._at_us = at_us
        self.past_minutes, self.past_days = source.past_minutes, source.past_days
        self.candle_days = source.candle_days
        self.history_close = source.history_close
        self.history_day = source.history_day
        self.past_candles = source.past_candles
        self.liquid = source.liquid

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return the minutes of a session, oldest first."""
        if index < 0:
            return self._source.bars(symbol, index)
        return self._turned(self._source.bars(symbol, index), self._other.bars(symbol, index))

    def extended(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return the minutes before and after a session, oldest first."""
        return self._turned(self._source.extended(symbol, index), self._other.extended(symbol, index))

    def _turned(self, bars: tuple[Bar, ...], others: tuple[Bar, ...]) -> tuple[Bar, ...]:
        own = (bar for bar in bars if bar.end_us <= self._at_us)
        return (*own, *(bar for bar in others if bar.end_us > self._at_us))
