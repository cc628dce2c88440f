"""Measure a backtest of the flow strategy: 20 symbols, 20 sessions of minutes, every fetch of the shipped timetable."""

import argparse
import cProfile
import pstats
import sys
import time
from datetime import date
from pathlib import Path

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from papervenue.market.spec import MarketSpec
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.recorder import RecordLevel
from tradebot.app.settings import load
from tradebot.lab.backtest.market import open_market_in_memory
from tradebot.lab.backtest.setup import BacktestSetup, assemble, loaded_strategies
from tradebot.lab.driver.driver import Driver, DriverTerms

SESSIONS, SYMBOLS = sized((20, 20), (1, 2))
BOUND_S = 20.0
MODES = {"mode": "sandbox"}


def main() -> int:
    """Play the sessions once, and print how long each step took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--recorder", type=RecordLevel, default=RecordLevel.COUNTS, choices=list(RecordLevel))
    parser.add_argument("--profile", type=int, metavar="LINES", help="print the LINES functions that take most time")
    options = parser.parse_args()
    settings = load(None, {}, dict(MODES)).settings
    symbols = tuple(settings.universe)[:SYMBOLS]
    spec = MarketSpec(symbols=symbols, sessions=options.sessions, start=date(2025, 3, 3))
    began = time.perf_counter()
    market = open_market_in_memory(spec)
    opened_s = time.perf_counter() - began
    profile = cProfile.Profile()
    with loaded_strategies(settings, Path.cwd(), {}) as strategies:
        setup = assemble(settings, spec, strategies, MemoryFacts(options.recorder), market=market, with_flow=True)
        driver = Driver(setup.world, setup.advance, setup.ahead, DriverTerms(settings.timetable))
        if options.profile:
            profile.enable()
        began, cpu = time.perf_counter(), time.process_time()
        driver.reconcile()
        ends = list(map(driver.play, setup.sessions))
        driver.reconcile()
        profile.disable()
    played_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(options.profile)
    rate = (
        f"{len(symbols)} symbols, {len(ends)} sessions, {len(setup.ledger.fills())} fills, {_replies(setup):,} replies"
    )
    return show(
        "a backtest with flow",
        [
            Figure("opening the market", "", opened_s, "s"),
            Figure("playing", rate, played_s, "s"),
            Figure("playing, CPU", "", cpu_s, "s", BOUND_S * len(ends) / SESSIONS),
            Figure("a session", "", cpu_s / len(ends), "s"),
        ],
    )


def _replies(setup: BacktestSetup) -> int:
    return len(setup.facts.intakes(setup.sessions[0].open.replace(year=2000)))


if __name__ == "__main__":
    sys.exit(main())
