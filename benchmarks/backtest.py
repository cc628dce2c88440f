"""Measure backtests from their first session to their last, without reading prices and importing modules.

Each run is its own process. The figure is CPU time, because another program can only delay a run; for the plug-in,
which has its own process, it is wall time. Name cases to measure only those.
"""

import argparse
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.support import past_prices
from benchmarks.support.crossing import EXITS, Crossing, PandasCrossing
from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from tradebot.__main__ import UNCOLLECTED
from tradebot.app.settings import Settings, load, shipped_path
from tradebot.model.struct_tools import replace

if TYPE_CHECKING:
    from tradebot.lab.backtest.market import OpenedMarket
    from tradebot.lab.backtest.setup import BacktestSetup
    from tradebot.ports.strategy import Strategy

RUNS = sized(3, 1)
STATE = Path(__file__).parents[1] / "state"
ROTATION = "studies/rotation_honest.yaml"
FUNDS = ("XLK", "XLF", "XLE", "XLV", "XLI", "XLP", "XLU", "XLY", "XLC", "XLB", "XLRE", "TLT")
YEARS_20, YEARS_10, LOOKBACK = sized((5_040, 2_520, 200), (30, 30, 200))
MANY = tuple(f"{a}{b}{c}{d}" for a in "Q" for b in "ABCDEFGHIJ" for c in "ABCDEFGHIJ" for d in "ABCDE")
MINUTES = sized(1_000_000, 2_000)
SYMBOL = "SPY"
FIRST = date(2004, 1, 2)
LATER = date(2014, 1, 2)
MB = 1024


@dataclass(frozen=True)
class Case:
    """A measurement: its price file, its settings, its strategy, and its bound in seconds."""

    title: str
    file: str
    settings: Callable[[], Settings]
    strategies: Callable[[Settings], Sequence["Strategy"]]
    sessions: int = 0
    level: str = "full"
    bound_s: float | None = None
    waits: bool = False


def rotation() -> Settings:
    """Return the settings of the study with honest assumptions about the rotation."""
    return load(shipped_path(ROTATION), {}).settings


def momentum() -> Settings:
    """Return the rotation's settings for many symbols, of which it holds a tenth."""
    ours = {"ranked": list(MANY), "defensive": None, "top": 50, "leverage": 1, "limits": {"max_open_positions": 100}}
    limits = {
        "max_open_positions": 100,
        "max_new_entries": 100,
        "max_session_entries": 1_000,
        "max_orders_per_second": 100,
        "max_orders_per_minute": 1_000,
    }
    changes = {
        "universe": list(MANY),
        "sectors": dict.fromkeys(MANY, "technology"),
        "strategies": {"rotation": ours},
        "limits": limits,
    }
    return load(shipped_path(ROTATION), {}, changes).settings


def intraday() -> Settings:
    """Return the shipped settings for one symbol; each position is a fifth of the account."""
    limits = {"max_order_fraction": 0.2, "max_symbol_fraction": 0.2, "max_order_notional_usd": 100_000}
    return load(None, {}, {"universe": [SYMBOL], "limits": limits}).settings


def _rotation(settings: Settings) -> Sequence["Strategy"]:
    from tradebot.strategies.rotation import RotationStrategy

    return [RotationStrategy(settings.strategies.in_use()["rotation"])]


def _plugin(settings: Settings) -> Sequence["Strategy"]:
    from tradebot.adapters.plugins.plugin import PluginEnvironment, PluginStrategy
    from tradebot.adapters.plugins.protocol import GROUP, AnswerBounds

    point = EntryPoint("crossing", "benchmarks.support.crossing:Crossing", GROUP)
    return [PluginStrategy(point, {}, PluginEnvironment(AnswerBounds(30.0, 2**31), os.environ, ()), "crossing")]


CASES: Mapping[str, Case] = {
    "rotation": Case(f"rotation, 12 funds, {YEARS_20:,} days", "funds.csv", rotation, _rotation, YEARS_20, bound_s=0.8),
    "minutes": Case(
        "a million minutes, plain arrays", "minutes.csv", intraday, lambda _: [Crossing({})], level="counts", bound_s=20
    ),
    "pandas": Case(
        "the same on a pandas frame", "minutes.csv", intraday, lambda _: [PandasCrossing({})], level="counts"
    ),
    "plugin": Case("the same as a plug-in", "minutes.csv", intraday, _plugin, level="counts", waits=True),
    "momentum": Case(
        f"momentum, 500 symbols, {YEARS_10:,} days",
        "many.csv",
        momentum,
        _rotation,
        YEARS_10,
        level="counts",
        bound_s=30,
    ),
}


def write(folder: Path, files: Sequence[str]) -> None:
    """Write the price files that the cases need."""
    if "funds.csv" in files:
        past_prices.daily(folder / "funds.csv", FUNDS, past_prices.sessions(FIRST, YEARS_20 + LOOKBACK))
    if "many.csv" in files:
        past_prices.daily(folder / "many.csv", MANY, past_prices.sessions(LATER, YEARS_10 + LOOKBACK))
    if "minutes.csv" in files:
        count = past_prices.minutes(folder / "minutes.csv", SYMBOL, LATER, MINUTES)
        (folder / "sessions").write_text(str(count))


def opened(case: Case, settings: Settings, folder: Path) -> "OpenedMarket":
    """Read a case's prices."""
    from papervenue.market.spec import CLOSE, MarketSpec
    from tradebot.lab.backtest.market import open_market_in_memory

    path = str(folder / case.file)
    symbols = tuple(settings.universe)
    if not case.sessions:
        count = int((folder / "sessions").read_text())
        spec = MarketSpec(start=LATER, source="csv", bar_stamp="start", path=path, symbols=symbols, sessions=count)
    else:
        first = past_prices.sessions(FIRST if case.file == "funds.csv" else LATER, LOOKBACK + 1)[-1]
        spec = MarketSpec(
            start=first,
            source="daily",
            path=path,
            symbols=symbols,
            sessions=case.sessions,
            fill=CLOSE._replace(quotes="last", slippage_bps=Decimal(5)),
        )
    return open_market_in_memory(spec)


def assembled(case: Case, settings: Settings, market: "OpenedMarket") -> "BacktestSetup":
    """Return a backtest at the beginning of its market."""
    from tradebot.adapters.memory.facts import MemoryFacts
    from tradebot.adapters.memory.recorder import RecordLevel
    from tradebot.lab.backtest.setup import assemble

    in_use = case.strategies(settings)
    setup = assemble(settings, market.spec, in_use, MemoryFacts(RecordLevel(case.level)), market=market)
    rules = replace(setup.world.rules, own_exits={**setup.world.rules.own_exits, "crossing": EXITS})
    return replace(setup, world=replace(setup.world, rules=rules))


def play(settings: Settings, setup: "BacktestSetup", *, most: int | None, every_pass: bool) -> dict[str, Any]:
    """Play all sessions, and return the figures of the run."""
    from tradebot.lab.driver.driver import Driver, DriverTerms

    terms = DriverTerms(settings.timetable, every_pass=every_pass, before_asking=setup.before_asking)
    driver = Driver(setup.world, setup.advance, setup.ahead, terms)
    driver.reconcile()
    equity = None
    for end in map(driver.play, setup.sessions[:most]):
        equity = end.equity
    driver.reconcile()
    return {
        "ran": driver.count.ran,
        "fills": len(setup.ledger.fills()),
        "equity": str(equity),
        "due": driver.count.due,
    }


def measure_here(case: Case, options: argparse.Namespace) -> None:
    """Print the figures of one run as JSON."""
    # As the `tradebot` command configures the garbage collector.
    gc.set_threshold(UNCOLLECTED)
    settings = case.settings()
    began = time.process_time()
    market = opened(case, settings, options.folder)
    loading_s = time.process_time() - began
    setup = assembled(case, settings, market)
    with _profile() if options.profile else _nothing():
        wall, processor = time.perf_counter(), time.process_time()
        done = play(settings, setup, most=options.sessions, every_pass=options.every_pass)
        wall_s, processor_s = time.perf_counter() - wall, time.process_time() - processor
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MB
    bars = sum(len(setup.engine.market.day(settings.universe[0], n).bars) for n in range(len(setup.sessions)))
    whole = bars if not case.sessions else case.sessions * len(settings.universe)
    took = {"wall_s": wall_s, "processor_s": processor_s, "loading_s": loading_s, "peak_mb": peak_mb, "bars": whole}
    print(json.dumps(done | took))
    from tradebot.adapters.plugins.plugin import close

    close(setup.world.strategies)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _profile() -> Iterator[None]:
    import cProfile
    import pstats

    profile = cProfile.Profile()
    profile.enable()
    yield
    profile.disable()
    pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(60)
    pstats.Stats(profile, stream=sys.stderr).sort_stats("cumtime").print_stats(90)


def run(name: str, folder: Path) -> dict[str, Any]:
    """Run a case in its own process."""
    command = [sys.executable, __file__, "--here", name, "--folder", str(folder)]
    completed = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(completed.stdout)
    return result


def figure(name: str, folder: Path, runs: int) -> Figure:
    """Return the median of some runs of a case."""
    case, results = CASES[name], [run(name, folder) for _ in range(runs)]
    middle = {key: statistics.median(one[key] for one in results) for key in ("wall_s", "processor_s", "loading_s")}
    taken_s, one = middle["wall_s" if case.waits else "processor_s"], results[0]
    measured = (
        f"{one['bars'] / taken_s:,.0f} bars/s, {one['fills']:,} fills, wall {middle['wall_s']:.1f}, "
        f"loading {middle['loading_s']:.1f}, {max(each['peak_mb'] for each in results):,.0f} MB"
    )
    return Figure(case.title, measured, taken_s, "s", case.bound_s)


def main() -> int:
    """Measure all cases, or run one case in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], default=[])
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--folder", type=Path, help="folder for the price files; existing ones are used again")
    parser.add_argument("--here")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--every-pass", action="store_true")
    parser.add_argument("--sessions", type=int, help="play only this many sessions")
    options = parser.parse_args()
    if options.here:
        measure_here(CASES[options.here], options)
        return 0
    names = options.cases or sized(list(CASES), ["rotation", "minutes", "plugin"])
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        write(folder, [f for f in {CASES[name].file for name in names} if not (folder / f).exists()])
        return show("backtests", [figure(name, folder, options.runs) for name in names])


if __name__ == "__main__":
    sys.exit(main())
