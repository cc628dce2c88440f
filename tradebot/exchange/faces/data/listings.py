"""Resolve a symbol to a company's data and its time span; after a name change the old symbol keeps its past."""

from __future__ import annotations

from typing import NamedTuple

from tradebot.exchange.market.actions import CASH_MERGER, NAME_CHANGE, Action
from tradebot.exchange.market.bars import Market
from tradebot.exchange.times import at_new_york

ALONE = "-"
"""The as-of date that takes symbols as given, ignoring former names."""
_NEVER, _FOR_EVER = -(2**62), 2**62


class Listing(NamedTuple):
    """A symbol with the first and last moment of its data."""

    symbol: str
    from_us: int = _NEVER
    until_us: int = _FOR_EVER


def listing(market: Market, symbol: str, asof_us: int | None) -> Listing | None:
    """Return the listing of a symbol, or None if the symbol doesn't mean anything yet.

    A symbol listed at `asof_us` has its company's entire past, under former and later names. Any other, and every
    symbol if that is None, has only what was traded under it.
    """
    delisted = {action.symbol for action in market.actions if action.kind in (NAME_CHANGE, CASH_MERGER)}
    if symbol not in market.known and symbol not in delisted:
        return None
    named = market.actions.renaming
    if not named and asof_us is not None:
        return Listing(symbol)
    began = max((_day_of(action) for action in named if action.new_symbol == symbol), default=_NEVER)
    ended = min((_day_of(action) for action in named if action.symbol == symbol), default=_FOR_EVER)
    if asof_us is not None and began <= asof_us < ended:
        return Listing(symbol)
    return Listing(symbol, began, ended - 1)


def _day_of(action: Action) -> int:
    """Return the midnight when an action's first day begins, which is also the timestamp of its daily bar."""
    return at_new_york(action.ex_date, 0)
