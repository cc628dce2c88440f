"""Cut a market off at a moment: no later bars, corporate actions or rates exist at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradebot.exchange.market.daily import DailyBars, Days
from tradebot.exchange.market.rates import Rates
from tradebot.exchange.times import MINUTE, new_york

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tradebot.app.backtest.market import OpenedMarket
    from tradebot.exchange.market.bars import Bar, BarSource
    from tradebot.exchange.market.sessions import Calendar


class CutBars:
    """The bars of another source that had ended by a moment."""

    def __init__(self, source: BarSource, calendar: Calendar, at_us: int) -> None:
        self._source = source
        self._calendar = calendar
        self._at_us = at_us
        self.history_close = source.history_close
        self.history_day = source.history_day
        self.liquid = source.liquid

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return the bars of a symbol in a session, oldest first."""
        if self._calendar.market[index].open_us >= self._at_us:
            return ()
        return self._ended(self._source.bars(symbol, index))

    def extended(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return the bars before and after a session, oldest first."""
        if self._calendar.market[index].pre_us >= self._at_us:
            return ()
        return self._ended(self._source.extended(symbol, index))

    def _ended(self, bars: Sequence[Bar]) -> tuple[Bar, ...]:
        return tuple(bar for bar in bars if bar.end_us <= self._at_us)


def cut(market: OpenedMarket, at_us: int) -> OpenedMarket:
    """Return what is left of a market that is cut off at a moment; its calendar and its identity stay."""
    day = new_york(at_us).date().isoformat()
    days = [known for known in market.rates.days if known <= day]
    return market._replace(
        source=_cut_days(market, market.days, at_us) if market.days else CutBars(market.source, market.calendar, at_us),
        actions=tuple(action for action in market.actions if min(action.declared_us, action.at_us) <= at_us),
        rates=Rates(tuple(days), market.rates.rates[: len(days)]),
    )


def _cut_days(market: OpenedMarket, source: DailyBars, at_us: int) -> DailyBars:
    """Return daily bars up to a moment; of a session that isn't over, only what has been seen of it."""
    calendar = market.calendar
    over = sum(session.close_us <= at_us for session in calendar.all)
    begun = over < len(calendar.all) and calendar.all[over].open_us + MINUTE <= at_us
    whole = source.known_after_us is not None
    held = {symbol: source.days(symbol) for symbol in market.symbols}
    known = {symbol: _until(days, over, begun=begun, whole=whole) for symbol, days in held.items() if days is not None}
    return DailyBars(known, calendar, market.spec.day_prices)


def _until(days: Days, over: int, *, begun: bool, whole: bool) -> Days:
    """Return a symbol's days before a place, and of the one at the place its open, or all of it if that is shown."""
    count = sum(place < over for place in days.places)
    row = days.row(over) if begun else None
    if row is None:
        return Days(*(column[:count] for column in days))
    shown = Days(*(column[: row + 1] for column in days))
    if not whole:
        for column in (shown.high, shown.low, shown.close):
            column[row] = shown.open[row]
    return shown
