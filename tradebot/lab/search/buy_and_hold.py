"""Compute the return of holding the universe in equal parts, from the first open and without costs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from statistics import fmean

from tradebot.lab.backtest.bars import EngineBars
from tradebot.lab.backtest.engine_conversion import session_of
from tradebot.lab.backtest.market import OpenedMarket
from tradebot.lab.backtest.setup import engine_of
from tradebot.model.series import DAY
from tradebot.model.view import BarNeed

LATER = timedelta(hours=1)
"""How long after its close a session's day is over."""


def buy_and_hold_returns(market: OpenedMarket, universe: Sequence[str]) -> tuple[float, ...]:
    """Return the returns of the market's sessions; empty if no symbol has bars in all of them."""
    sessions = [*map(session_of, market.calendar.market)]
    bars = EngineBars(engine_of(market, market.spec), market.days)
    by_symbol = bars.closed(BarNeed(DAY, len(sessions)), universe, sessions[-1].close + LATER)
    whole = [series for series in by_symbol.values() if len(series.close) == len(sessions)]
    if not whole:
        return ()
    worth = (fmean(series.close[index] / series.open[0] for series in whole) for index in range(len(sessions)))
    return tuple(after / before - 1 for before, after in pairwise([1.0, *worth]))
