"""Measure one decision cycle, from the snapshot to the decisions, for universes of increasing size.

The ports are in memory, so that only the core is measured. Each size has its own process, because a process never
returns memory to the system.
"""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from tests.kit.core.scene import trade_once
from tests.kit.core.venue import FakeFlow, FakeReader, FakeVenue, NoBars
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.memory.recorder import MemoryEvents, MemorySendLock
from tradebot.app.rules import rules_of
from tradebot.app.settings import load as load_settings
from tradebot.desk.proposals import propose
from tradebot.model.bar import Quote, Session
from tradebot.model.flow import FlowAlert
from tradebot.model.instrument import Right
from tradebot.model.record import Job, SymbolFacts
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Permission, ReconcileMark
from tradebot.ports.world import Call, World
from tradebot.signals.kinds import kind_of
from tradebot.signals.subjects.alerts import OptionsVolume
from tradebot.signals.subjects.dark_pool import DarkPoolPrint
from tradebot.signals.subjects.market import MARKET_TIDE_KIND, TideTick
from tradebot.signals.subjects.open_interest import GreekExposure, OiChange
from tradebot.signals.subjects.volatility import IvRank
from tradebot.strategies.flow import FlowStrategy

RUNS = sized(7, 1)
BOUNDS_MS: Mapping[int, float | None] = sized({50: None, 500: 100, 5_000: 1_000}, {5: None})
BOUND_MB = 300
DAY = date(2026, 11, 16)
SESSION = Session(DAY, datetime(2026, 11, 16, 14, 30, tzinfo=UTC), datetime(2026, 11, 16, 21, 0, tzinfo=UTC))
NOW = datetime(2026, 11, 16, 16, 0, tzinfo=UTC)
CALL = Call(Job.TRADE_ONCE, DAY, "open+90m", "benchmark")
SECTORS = ("technology", "financial", "energy", "healthcare", "industrial", "utilities", "materials")
PAST_SESSIONS = 249


class Load(NamedTuple):
    """How many facts each symbol has."""

    alerts: int
    prints: int
    contracts: int


LOADS: Mapping[str, Load] = {
    # The averages of the embedded exchange's 20 symbols, ninety minutes into a session.
    "usual": Load(5, 24, 38),
    "busy": Load(20, 60, 50),
}


class LoadedFacts(MemoryFacts):
    """Facts that are in memory already."""

    def __init__(self, symbols: Sequence[str], load: Load) -> None:
        super().__init__()
        self._loaded = {symbol: symbol_facts(symbol, number, load) for number, symbol in enumerate(symbols)}

    def load(self, symbols: Sequence[str], session: date, now: datetime) -> Mapping[str, SymbolFacts]:
        return self._loaded

    def last_answers(self, symbols: Sequence[str], now: datetime) -> Mapping[str, SymbolFacts]:
        return self._loaded

    def market(self, session: date, now: datetime) -> Mapping[str, object]:
        return {"market_tide": MARKET_TIDE_KIND.condense([tide_tick(minute) for minute in range(90, 0, -1)])}


def tide_tick(minute: int) -> TideTick:
    at = NOW - timedelta(minutes=minute)
    return TideTick(at.isoformat(), at, Decimal(40_000_000 - minute), Decimal(-9_000_000 + minute), 100_000)


def symbol_facts(symbol: str, number: int, load: Load) -> SymbolFacts:
    """Return one symbol's facts; no two values are the same object, as when they are read from a file."""
    yesterday = DAY - timedelta(days=1)
    stored: dict[str, list[Any]] = {
        "flow_alerts": [alert(symbol, number, index) for index in range(load.alerts)],
        "dark_pool": [dark_print(symbol, number, index) for index in range(load.prints)],
        "greek_exposure": [greek_exposure(symbol, number, index) for index in range(1 + PAST_SESSIONS)],
        "iv_rank": [IvRank("r", symbol, yesterday, Decimal(number % 100), Decimal("0.31"))],
        "oi_change": [oi_change(symbol, yesterday, index) for index in range(load.contracts)],
        "options_volume": [options_volume(symbol, number, index) for index in range(20)],
    }
    kinds = {kind_of(name): facts for name, facts in stored.items()}
    known = {kind.name: kind.condense([kind.lean(fact) for fact in facts]) for kind, facts in kinds.items()}
    return SymbolFacts(symbol, known, alerts_fetched_at=NOW - timedelta(minutes=2), received=load.alerts)


def alert(symbol: str, number: int, index: int) -> FlowAlert:
    """Return one alert of the last half hour; four in five point the same way, which differs by symbol."""
    bullish = (number + index) % 5 > 0 if number % 2 else (number + index) % 5 == 0
    premium = Decimal(60_000 + 1_000 * ((number + 7 * index) % 300))
    return FlowAlert(
        id=f"00000000-0000-4000-8000-{number:06}{index:06}",
        symbol=symbol,
        at=NOW - timedelta(seconds=90 * index + number % 60 + 1),
        right=Right.CALL if bullish else Right.PUT,
        strike=Decimal(90 + index),
        expiry=DAY + timedelta(days=5 + index % 30),
        premium=premium,
        ask_premium=premium * 3 / 4,
        bid_premium=premium / 4,
        volume=1_000 + index,
        open_interest=500 + index,
        has_sweep=index % 3 == 0,
        has_floor=False,
        has_multileg=index % 10 == 9,
    )


def dark_print(symbol: str, number: int, index: int) -> DarkPoolPrint:
    """Return one print of the last hour; half of them are recent enough to count."""
    price, size = Decimal(10_000 + (number + 3 * index) % 9 - 4) / 100, 400 + index
    return DarkPoolPrint(
        id=f"{number * 1000 + index}/{size}/{price}/{21_000_000 + index}",
        symbol=symbol,
        at=NOW - timedelta(seconds=60 * index + 1),
        price=price,
        size=size,
        premium=price * size,
        bid=Decimal("99.98"),
        ask=Decimal("100.02"),
    )


def greek_exposure(symbol: str, number: int, index: int) -> GreekExposure:
    """Return the gamma exposure of this many days before the session."""
    day = DAY - timedelta(days=1 + index)
    return GreekExposure(day.isoformat(), symbol, day, Decimal(9_000 + number - 7 * index), Decimal(-7_000))


def oi_change(symbol: str, day: date, index: int) -> OiChange:
    right = Right.CALL if index % 2 else Right.PUT
    contract = f"{symbol}261218{'C' if index % 2 else 'P'}{90_000 + index * 500:08}"
    return OiChange(f"{day.isoformat()}/{contract}", symbol, day, contract, right, 500 + 37 * index)


def options_volume(symbol: str, number: int, index: int) -> OptionsVolume:
    """Return the options volume of a symbol this many days before the session."""
    day, usd = DAY - timedelta(days=1 + index), Decimal(50_000_000 + 1_000 * (number + 7 * index))
    return OptionsVolume(day.isoformat(), symbol, day, usd, usd, True)


def quote(symbol: str) -> Quote:
    price = Decimal("100.00")
    return Quote(symbol, NOW - timedelta(seconds=3), price - Decimal("0.02"), price, price, price, "sandbox")


def world(symbols: Sequence[str], load: Load) -> World:
    """Return a dry run's ports with the shipped configuration, and all facts that a cycle reads."""
    settings = load_settings(None, {}).settings
    venue = FakeVenue(SESSION, NOW, Decimal(100_000))
    venue.prices = {symbol: quote(symbol) for symbol in symbols}
    ledger = MemoryLedger(venue.number)
    ledger.put_sessions([SESSION])
    ledger.open_books(venue.cash, SESSION.open)
    ledger.mark_reconciled(ReconcileMark(NOW - timedelta(minutes=5), 0, 0))
    sectors = {symbol: SECTORS[number % len(SECTORS)] for number, symbol in enumerate(symbols)}
    rules = rules_of(settings, settings.exits)
    own = {name: replace(one, universe=symbols) for name, one in rules.own.items()}
    return World(
        rules=replace(rules, universe=symbols, sectors=sectors, own=own),
        permission=Permission(),
        reader=FakeReader(venue),
        market=venue,
        bars=NoBars(),
        orders=None,
        send_lock=MemorySendLock(),
        flow=FakeFlow(),
        ledger=ledger,
        facts=LoadedFacts(symbols, load),
        events=MemoryEvents(),
        strategies=(FlowStrategy(settings.strategies.in_use()["flow"]),),
    )


def cycle_s(prepared: World) -> float:
    """Run one cycle and return its CPU seconds."""
    began = time.process_time()
    cycle = trade_once(prepared, CALL, propose(prepared, prepared.reader.clock().now))
    elapsed_s = time.process_time() - began
    assert len(cycle.candidates) == len(prepared.rules.universe), "every symbol must have a decision"
    return elapsed_s


def peak_mb() -> float:
    """Return the process's peak memory in MB; Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def measure_here(size: int, load: Load) -> None:
    """Print the median CPU seconds and the peak memory in MB of one case, in this process."""
    prepared = world([f"S{number:04}" for number in range(size)], load)
    cycle_s(prepared)
    print(statistics.median(cycle_s(prepared) for _ in range(RUNS)), peak_mb())


def measure(size: int, load: str) -> tuple[float, float]:
    """Return the figures of `measure_here` in a new process."""
    command = [sys.executable, __file__, str(size), load]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    median_s, peak = done.stdout.split()
    return float(median_s), float(peak)


def figures(name: str) -> Iterator[Figure]:
    """Yield the lines of one load."""
    for size, bound_ms in BOUNDS_MS.items():
        median_s, peak = measure(size, name)
        each = f"{median_s / size * 1e6:.0f} µs a symbol"
        yield Figure(f"{size:,} symbols", each, median_s * 1000, "ms", bound_ms)
        yield Figure(f"{size:,} symbols, peak memory", "", peak, "MB", BOUND_MB)


def main() -> int:
    """Measure every size under each load, and print a table for each load."""
    status = 0
    for name, load in LOADS.items():
        known = f"{load.alerts} alerts, {load.prints} prints, {load.contracts} contracts a symbol"
        status |= show(f"one decision cycle, medians of {RUNS}; {name}: {known}", figures(name))
    return status


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure_here(int(sys.argv[1]), LOADS[sys.argv[2]])
    else:
        sys.exit(main())
