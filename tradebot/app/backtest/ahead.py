"""Look ahead in the engine's market and agenda, for the driver alone."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from tradebot.backtest.ahead import Shown
from tradebot.exchange.times import from_datetime, to_datetime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tradebot.exchange.engine.account import Account
    from tradebot.exchange.engine.engine import Engine
    from tradebot.exchange.market.bars import Bar

KEPT_PRICES = 65_536


class EngineAhead:
    """What an engine is going to show to one of its accounts.

    `equity_moves` is False if the account's equity is computed from the prices of its last fills.
    """

    def __init__(self, engine: Engine, account: Account, *, equity_moves: bool = True) -> None:
        self._engine = engine
        self._account = account
        self._bid = lru_cache(KEPT_PRICES)(engine.model.bid)
        self._ask = lru_cache(KEPT_PRICES)(engine.model.ask)
        self.equity_moves = equity_moves

    def shown(self, symbol: str, after: datetime, until: datetime) -> Iterator[Shown]:
        """Yield what a symbol shows after a moment and up to another of the same session, oldest first."""
        after_us, until_us = from_datetime(after), from_datetime(until)
        market = self._engine.market
        day = market.day(symbol, market.calendar.reached(until_us))
        for place in range(day.complete(after_us), day.complete(until_us)):
            yield self._shown(day.bars[place])

    def shows(self, symbol: str) -> Shown | None:
        """Return what a symbol shows now, or None if it has no price."""
        bar = self._engine.market.last_bar(symbol, self._engine.now_us)
        return None if bar is None else self._shown(bar)

    @property
    def next_deed(self) -> datetime | None:
        """Return when the engine does something by itself next; None if nothing is due."""
        at_us = self._engine.agenda.next_us
        return None if at_us is None else to_datetime(at_us)

    @property
    def stamp(self) -> object:
        """Return what differs as soon as an order, the cash or a position of the account does."""
        account = self._account
        working = tuple((order.id, order.status, order.updated_us) for order in account.open.values())
        return len(account.orders), account.version, working

    def _shown(self, bar: Bar) -> Shown:
        return Shown(
            bar.end_us, bar.close, self._bid(bar.close), self._ask(bar.close), self._bid(bar.low), self._ask(bar.high)
        )
