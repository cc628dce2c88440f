"""Apply the roll rule to find out which futures contracts a bot needs from a file of recorded bars, and which bars are
missing.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from papervenue.times import HOUR
from tradebot.app.sandbox import is_root
from tradebot.app.venues import driver_for
from tradebot.errors import OperatorError
from tradebot.lab.backtest.engine_conversion import session_of
from tradebot.model.sentences import pluralize

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from tradebot.app.settings import Settings
    from tradebot.lab.backtest.market import OpenedMarket

_LONGEST_PAUSE_US = HOUR
"""The longest gap without bars at a session's start or end, in microseconds."""
_LISTED = 3


class _Needed(NamedTuple):
    """A contract, and the first and last session in which its bars are needed."""

    symbol: str
    first: int
    last: int


def roots_in(settings: Settings, contracts: Collection[str]) -> list[str]:
    """Return the universe's roots that have contracts in a file; at a venue without contracts, return the whole
    universe.

    Raise OperatorError if no root has any.
    """
    door = driver_for(settings.venue)
    if door.months is None:
        return list(settings.universe)
    roots = {door.coin(symbol) for symbol in contracts}
    symbols = [name for name in settings.universe if door.coin(name) in roots]
    if not symbols:
        there = f"contracts of {', '.join(sorted(roots))}" if roots else "no contract, such as MESZ6"
        hint = (
            f"add --symbols {','.join(sorted(roots))}, or --symbol for a policy"
            if roots
            else "name the contracts as Interactive Brokers does"
        )
        raise OperatorError(f"the file has {there}, but the universe is {', '.join(settings.universe)}", hint)
    return symbols


def describe_missing_contracts(settings: Settings, market: OpenedMarket) -> str:
    """Describe the sessions in which a needed contract has no bars, or none for over an hour at the start or end.

    The text is empty if there are no such sessions. Raise OperatorError if bars are missing at the start or end of the
    whole period.
    """
    missing = []
    for due in _contracts_needed(settings, market):
        sessions, places = market.calendar_of(due.symbol).market, range(due.first, due.last + 1)
        without = [index for index in places if not market.source.bars(due.symbol, index)]
        gone = {*takewhile(without.__contains__, places), *takewhile(without.__contains__, reversed(places))}
        if gone:
            days = [sessions[index].date for index in sorted(gone)]
            raise OperatorError(
                f"{market.spec.path} has no bar of {due.symbol} in {pluralize(len(days), 'session')} in which"
                f" the bot trades that contract: {days[0]}" + (f" to {days[-1]}" if len(days) > 1 else ""),
                "add its bars, or play other sessions: --from and --to",
            )
        if without:
            missing.append(f"{due.symbol} has none on {_dates(sessions[index].date for index in without)}")
        if short := [index for index in places if index not in without and _is_cut(market, due.symbol, index)]:
            cut = _dates(sessions[index].date for index in short)
            missing.append(f"{due.symbol} has none for over an hour at the start or end of {cut}")
    return "; ".join(missing)


def _dates(days: Iterable[str]) -> str:
    every = [*days]
    more = f" and {len(every) - _LISTED} more" if len(every) > _LISTED else ""
    return f"{', '.join(every[:_LISTED])}{more}"


def _is_cut(market: OpenedMarket, symbol: str, index: int) -> bool:
    """Return True if a session has a long gap at its start or end."""
    session, bars = market.calendar_of(symbol).market[index], market.source.bars(symbol, index)
    last_us = market.grids[symbol].last_us
    ends_us = session.close_us if last_us is None else min(session.close_us, last_us)
    pauses = bars[0].start_us - session.open_us, ends_us - bars[-1].end_us
    return max(pauses) > _LONGEST_PAUSE_US


def _contracts_needed(settings: Settings, market: OpenedMarket) -> Iterator[_Needed]:
    """Yield each root's contracts with the sessions in which their bars are needed.

    These start at the session before a roll's date, at whose close the contracts are joined, and end at the next
    roll's.
    """
    door = driver_for(settings.venue)
    if door.months is None or not market.spec.venue.of_months:
        return
    for name in settings.universe:
        root = door.coin(name)
        listed = next(instrument.symbol for instrument in market.spec.venue.instruments if instrument.root == root)
        days = [session_of(session).date for session in market.calendar_of(listed).market]
        enters = 0
        for month in door.months(root, days[0], days[-1]):
            remaining = bisect_left(days, month.rolling.on)
            if month.rolling.on > days[0] and (is_root(settings.venue, name) or door.symbol(name) == month.symbol):
                yield _Needed(month.symbol, enters, min(remaining, len(days) - 1))
            enters = max(remaining - 1, 0)
            if remaining >= len(days):
                break
