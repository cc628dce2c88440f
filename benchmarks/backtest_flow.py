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
    """Play the sessions once, and print what each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--recorder", type=RecordLevel, default=RecordLevel.COUNTS, choices=list(RecordLevel))
    parser.add_argument("--profile", type=int, metavar="LINES", help="show where the time goes")
    asked = parser.parse_args()
    settings = load(None, {}, dict(MODES)).settings
    symbols = tuple(settings.universe)[:SYMBOLS]
    spec = MarketSpec(symbols=symbols, sessions=asked.sessions, start=date(2025, 3, 3))
    began = time.perf_counter()
    market = open_market_in_memory(spec)
    opened_s = time.perf_counter() - began
    profile = cProfile.Profile()
    with loaded_strategies(settings, Path.cwd(), {}) as strategies:
        made = assemble(settings, spec, strategies, MemoryFacts(asked.recorder), market=market, with_flow=True)
        driver = Driver(made.world, made.advance, made.ahead, DriverTerms(settings.timetable))
        if asked.profile:
            profile.enable()
        began, cpu = time.perf_counter(), time.process_time()
        driver.reconcile()
        ends = list(map(driver.play, made.sessions))
        driver.reconcile()
        profile.disable()
    played_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    if asked.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(asked.profile)
    rate = f"{len(symbols)} symbols, {len(ends)} sessions, {len(made.ledger.fills())} fills, {_replies(made):,} replies"
    return show(
        "a backtest with flow",
        [
            Figure("opening the market", "", opened_s, "s"),
            Figure("playing", rate, played_s, "s"),
            Figure("playing, of the processor", "", cpu_s, "s", BOUND_S * len(ends) / SESSIONS),
            Figure("a session", "", cpu_s / len(ends), "s"),
        ],
    )


def _replies(made: BacktestSetup) -> int:
    return len(made.facts.intakes(made.sessions[0].open.replace(year=2000)))


if __name__ == "__main__":
    sys.exit(main())
