"""Take SPY's prices from the market that a backtest played, or from its file, for the report to compare with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from tradebot.app.backtest.assembly import engine_of
from tradebot.app.backtest.bars import EngineBars
from tradebot.app.backtest.market import open_market_in_memory
from tradebot.errors import OperatorError
from tradebot.exchange.market.costs import NO_COSTS
from tradebot.model.evidence import DayPrice
from tradebot.model.needs import BarNeed
from tradebot.model.series import DAY
from tradebot.model.values import replace

if TYPE_CHECKING:
    from tradebot.app.backtest.run import Run
    from tradebot.exchange.market.spec import MarketSpec
    from tradebot.ports.bars import Bars

BENCHMARK = "SPY"
NOON = timedelta(hours=12)


class KeptBenchmark(NamedTuple):
    """The benchmark's daily prices, or why there are none, in a sentence."""

    prices: tuple[DayPrice, ...]
    problem: str = ""


def benchmark_of(run: Run) -> KeptBenchmark:
    """Return the benchmark's prices up to now, adjusted for the splits and dividends until then.

    A symbol that wasn't played is read from a file of daily bars if it is there.
    """
    try:
        bars = run.made.world.bars if BENCHMARK in run.market.symbols else _elsewhere(run.plan.spec)
    except OperatorError:
        return KeptBenchmark((), f"{BENCHMARK} isn't shown: the file that was played has no bars of it.")
    if bars is None:
        return KeptBenchmark((), f"{BENCHMARK} isn't shown: it isn't in the universe that was played.")
    return _read(bars, run)


def _elsewhere(spec: MarketSpec) -> Bars | None:
    """Return the benchmark's bars in a file of daily bars; None for any other market."""
    if spec.source != "daily":
        return None
    opened = open_market_in_memory(replace(spec, symbols=(BENCHMARK,), costs=NO_COSTS))
    return EngineBars(engine_of(opened, opened.spec), opened.days)


def _read(bars: Bars, run: Run) -> KeptBenchmark:
    # One session more, so that the first one has one before it.
    need = BarNeed(DAY, len(run.ends) + 1)
    found = bars.closed(need, [BENCHMARK], run.made.now()).get(BENCHMARK)
    if found is None:
        return KeptBenchmark((), f"{BENCHMARK} isn't shown: it has no bars in these sessions.")
    # A daily bar starts at midnight in New York, so half a day later it is its date everywhere.
    days = [(datetime.fromtimestamp(start, UTC) + NOON).date() for start in found.starts]
    return KeptBenchmark(tuple(map(DayPrice, days, found.open, found.close)))
