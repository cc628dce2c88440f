"""Generate the months of a future: the prices of their root plus carry, and volume that moves on to the next month.

All months of a root move together, because they are made from the same bars. The month that is next to be rolled has
almost all of the volume, until it passes to the one after it within a few days.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from papervenue.market.bars import Bar
from papervenue.market.generator import GeneratedBars
from papervenue.market.instruments import Grid
from papervenue.market.sessions import Calendar

_YEAR_DAYS = 365
_FRONT, _BACK, _GONE = 0.96, 0.004, 0.002
"""The shares of the volume that the front month has at most, that a far one has, and that one past its roll has."""
_MOVES_WITHIN_DAYS = 9
"""So many days before its roll, a month's volume begins to move on."""


class Months:
    """The bars of one month, made from those of its root."""

    def __init__(self, root: GeneratedBars, grid: Grid, calendar: Calendar, rolls: Sequence[date]) -> None:
        instrument = grid.instrument
        assert instrument.last_trading is not None
        assert instrument.rolls is not None
        self._bars = root
        self._grid = grid
        self._name = instrument.root
        self._calendar = calendar
        self._ends = date.fromisoformat(instrument.last_trading[:10])
        self._own = date.fromisoformat(instrument.rolls[:10])
        self._rolls = sorted(rolls)
        self._carry = float(instrument.carry)
        self.past_minutes, self.past_days, self.candle_days = root.past_minutes, root.past_days, root.candle_days

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return the minutes of a session, oldest first."""
        return tuple(self._carried(self._bars.bars(self._name, index), index))

    def extended(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return nothing: Globex has no trading around its sessions."""
        return ()

    def close(self, symbol: str, index: int) -> int:
        """Return the close of a session, in price units, without generating its bars."""
        return self._price(self._bars.close(self._name, index), self._factor(index))

    def history_close(self, symbol: str, sessions_before: int) -> int | None:
        """Return a close from before the market's first session, or None if it is unknown."""
        close = self._bars.history_close(self._name, sessions_before)
        return None if close is None else self._price(close, self._factor(-sessions_before))

    def history_day(self, symbol: str, sessions_before: int) -> Bar | None:
        """Return the daily bar of a session before the market's first, or None if it is unknown."""
        day = self._bars.history_day(self._name, sessions_before)
        return None if day is None else self._carried((day,), -sessions_before)[0]

    def past_candles(self, symbol: str, index: int, span_us: int, *, wicks: bool) -> list[Bar]:
        """Return the candles of a session before the market's first."""
        return self._carried(self._bars.past_candles(self._name, index, span_us, wicks=wicks), index)

    def liquid(self, symbol: str) -> bool:
        """Return True: somebody always trades it, however little."""
        return True

    def _carried(self, bars: Sequence[Bar], index: int) -> list[Bar]:
        factor, share, price = self._factor(index), self._share(index), self._price
        made = []
        for bar in bars:
            opened, high, low, close = (price(units, factor) for units in (bar.open, bar.high, bar.low, bar.close))
            made.append(Bar(bar.start_us, opened, high, low, close, int(bar.volume * share) or 1))
        return made

    def _price(self, units: int, factor: float) -> int:
        return self._grid.nearest(units / self._grid.units * factor)

    def _factor(self, index: int) -> float:
        return 1 + self._carry * (self._ends - self._day(index)).days / _YEAR_DAYS

    def _share(self, index: int) -> float:
        day = self._day(index)
        open_months = [roll for roll in self._rolls if roll > day]
        if self._own not in open_months:
            return _GONE
        moved = min(max(1 - (open_months[0] - day).days / _MOVES_WITHIN_DAYS, 0), 1) * _FRONT
        place = open_months.index(self._own)
        return {0: _FRONT - moved, 1: _BACK + moved}.get(place, _BACK)

    def _day(self, index: int) -> date:
        return date.fromisoformat(self._calendar.session(index).date)
