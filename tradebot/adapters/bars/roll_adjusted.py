"""Join a contract's bars to those of earlier contracts. Only signals use joined bars; amounts of money are computed
from the prices at which contracts traded.

Before a roll date, the earlier contract's bars are used, multiplied by the ratio of both contracts' closes before that
date. So the same bars, read at two different times, differ only by a constant factor.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from tradebot.model.instrument import ContractMonth
from tradebot.model.series import DAY, PriceKind, Series
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay
from tradebot.model.view import BarNeed
from tradebot.ports.stores import Bars
from tradebot.signals.roll_dates import EARLIEST, by_day, roll_out_date

_BACK = timedelta(days=400)
"""How far back to look for a contract that the current one may have replaced."""
_DAYS = BarNeed(DAY, EARLIEST.days, adjusted=False)


class _Roll(NamedTuple):
    """The contract that was replaced, when that day began, and the ratio of the two closes."""

    before: str
    at: datetime
    ratio: float


_Months = Callable[[str, date, date], Sequence[ContractMonth]]


def join_over_rolls(bars: Bars, months: _Months | None, root: Callable[[str], str], venue: VenueDay) -> Bars:
    """Wrap a source of bars so that a contract's bars from before a roll come from the earlier contract.

    Return it unwrapped if the venue's contracts don't expire.
    """
    return bars if months is None else JoinedBars(bars, months, root, venue)


class JoinedBars:
    """Serves closed bars; adjusted bars from before a roll come from the earlier contract.

    `root` raises ValueError for a symbol without contract months.
    """

    def __init__(self, bars: Bars, months: _Months, root: Callable[[str], str], venue: VenueDay) -> None:
        self._bars, self._months, self._root, self._venue = bars, months, root, venue
        self._rolls: dict[tuple[str, date], _Roll | None] = {}
        self._earlier: dict[tuple[str, BarNeed], tuple[datetime, Series]] = {}

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        """Return the last `need.depth` bars of each symbol that were complete at `until`, oldest first."""
        by_symbol = self._bars.closed(need, symbols, until)
        if not need.adjusted or need.price is not PriceKind.TRADE:
            return by_symbol
        return {symbol: self._join_earlier_month(need, series, until) for symbol, series in by_symbol.items()}

    def _join_earlier_month(self, need: BarNeed, series: Series, until: datetime) -> Series:
        roll = self._roll(series.symbol, self._venue.date_of(until))
        if roll is None:
            return series
        first = bisect_left(series.starts, int(roll.at.timestamp()))
        if len(series) - first >= need.depth:
            return series
        own = _from(series, first)
        before = self._before(need, series.symbol, roll)
        return series if before is None else _after(before, own).last(need.depth)

    def _before(self, need: BarNeed, symbol: str, roll: _Roll) -> Series | None:
        """Return the bars before a roll at the next contract's prices; they never change."""
        cached = self._earlier.get((symbol, need))
        if cached is None or cached[0] != roll.at:
            series = self.closed(need, [roll.before], roll.at).get(roll.before)
            if series is None:
                return None
            cached = self._earlier[symbol, need] = roll.at, _times(series, roll.ratio)
        return cached[1]

    def _roll(self, symbol: str, day: date) -> _Roll | None:
        """Return the roll to this contract, as known on `day`; None if there hasn't been one."""
        if (symbol, day) not in self._rolls:
            self._rolls = {index: roll for index, roll in self._rolls.items() if index[0] != symbol}
            self._rolls[symbol, day] = self._find_roll(symbol, day)
        return self._rolls[symbol, day]

    def _find_roll(self, symbol: str, day: date) -> _Roll | None:
        try:
            months = self._months(self._root(symbol), day - _BACK, day + EARLIEST)
        except ValueError:
            return None
        month = next((month for month in months if month.rolling.into == symbol), None)
        if month is None or day <= month.rolling.on - EARLIEST:
            return None
        days = self._bars.closed(_DAYS, (month.symbol, symbol), self._venue.begins(min(day, month.rolling.on)))
        old, new = (days.get(name) for name in (month.symbol, symbol))
        on = roll_out_date(month.rolling, *(by_day(series, "volume", self._venue) for series in (old, new))).on
        if day < on:
            return None
        closes = [by_day(series, "close", self._venue) for series in (old, new)]
        both = [day for day in closes[0] if day in closes[1] and day < on]
        if not both:
            return None
        return _Roll(month.symbol, self._venue.begins(on), closes[1][max(both)] / closes[0][max(both)])


def _times(series: Series, ratio: float) -> Series:
    opening, high, low, close = (array("d", [price * ratio for price in column]) for column in _prices(series))
    return replace(series, open=opening, high=high, low=low, close=close)


def _from(series: Series, first: int) -> Series:
    opening, high, low, close = (column[first:] for column in _prices(series))
    starts, volume = series.starts[first:], series.volume[first:]
    return replace(series, starts=starts, open=opening, high=high, low=low, close=close, volume=volume)


def _after(before: Series, own: Series) -> Series:
    opening, high, low, close = (old + new for old, new in zip(_prices(before), _prices(own), strict=True))
    starts, volume = before.starts + own.starts, before.volume + own.volume
    return replace(own, starts=starts, open=opening, high=high, low=low, close=close, volume=volume)


def _prices(series: Series) -> "tuple[array[float], ...]":
    return series.open, series.high, series.low, series.close
