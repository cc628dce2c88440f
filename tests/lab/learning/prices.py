"""Markets of one session of a future whose prices a test gives, minute by minute."""

from bisect import bisect_right
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from papervenue.market.bars import Bar, BarSource, Market
from papervenue.times import MINUTE
from tradebot.lab.backtest.market import OpenedMarket

Levels = Mapping[int, str]
"""What each bar costs from a minute of the session on, from its open to its close."""


class Given:
    """The bars of a source, but for those of the market's first session: they have the given prices."""

    def __init__(self, before: BarSource, market: Market, levels: Levels, ends: int | None) -> None:
        self._before, self._market, self._levels, self._ends = before, market, levels, ends

    def __getattr__(self, name: str) -> Any:
        return getattr(self._before, name)

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        if index != 0:
            return self._before.bars(symbol, index)
        session, grid, starts = self._market.calendars[symbol].market[0], self._market.grids[symbol], [*self._levels]
        found = []
        for place, start_us in enumerate(range(session.open_us, session.close_us, MINUTE)):
            if place == self._ends:
                break
            price = grid.of(Decimal(self._levels[starts[bisect_right(starts, place) - 1]]))
            assert price is not None, "a price is on a tick"
            found.append(Bar(start_us, price, price, price, price, 1000))
        return tuple(found)


def give(patched: pytest.MonkeyPatch, levels: Levels, ends: int | None = None) -> None:
    """Let backtests of futures have these prices in their first session, and no bars from the minute that it `ends`."""

    made = OpenedMarket.market

    def with_prices(opened: OpenedMarket) -> Market:
        market = made(opened)
        market._source = Given(market._source, market, levels, ends)
        return market

    patched.setattr(OpenedMarket, "market", with_prices)
