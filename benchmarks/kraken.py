"""Measure a bot at Kraken Futures: a pass of exits over 56 coins, what its calls cost, and what `serve` uses.

The market and the exchange are those of the sandbox, over HTTP. All coins are bought by one pass of entries, and each
pass that counts comes a minute later, once what protects them rests. What counts is the processor's time besides the
HTTP calls, as in `exits.py`, which measures the same of shares. `serve` is weighed each midnight of two days with five
coins, without what traces memory. It takes a few minutes.
"""

import gc
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import serve_memory
from benchmarks.exits import Calls
from benchmarks.serve_idle import IDLE_S, idle
from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from commands.evaluate_exits.verb import run as evaluate
from commands.init import making as init
from commands.init.symbols import symbol_flags
from commands.reconcile.verb import run as reconcile
from commands.trade_once.verb import run as trade
from papervenue import process
from tradebot.__main__ import UNCOLLECTED
from tradebot.adapters.bars import store_factory
from tradebot.app import sandbox
from tradebot.app.loading import Options
from tradebot.app.wiring import App, opened
from tradebot.venues.kraken import client

COINS = sized(56, 3)
SETTLE, PASSES = sized((12, 30), (3, 2))
BOUND_MS, HISTORY_CALLS = 100, 100
STATE = Path(__file__).parents[1] / "state"
VENUE = {"mode": "sandbox", "venue": "kraken_futures"}
ROOM = {
    "max_order_fraction": 0.01,
    "max_open_positions": 100,
    "max_new_entries": 100,
    "max_orders_per_second": 100,
    "max_orders_per_minute": 200,
    "max_session_entries": 300,
    "cooldown_s": 1,
}
"""Limits under which all coins are bought at once."""
FIVE = symbol_flags("5", VENUE["venue"])


def bought(app: App, folder: Path) -> None:
    """Buy each coin."""
    assert reconcile(app, by="bench").exit_code == 0
    wanted = [{"symbol": symbol, "side": "buy", "score": 0.9} for symbol in app.loaded.settings.universe[:COINS]]
    path = folder / "candidates.jsonl"
    path.write_text("".join(f"{json.dumps(one)}\n" for one in wanted), encoding="utf-8")
    assert trade(app, by="bench", candidates=str(path)).data.orders == COINS


def passes(app: App, exchange: Path, calls: Calls) -> Iterator[tuple[float, int]]:
    """Yield the processor's seconds besides HTTP, and the number of calls, of passes that send nothing."""
    for number in range(SETTLE + PASSES):
        sandbox.ask(exchange, "POST", "/exchange/v1/tick", {"seconds": 60})
        calls.begin()
        report = evaluate(app, by="bench", force_slot=True)
        if number >= SETTLE and not report.data.orders:
            yield calls.rest()[1], calls.count


def measure_passes() -> dict[str, Any]:
    """Return the medians of a pass, the most calls, and what the exchange counted of the history at most."""
    # The garbage collector is set as the `tradebot` command sets it.
    gc.set_threshold(UNCOLLECTED)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as place:
        state = Path(place) / "bot"
        exchange = state / "exchange"
        try:
            init.run(str(state), None, "demo", VENUE | {"limits": ROOM})
            sandbox.ask(exchange, "POST", "/exchange/v1/tick", {"seconds": 600})
            calls = Calls(client)
            with opened(Options(str(state)), {}) as app:
                bought(app, Path(place))
                found = list(passes(app, exchange, calls))
            spent = sandbox.ask(exchange, "GET", "/exchange/v1/status", None)["most_spent"]
        finally:
            process.stop(exchange)
    seconds, counts = zip(*found, strict=True)
    return {"cpu_s": statistics.median(seconds), "calls": max(counts), "passes": len(found), **spent}


def measure_idle() -> dict[str, Any]:
    """Return what `serve` used over a minute with nothing held. The market never closes, so passes are due."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as place:
        state = Path(place) / "bot"
        try:
            init.run(str(state), None, "demo", dict(VENUE))
            found = idle(state)
        finally:
            process.stop(state / "exchange")
    return {"cpu_s": found.cpu_s}


def found_by(*words: str) -> dict[str, Any]:
    """Return what a process of its own measured."""
    done = subprocess.run([sys.executable, __file__, *words], check=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def figures() -> Iterator[Figure]:
    """Yield all lines."""
    one = found_by("passes")
    told = f"{one['calls']} HTTP calls, {one['passes']} passes"
    yield Figure(f"a pass of exits, {COINS} coins", told, one["cpu_s"] * 1000, "ms", BOUND_MS)
    yield Figure("history in ten minutes, at most", "as the exchange counts", one["history"], "calls", HISTORY_CALLS)
    yield Figure("serve with nothing held, of one core", "", 100 * found_by("idle")["cpu_s"] / IDLE_S, "%", 0.5)
    weighed = found_by("memory")["weights"]
    first, last = (serve_memory.Weight(**weighed[place]) for place in (1, -1))
    gained = (last.resident - first.resident) / 1024 * 1000 / (last.passes - first.passes)
    yield Figure("serve gains, to 1,000 passes", f"{last.passes - first.passes:,} passes", gained, "KB", 1024)
    yield Figure(f"serve resident after {last.passes:,} passes", "", last.resident / 1e6, "MB", 200)


def main(words: list[str]) -> None:
    """Print the table, or one measurement as JSON."""
    match words:
        case ["passes"]:
            print(json.dumps(measure_passes()))
        case ["idle"]:
            print(json.dumps(measure_idle()))
        case ["memory"]:
            # Bars are kept in SQLite, as without the extra `data`, whose library takes 50 MB by itself.
            vars(store_factory)["find_spec"] = lambda name: None
            timetable = serve_memory.FLAGS["timetable"]
            serve_memory.FLAGS = VENUE | FIVE | {"sandbox": {"sessions": 3}, "timetable": timetable}
            print(json.dumps({"weights": serve_memory.weighed()}))
        case _:
            show("a bot at Kraken Futures", figures())


if __name__ == "__main__":
    main(sys.argv[1:])
