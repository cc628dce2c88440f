"""Find price shocks after which entries wait: in closed minute bars, and in records of earlier passes.

Nothing is kept in memory, so a restart changes nothing. The bars come from the local store, which fetches missing ones.
The decisions of recorded passes tell how far a contract's price was from its coin's.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import inf
from typing import NamedTuple

from tradebot.errors import TradebotError
from tradebot.model.desk import Desk, Shock, Shocks
from tradebot.model.limits import Limits
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.series import Series
from tradebot.model.view import BarNeed
from tradebot.ports.world import World

MINUTE, MINUTE_S = "1Min", 60
NEARLY = 0.999
"""The share of a limit below which a float is certainly below it."""


class RecentShocks(NamedTuple):
    """The shocks in minute bars, and the symbols that have bars."""

    shocks: tuple[Shock, ...]
    known: frozenset[str]


def recent_shocks(world: World, now: datetime) -> RecentShocks | None:
    """Return the shocks in the bars of the last minutes; None if no limit needs them, or if they can't be read.

    All symbols of the bot are checked, because a shock in many symbols blocks all entries. Bars may have to be fetched,
    so this runs before a pass takes its lock.
    """
    limits = world.rules.limits
    if limits.shock_wait_s is None or not _of_minutes(limits):
        return None
    need = BarNeed(MINUTE, limits.shock_wait_s // MINUTE_S + 2, adjusted=False)
    try:
        series = world.bars.closed(need, world.rules.every_symbol, now)
    except TradebotError:
        return None
    return RecentShocks(
        tuple(shock for bars in series.values() for shock in shocks_in_bars(bars, limits)), frozenset(series)
    )


def shocks_on(world: World, desk: Desk, moves: RecentShocks | None) -> Shocks | None:
    """Return the shocks recent enough to make entries wait; None if no limit needs them, or if they are unknown."""
    limits, wait_s = world.rules.limits, world.rules.limits.shock_wait_s
    if wait_s is None or (moves is None and _of_minutes(limits)):
        return None
    since, shocks = desk.now - timedelta(seconds=wait_s), list(moves.shocks if moves else ())
    if limits.max_basis_shock_fraction is not None:
        shocks += shocks_in_passes(world.facts.cycles(job=Job.TRADE_ONCE, since=since))
        shocks += [Shock(desk.now, symbol) for symbol in _apart(desk, limits.max_basis_shock_fraction)]
    recent = [shock for shock in shocks if shock.at > since]
    return Shocks.of(recent, moves.known if moves else world.rules.every_symbol, limits.max_shocked_symbols)


def _of_minutes(limits: Limits) -> bool:
    return limits.max_minute_move_fraction is not None or limits.max_minute_range_fraction is not None


def shocks_in_bars(series: Series, limits: Limits) -> Iterator[Shock]:
    """Yield a shock at the end of each minute whose close is too far from the previous one, or whose range is too wide.

    A minute without a trade has no bar, so a move over several such minutes counts for the minute whose bar shows it.
    """
    move, span = limits.max_minute_move_fraction, limits.max_minute_range_fraction
    # Comparing a float with a decimal is exact, but slow; nearly all minutes are far below both.
    near_move, near_span = (inf if limit is None else float(limit) * NEARLY for limit in (move, span))
    previous_closes = [*series.open[:1], *series.close[:-1]]
    bars = zip(series.starts, previous_closes, series.close, series.high, series.low, strict=True)
    for start, before, close, high, low in bars:
        moved, ranged = abs(close / before - 1), high / low - 1
        if moved < near_move and ranged < near_span:
            continue
        if (move is not None and moved >= move) or (span is not None and ranged >= span):
            yield Shock(datetime.fromtimestamp(start + MINUTE_S, UTC), series.symbol)


def shocks_in_passes(cycles: Sequence[CycleRecord]) -> Iterator[Shock]:
    """Yield a shock for each recorded candidate that was refused because its price was too far from its coin's."""
    for cycle in cycles:
        for record in cycle.candidates:
            if any(decision.reason is Reason.BASIS_SHOCK for decision in record.decisions):
                yield Shock(cycle.at, record.candidate.symbol)


def _apart(desk: Desk, limit: Decimal) -> Iterable[str]:
    """Return the symbols that are too far from their coins now."""
    premiums = ((symbol, quote.premium) for symbol, quote in desk.quotes.items())
    return [symbol for symbol, premium in premiums if premium is not None and abs(premium) >= limit]
