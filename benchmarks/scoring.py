"""Measure what scores cost: all signals of many symbols, the arithmetic beside bare numpy, and memory.

The facts are rows made from what each kind documents, read by the same code as a source's answers. Explanations aren't
part of a score: they are built for what is shown. How soon `score` is done from a cold start is in startup.py.
"""

import gc
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

import numpy as np

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from tests.kit.signals.source_rows import row, seeded, summed_up
from tests.kit.values import NOW, SHIPPED
from tradebot.__main__ import UNCOLLECTED
from tradebot.model.candidate import Component
from tradebot.model.kind import AnyKind, Scope
from tradebot.model.record import SymbolFacts
from tradebot.model.view import StrategyView
from tradebot.signals.components import component_names, component_of
from tradebot.signals.kinds import kinds
from tradebot.strategies.flow import FlowStrategy, weigh

SYMBOLS, MANY, RUNS = sized((500, 10_000, 9), (5, 100, 1))
ROWS = {"flow_alerts": 20, "dark_pool": 60, "oi_change": 50, "greek_exposure": 250, "net_prem_ticks": 90}
"""How many rows are known of a symbol ninety minutes into a session; of the other kinds, 20."""
BOUND_MS, BOUND_RATIO, BOUND_MB = 60, 5, 400


def every_weight() -> Mapping[str, float]:
    """Return a weight for every component; what follows flow weighs as much as flow together."""
    following = [name for name in component_names() if component_of(name).follows]
    return {name: 1 / len(following) if name in following else 1.0 for name in component_names()}


def rows_of(kind: AnyKind, chance: Random) -> list[dict[str, object]]:
    return [row(kind, chance) for _ in range(ROWS.get(kind.name, 20))]


def view_of(size: int) -> StrategyView:
    """Return a view of so many symbols, each with facts of every kind; no two have the same."""
    symbols, facts, market = [f"S{number:05}" for number in range(size)], dict[str, SymbolFacts](), dict[str, Any]()
    own = [kind for kind in kinds().values() if kind.scope in (Scope.SYMBOL, Scope.FUND)]
    for number, symbol in enumerate(symbols):
        chance = seeded(number)
        known = {kind.name: summed_up(kind.name, *rows_of(kind, chance)) for kind in own}
        there = {name: value for name, value in known.items() if value is not None}
        facts[symbol] = SymbolFacts(symbol, there, alerts_fetched_at=NOW, received=20)
    for kind in kinds().values():
        if kind not in own and (value := summed_up(kind.name, *rows_of(kind, seeded(7)))) is not None:
            market[kind.name] = {"Technology": value} if kind.scope is Scope.SECTOR else value
    return StrategyView(NOW, symbols, facts, market, sectors=dict.fromkeys(symbols, "technology"))


def median_s(work: Callable[[], object], runs: int = RUNS) -> float:
    """Return the median wall time of some work in seconds; the first run isn't counted."""
    work()
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def peak_mb() -> float:
    """Return the most memory that this process has held, in MB; Linux counts in KiB and macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def scored(weights: Mapping[str, float], view: StrategyView) -> tuple[float, float]:
    """Return the seconds that all symbols take with these weights, and how many components had data on average."""
    strategy = FlowStrategy({**SHIPPED.strategies.in_use()["flow"], "weights": weights})
    wants = strategy.propose(view)
    assert len(wants) == len(view.universe), "every symbol must have been scored"
    present = sum(part.value is not None for want in wants for part in want.components) / len(wants)
    assert present > len(weights) / 2, "most components must have data"
    return median_s(lambda: strategy.propose(view)), present


def weighed(parts: int) -> tuple[float, float]:
    """Return the seconds that our arithmetic and bare numpy take to weigh so many values of each of many symbols.

    Both begin with the values as components give them, some of them absent, and end with a number for each symbol.
    """
    chance = seeded(parts)
    weights = [chance.random() for _ in range(parts)]
    values = [[chance.uniform(-1, 1) if chance.random() < 0.8 else None for _ in weights] for _ in range(MANY)]
    components = [[Component("c", v, w, "") for v, w in zip(row, weights, strict=True)] for row in values]

    def bare() -> list[list[float]]:
        matrix, weight = np.array(values, dtype=float), np.array(weights)
        there = ~np.isnan(matrix)
        sums = np.where(there, matrix, 0.0) @ weight, there @ weight
        return [(each / weight.sum()).tolist() for each in sums]

    ours = [weigh(row) for row in components]
    assert np.allclose(np.array(ours).T, bare()), "both must compute the same"
    return median_s(lambda: [weigh(row) for row in components]), median_s(bare)


def figures() -> Iterator[Figure]:
    """Yield a line for each measurement."""
    assert SHIPPED.strategies.flow is not None
    view, shipped = view_of(SYMBOLS), SHIPPED.strategies.flow.weights
    for name, weights, bound in (("all signals", every_weight(), BOUND_MS), ("the shipped weights", shipped, None)):
        took_s, present = scored(weights, view)
        found = f"{present:.0f} of {len(weights)} components, {took_s / SYMBOLS * 1e6:.0f} µs a symbol"
        yield Figure(f"{SYMBOLS} symbols, {name}", found, took_s * 1000, "ms", bound)
    yield Figure("peak memory", "", peak_mb(), "MB", BOUND_MB)
    for parts in (len(shipped), len(component_names())):
        ours_s, bare_s = weighed(parts)
        found = f"{ours_s * 1000:.1f} ms, numpy {bare_s * 1000:.1f} ms"
        yield Figure(
            f"{MANY:,} symbols weighed, {parts} components", found, ours_s / bare_s, "times numpy", BOUND_RATIO
        )


if __name__ == "__main__":
    # The garbage collector is set as the `tradebot` command sets it.
    gc.set_threshold(UNCOLLECTED)
    show(f"scoring, medians of {RUNS} runs in one process", figures())
