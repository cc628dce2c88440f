"""Measure what-ifs past start-up: of one pass, and over a session of 390 passes of entries and 20 symbols.

Each is its own process, by its processor time. Start-up is what the same verb takes on a state without any pass. What
a span takes is also shown as a share of the time in which `replay` decides the same passes, which compares machines.
"""

import gc
import os
import resource
import statistics
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.startup import tradebot, wall_s
from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from commands.demo import verb as demo
from commands.init.symbols import symbol_flags
from commands.replay.report import Deciding
from papervenue import process
from tradebot.__main__ import UNCOLLECTED
from tradebot.adapters.facts.recorded_passes import KeptPasses
from tradebot.adapters.memory.events import MemoryEvents
from tradebot.model.record import Job

MINUTES, RUNS = sized(390, 5), sized(7, 1)
PASS_BOUND_MS, SPAN_BOUND_S = 150, 2.0
STATE = Path(__file__).parents[1] / "state"
EVERY_MINUTE = {"timetable": {"trade-once": "every 1m from open+1m until close"}}
CHANGES = {
    "a limit": "strategies.flow.limits.max_open_positions=9",
    "a filter of a strategy": "strategies.flow.min_cluster=1",
    "another setting of it": "strategies.flow.lookback_s=3600",
}


def asked(state: Path, *words: str) -> float:
    """Return the median processor seconds of a process that answers."""
    taken = list[float]()
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall_s(tradebot(state, "why-no-orders", *words))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(taken)


def replayed(folder: Path) -> tuple[str, int, float]:
    """Return the session, how many passes of entries it has, and how long it takes to decide them as they were."""
    with closing(KeptPasses(folder, MemoryEvents(), 1)) as kept:
        deciding, times = Deciding(kept), os.times
        passes = [one for one in kept.passes() if deciding.recorded(one).given.call.job is Job.TRADE_ONCE]
        again, began = Deciding(kept), times()
        assert all(again.again(one).difference is None for one in passes), "a pass is decided otherwise"
        ended = times()
    return passes[0].session.isoformat(), len(passes), ended.user + ended.system - began.user - began.system


def figures(folder: Path, empty: Path) -> None:
    """Ask, and print what was measured."""
    session, count, again_s = replayed(folder)
    startup = asked(empty)
    found = [Figure("replay of the same passes", f"{count} passes", again_s, "s")]
    for name, change in CHANGES.items():
        one = asked(folder, "--what-if", change) - startup
        span = asked(folder, "--session", session, "--what-if", change) - startup
        found.append(Figure(f"one pass, {name}", f"median of {RUNS}", one * 1e3, "ms past start-up", PASS_BOUND_MS))
        found.append(Figure(f"the session, {name}", f"{span / again_s:.2f} of replay", span, "s", SPAN_BOUND_S))
    show(f"What-ifs, 20 symbols, {datetime.now(UTC):%Y-%m-%d}; start-up {startup * 1e3:.0f} ms", found)


def main() -> None:
    """Measure and print."""
    gc.set_threshold(UNCOLLECTED)
    STATE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as place:
        folder, empty = Path(place) / "demo", Path(place) / "empty"
        flags = {"mode": "sandbox", **symbol_flags(None), **EVERY_MINUTE}
        wall_s(tradebot(empty, "init", "--mode", "sandbox"))
        try:
            demo.run(str(folder), flags, MINUTES, lambda done, total: None)
        finally:
            for state in (folder, empty):
                process.stop(state / "exchange")
        figures(folder, empty)


if __name__ == "__main__":
    main()
