"""Find moves of prices after which entries wait: in closed minute bars, and in what earlier passes recorded.

Nothing of it is kept in memory, so a restart changes nothing. The bars come from the local store of bars, which fetches
what it lacks; how far a contract was from its coin stands in the decisions of recorded passes.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from tradebot.errors import TradebotError
from tradebot.model.desk import Desk
from tradebot.model.limits import Limits
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.series import Series
from tradebot.model.shock import Shock, Shocks
from tradebot.model.view import BarNeed
from tradebot.ports.world import World

MINUTE, MINUTE_S = "1Min", 60


def look_for_shocks(world: World, desk: Desk) -> Shocks | None:
    """Return the shocks of the wait before now; None if no limit asks, or if the bars can't be read.

    All symbols of the bot's universe are looked at, because a shock of many holds back all entries.
    """
    limits, wait_s = world.rules.limits, world.rules.limits.shock_wait_s
    if wait_s is None:
        return None
    since, symbols = desk.now - timedelta(seconds=wait_s), world.rules.every_symbol
    found, known = list[Shock](), set(symbols)
    if limits.max_minute_move_fraction is not None or limits.max_minute_range_fraction is not None:
        need = BarNeed(MINUTE, wait_s // MINUTE_S + 2, adjusted=False)
        try:
            series = world.bars.closed(need, symbols, desk.now)
        except TradebotError:
            return None
        known = set(series)
        found += [shock for one in series.values() for shock in of_bars(one, limits) if shock.at > since]
    if limits.max_basis_shock_fraction is not None:
        found += of_passes(world.facts.cycles(job=Job.TRADE_ONCE, since=since))
        found += [Shock(desk.now, symbol) for symbol in _apart(desk, float(limits.max_basis_shock_fraction))]
    return Shocks.of(found, known, limits.max_shocked_symbols)


def of_bars(series: Series, limits: Limits) -> Iterator[Shock]:
    """Yield a shock at the end of each minute whose close is too far from the one before, or whose range is too wide.

    A minute without a trade has no bar, so a move over several such minutes counts as one of the minute that shows it.
    """
    move, span = limits.max_minute_move_fraction, limits.max_minute_range_fraction
    for place, start in enumerate(series.starts):
        before = series.close[place - 1] if place else series.open[place]
        moved = abs(series.close[place] / before - 1)
        ranged = series.high[place] / series.low[place] - 1
        if (move is not None and moved >= move) or (span is not None and ranged >= span):
            yield Shock(_end(start), series.symbol)


def of_passes(cycles: Sequence[CycleRecord]) -> Iterator[Shock]:
    """Yield a shock for each candidate that a recorded pass found too far from its coin."""
    for cycle in cycles:
        for record in cycle.candidates:
            if any(decision.reason is Reason.BASIS_SHOCK for decision in record.decisions):
                yield Shock(cycle.at, record.candidate.symbol)


def _apart(desk: Desk, limit: float) -> Iterable[str]:
    """Return the symbols that are too far from their coins now."""
    premiums = ((symbol, quote.premium) for symbol, quote in desk.quotes.items())
    return [symbol for symbol, premium in premiums if premium is not None and abs(premium) >= limit]


def _end(start_s: int) -> datetime:
    return datetime.fromtimestamp(start_s + MINUTE_S, UTC)
