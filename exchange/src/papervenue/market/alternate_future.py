"""Give a market a different future: its own bars up to a moment, and bars from another source after that."""

from __future__ import annotations

from collections.abc import Mapping

from papervenue.market.bars import Bar, BarSource, QuickPast, rates_of, series_of
from papervenue.market.venue import Grid

_DEARER = 1.01
"""The ratio of prices that didn't happen to those that did."""


class OtherFuture:
    """The bars of one source up to `at_us`, and the later bars of another source.

    Everything before the market's first session comes from the first source.
    """

    def __init__(self, source: BarSource, other: BarSource, at_us: int) -> None:
        self._source = source
        self._other = other
        self._at_us = at_us
        self.past_minutes, self.past_days = source.past_minutes, source.past_days
        self.history_close = source.history_close
        self.history_day = source.history_day
        self.liquid = source.liquid
        self.series, self.rates = series_of(source), rates_of(source)
        self.candle_days = source.candle_days if isinstance(source, QuickPast) else 0

    def past_candles(self, symbol: str, index: int, span_us: int, *, wicks: bool) -> list[Bar]:
        """Return the candles of a session before the market's first."""
        assert isinstance(self._source, QuickPast), "a source without candles has none for any day"
        return self._source.past_candles(symbol, index, span_us, wicks=wicks)

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return the minutes of a session, oldest first."""
        if index < 0:
            return self._source.bars(symbol, index)
        return self._swap_future(self._source.bars(symbol, index), self._other.bars(symbol, index))

    def extended_hours(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return the minutes before and after a session, oldest first."""
        return self._swap_future(self._source.extended_hours(symbol, index), self._other.extended_hours(symbol, index))

    def _swap_future(self, bars: tuple[Bar, ...], others: tuple[Bar, ...]) -> tuple[Bar, ...]:
        own = (bar for bar in bars if bar.end_us <= self._at_us)
        return (*own, *(bar for bar in others if bar.end_us > self._at_us))


class AlternateBars:
    """The bars of a source with prices 1% higher and twice the volume."""

    def __init__(self, source: BarSource, grids: Mapping[str, Grid]) -> None:
        self._source, self._grids = source, grids
        self.past_minutes, self.past_days = source.past_minutes, source.past_days
        self.history_close = source.history_close
        self.history_day = source.history_day
        self.liquid = source.liquid

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return a session's minute bars, with the changed prices and volumes, oldest first."""
        return tuple(self._dearer(symbol, bar) for bar in self._source.bars(symbol, index))

    def extended_hours(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return the minutes before and after a session, oldest first."""
        return tuple(self._dearer(symbol, bar) for bar in self._source.extended_hours(symbol, index))

    def _dearer(self, symbol: str, bar: Bar) -> Bar:
        grid = self._grids[symbol.partition(" ")[0]]
        opening, high, low, close = (grid.nearest(units / grid.units * _DEARER) for units in bar[1:5])
        return bar._replace(open=opening, high=high, low=low, close=close, volume=2 * bar.volume)
