"""The splits and dividends that adjust a symbol's bars, computed from what was known at a moment."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from tradebot.adapters.bars.merging import steps_of
from tradebot.adapters.bars.source import DIVIDEND, SPLIT, CorporateAction
from tradebot.adapters.bars.store import PriceStep, RawBar
from tradebot.exchange.market import actions as words
from tradebot.exchange.times import at_new_york

if TYPE_CHECKING:
    from tradebot.app.backtest.lines import Line
    from tradebot.exchange.market.actions import Action
    from tradebot.exchange.market.bars import Market

_MOST_NAMES = 3
"""How many earlier names of a company are followed."""
_NEVER = 2**62


class Steps:
    """A symbol's price steps. They are computed again only when another of its actions comes into force."""

    def __init__(self, market: Market, symbol: str, days: Callable[[], Line]) -> None:
        self._actions = sorted(market.actions.of(symbol), key=_in_force_us)
        self._turns_us = [_in_force_us(action) for action in self._actions]
        self._symbol = symbol
        self._days = days
        self._valid = (0, 0)
        self._steps: Sequence[PriceStep] = ()
        self._known: dict[CorporateAction, Sequence[PriceStep]] = {}

    def at(self, until_us: int) -> Sequence[PriceStep]:
        """Return the steps in force at a moment, oldest first; the same object as before if they are the same."""
        from_us, to_us = self._valid
        if not from_us <= until_us < to_us:
            self._renew(until_us)
        return self._steps

    def _renew(self, until_us: int) -> None:
        turns, count = self._turns_us, bisect_right(self._turns_us, until_us)
        self._valid = turns[count - 1] if count else -_NEVER, turns[count] if count < len(turns) else _NEVER
        actions = sorted(map(_translated, self._own(self._actions[:count])))
        self._steps = [step for action in actions for step in self._step(action)]

    def _own(self, in_force: Sequence[Action]) -> Iterator[Action]:
        """Yield the splits and dividends in force under the symbol and under the company's earlier names."""
        names = {self._symbol}
        for _ in range(_MOST_NAMES):
            names |= {one.symbol for one in in_force if one.kind == words.NAME_CHANGE and one.new_symbol in names}
        return (one for one in in_force if one.symbol in names and one.kind in (words.DIVIDEND, *words.SPLITS))

    def _step(self, action: CorporateAction) -> Sequence[PriceStep]:
        """Return the step of an action; none for a dividend without a close before it, or not below that."""
        if action not in self._known:
            self._known[action] = steps_of([action], self._day_before(action.ex_date))
        return self._known[action]

    def _day_before(self, day: date) -> list[RawBar]:
        line, columns = self._days(), self._days().columns
        count = line.reach(at_new_york(day.isoformat(), 0))
        if not count:
            return []
        close = columns.close[count - 1]
        return [RawBar(columns.starts[count - 1], close, close, close, close, 0.0)]


def _in_force_us(action: Action) -> int:
    """Return from when on bars are adjusted for an action: the start of its ex-date, if it is known by then."""
    return max(at_new_york(action.ex_date, 0), action.declared_us)


def _translated(action: Action) -> CorporateAction:
    """Return an action as it is read from the API, which tells rates as floating-point numbers."""
    ex_date = date.fromisoformat(action.ex_date)
    if action.kind == words.DIVIDEND:
        return CorporateAction(ex_date, DIVIDEND, float(action.rate))
    new, old = (Decimal(repr(float(rate))) for rate in (action.new_rate, action.old_rate))
    return CorporateAction(ex_date, SPLIT, float(new / old))
