"""Measure what a strategy's answer costs in its own process, beside the same strategy in this process.

The first answer includes the start of the process, its confinement and what the strategy imports and declares. Later
ones go to the same process; each includes copying the view there, and checking the wants on both sides.
"""

import os
import statistics
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

from benchmarks.support.sizes import sized
from tradebot.model.candidate import Side
from tradebot.model.series import DAY, Series, SeriesKey
from tradebot.model.view import BarNeed, Needs, Open, StrategyView

if TYPE_CHECKING:
    from benchmarks.support.figures import Figure
    from tradebot.ports.strategy import Strategy

STARTS, ANSWERS = sized((7, 25), (1, 1))
BARS = 127
FLOW, MOMENTUM = "tradebot.strategies.flow:FlowStrategy", "plugin_answer:Momentum"
BOUND_FIRST_MS, BOUND_LATER_MS = 1_000, {20: 10, 500: 250}


class Momentum:
    """Buys what rose and sells what fell over all the bars it sees."""

    name = "momentum"
    needs = Needs(bars=(BarNeed(DAY, BARS),))
    times = ""

    def __init__(self, settings: Mapping[str, object]) -> None:
        assert not settings

    def propose(self, view: StrategyView) -> Sequence[Open]:
        """Return a want for each symbol."""
        return [self._want(view.bars(symbol)) for symbol in view.universe]

    def _want(self, bars: Series) -> Open:
        change = max(min(bars.close[-1] / bars.close[0] - 1, 1.0), -1.0)
        return Open(bars.symbol, Side.BUY if change >= 0 else Side.SELL, change)


def with_flow(count: int) -> StrategyView:
    """Return a view with as many facts of each symbol as are usual ninety minutes into a session."""
    from benchmarks import cycle

    symbols = [f"S{number:04}" for number in range(count)]
    facts = cycle.LoadedFacts(symbols, cycle.LOADS["usual"])
    return StrategyView(
        cycle.NOW, tuple(symbols), facts.load(symbols, cycle.DAY, cycle.NOW), facts.market(cycle.DAY, cycle.NOW)
    )


def with_bars(count: int) -> StrategyView:
    """Return a view with the daily bars of each symbol."""
    from benchmarks import cycle

    symbols = tuple(f"S{number:04}" for number in range(count))
    return StrategyView(
        cycle.NOW, symbols, series={SeriesKey(s, DAY, True): series(s, n) for n, s in enumerate(symbols)}
    )


def series(symbol: str, number: int) -> Series:
    """Return bars of which no two are alike."""
    starts = array("q", (86_400 * day for day in range(BARS)))
    opening, high, low, close, volume = (
        array("d", (100 + number + day / 7 + step for day in range(BARS))) for step in range(5)
    )
    return Series(symbol, DAY, True, starts, opening, high, low, close, volume)


def ms(step: Callable[[], object]) -> float:
    """Return how long a step takes, in milliseconds."""
    began = time.perf_counter()
    step()
    return (time.perf_counter() - began) * 1000


def later_ms(strategy: "Strategy", view: StrategyView) -> float:
    """Return the median of an answer's wall time, in milliseconds; the strategy has answered before."""
    assert len(strategy.propose(view)) == len(view.universe)  # type: ignore[arg-type]
    return statistics.median(ms(lambda: strategy.propose(view)) for _ in range(ANSWERS))


def figures(name: str, target: str, settings: Mapping[str, object], view: StrategyView) -> Iterator["Figure"]:
    """Yield what the first and the later answers cost to a strategy in its own process and to one in this process."""
    from benchmarks.support.figures import Figure
    from tradebot.adapters.plugins.plugin import PluginStrategy, Surroundings
    from tradebot.adapters.plugins.protocol import GROUP, Bounds

    point = EntryPoint("measured", target, GROUP)
    surroundings = Surroundings(Bounds(30.0, 2**31), os.environ, ())
    first, later = [], 0.0
    for _ in range(STARTS):
        with closing(PluginStrategy(point, settings, surroundings)) as plugin:
            first.append(ms(lambda plugin=plugin: (plugin.needs, plugin.propose(view))))  # type: ignore[misc]
            later = later or later_ms(plugin, view)
    here = later_ms(point.load()(settings), view)
    yield Figure(f"{name}: first answer", "with the start", statistics.median(first), "ms", BOUND_FIRST_MS)
    yield Figure(f"{name}: later answers", "", later, "ms", BOUND_LATER_MS[len(view.universe)])
    yield Figure(f"{name}: in this process", "", here, "ms")


def main() -> None:
    """Measure each case and print one table."""
    from benchmarks.support.figures import show
    from tradebot.app.settings import load

    flow = load(None, {}).settings.strategies.in_use()["flow"]
    cases = [
        *figures("flow of 20 symbols", FLOW, flow, with_flow(20)),
        *figures("flow of 500 symbols", FLOW, flow, with_flow(500)),
        *figures(f"{BARS} daily bars of 20 symbols", MOMENTUM, {}, with_bars(20)),
    ]
    show(f"one answer of a strategy; medians of {STARTS} starts and {ANSWERS} later answers", cases)


if __name__ == "__main__":
    main()
