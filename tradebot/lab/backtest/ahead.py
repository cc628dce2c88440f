"""Look ahead in the engine's market and agenda, for the driver alone."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING

from papervenue.engine.account import Activity
from papervenue.market.actions import DIVIDEND
from papervenue.market.bars import usd
from papervenue.shares import charges
from papervenue.times import MINUTE, from_datetime, to_datetime
from tradebot.lab.backtest.translating import exact
from tradebot.lab.driver.touching import INTEREST, Shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from papervenue.engine.account import Account
    from papervenue.engine.engine import Engine
    from papervenue.market.actions import Action
    from papervenue.market.bars import Bar

KEPT_PRICES = 65_536
CHUNK = 32
"""How many sessions of daily prices are made ready at once."""
KEPT_CHUNKS = 256
CASH_ONLY = frozenset({"INT", "FEE"})
"""The kinds of activities that only move cash: interest, and what it costs to borrow shares or to trade."""


_Foreseen = tuple[object, list[tuple[int, "Decimal"]], "Iterator[tuple[int, Decimal]]"]
"""The stamp up to which it came true, the interest known so far, and what computes the rest."""


class EngineAhead:
    """What an engine is going to show to one of its accounts.

    `daily` says that all bars are those of days, so that nothing is shown between two sessions. `equity_moves` is False
    if the account's equity is computed from the prices of its last fills.
    """

    def __init__(self, engine: Engine, account: Account, *, daily: bool = False, equity_moves: bool = True) -> None:
        self._engine = engine
        self._account = account
        self._daily = daily
        self._renames = bool(engine.market.actions.renaming)
        self._closes_us = [session.close_us for session in engine.market.calendar.market]
        self._bid = lru_cache(KEPT_PRICES)(engine.model.bid)
        self._ask = lru_cache(KEPT_PRICES)(engine.model.ask)
        self._span = lru_cache(KEPT_CHUNKS)(self._new_span)
        self._chunk = lru_cache(KEPT_CHUNKS)(self._new_chunk)
        self._foreseen: _Foreseen = None, [], iter(())
        self.equity_moves = equity_moves

    def shown(self, symbol: str, after: datetime, until: datetime) -> Iterator[Shown]:
        """Yield what a symbol shows after a moment and up to another, oldest first."""
        after_us, until_us, chunks = self._span(after, until)
        if symbol == INTEREST:
            return self._interest(after_us, until_us)
        if not self._daily:
            market = self._engine.market
            day = market.day(symbol, market.calendar.reached(until_us))
            return map(self._shown, day.bars[day.complete(after_us) : day.complete(until_us)])
        parts = [self._chunk(symbol, number) for number in chunks]
        return chain.from_iterable(
            shown[bisect_right(times, after_us) : bisect_right(times, until_us)] for times, shown in parts
        )

    def next_price(self, after: datetime) -> datetime:
        at_us, calendar = from_datetime(after), self._engine.market.calendar
        if not self._daily:
            return to_datetime((at_us // MINUTE + 1) * MINUTE)
        session = calendar.market[calendar.reached(at_us)]
        first_us = session.open_us + MINUTE
        return to_datetime(first_us if at_us < first_us else session.close_us)

    def shows(self, symbol: str) -> Shown | None:
        bar = self._engine.market.last_bar(symbol, self._engine.now_us)
        return None if bar is None else self._shown(bar)

    def closing(self) -> tuple[Decimal, Mapping[str, Decimal]]:
        engine, account = self._engine, self._account
        return exact(account.closing.equity), {
            symbol: usd(engine.price(symbol)) for symbol in sorted(account.positions)
        }

    def close(self, after_us: int) -> int:
        return self._closes_us[min(bisect_left(self._closes_us, after_us), len(self._closes_us) - 1)]

    @property
    def still(self) -> bool:
        return self._daily and charges.is_foreseeable(self._engine, self._account)

    @property
    def next_deed(self) -> datetime | None:
        for at_us, name, about in self._engine.agenda.upcoming():
            if not (name == "take_effect" and self._is_foreign(about[0])):
                return to_datetime(at_us)
        return None

    def _is_foreign(self, action: Action) -> bool:
        """Return True if an action is a dividend that is neither paid to the account nor changes one of its orders."""
        if action.kind != DIVIDEND or self._renames:
            return False
        account = self._account
        return action.symbol not in account.positions and not account.open

    @property
    def stamp(self) -> tuple[int, tuple[object, ...], int, int]:
        account = self._account
        working = tuple((order.id, order.status, order.updated_us) for order in account.open.values())
        return len(account.orders), working, account.version, len(account.activities)

    @property
    def traded(self) -> object:
        return self.stamp

    def only_interest_since(self, stamp: object) -> bool:
        if not isinstance(stamp, tuple):
            return False
        orders, working, version, read = stamp
        new = self._account.activities[read:]
        # Each activity makes another version of the account.
        explained = orders, working, version + len(new), read + len(new)
        return self.stamp == explained and all(isinstance(one, Activity) and one.kind in CASH_ONLY for one in new)

    def _interest(self, after_us: int, until_us: int) -> Iterator[Shown]:
        since, known, coming = self._foreseen
        if not self.only_interest_since(since):
            known, coming = [], charges.foreseen(self._engine, self._account)
        # As long as nothing else moves the cash, what was foreseen comes true and isn't computed again.
        while (not known or known[-1][0] <= until_us) and (one := next(coming, None)):
            known.append(one)
        self._foreseen, cents = (self.stamp, known, coming), 0
        for at_us, paid in known[_after(known, after_us) : _after(known, until_us)]:
            cents += int(paid * 100)
            yield Shown(at_us, cents, 0, 0, 0, 0)

    def _new_span(self, after: datetime, until: datetime) -> tuple[int, int, range]:
        """Return two moments in engine time, and which chunks of sessions lie between them."""
        after_us, until_us, calendar = from_datetime(after), from_datetime(until), self._engine.market.calendar
        first, last = max(calendar.reached(after_us), 0), calendar.reached(until_us)
        return after_us, until_us, range(first // CHUNK, last // CHUNK + 1)

    def _new_chunk(self, symbol: str, number: int) -> tuple[Sequence[int], Sequence[Shown]]:
        market = self._engine.market
        sessions = range(number * CHUNK, min((number + 1) * CHUNK, len(market.calendar.market)))
        chunk = [self._shown(bar) for index in sessions for bar in market.day(symbol, index).bars]
        return [shown.at_us for shown in chunk], chunk

    def _shown(self, bar: Bar) -> Shown:
        return Shown(
            bar.end_us, bar.close, self._bid(bar.close), self._ask(bar.close), self._bid(bar.low), self._ask(bar.high)
        )


def _after(foreseen: Sequence[tuple[int, Decimal]], at_us: int) -> int:
    return bisect_right(foreseen, at_us, key=itemgetter(0))
