"""Measure what it costs to keep passes for `replay`, and to decide them again, over the demo's session of 20 symbols.

What keeping costs is taken within the same passes: making the record, compressing and storing it. It is compared with
the command that a person types, and with a pass of a process that runs all day, which starts nothing. The tape's own
share is in neither figure; a question costs a microsecond or two.
"""

import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from commands.demo import verb as demo
from commands.evaluate_exits import verb as evaluate_exits
from commands.init.symbols import symbol_flags
from commands.replay.report import Deciding
from commands.shared import pass_recording
from commands.trade_once import verb as trade_once
from papervenue import process
from tradebot.__main__ import UNCOLLECTED
from tradebot.adapters.facts.recorded_passes import KeptPasses
from tradebot.adapters.memory.events import MemoryEvents

MINUTES, TYPED = sized(390, 5), sized(9, 1)
COST_BOUND, SIZE_BOUND, SESSION_BOUND_S = 1.05, 20.0, 2.0
STATE = Path(__file__).parents[1] / "state"
TYPE = """
import time
from commands.shared import recording
from tradebot.__main__ import main
kept, spent = recording._kept, []
def measured(*given):
    began = time.process_time()
    try:
        return kept(*given)
    finally:
        spent.append(time.process_time() - began)
recording._kept = measured
try:
    main()
finally:
    print(sum(spent), time.process_time())
"""
"""The command, which tells the processor seconds that keeping its pass took, and those of the process."""
Timed = dict[str, list[float]]


def timed(spent: Timed, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """Return the same work, which notes the processor seconds of each call under a name."""

    @wraps(work)
    def measured(*given: Any, **named: Any) -> Any:
        began = time.process_time()
        try:
            return work(*given, **named)
        finally:
            spent[name].append(time.process_time() - began)

    return measured


def play(folder: Path) -> Timed:
    """Play the demo's session; return the processor seconds of its passes, and of what keeping them took."""
    spent = defaultdict[str, list[float]](list)
    kept = timed(spent, "keeping", pass_recording._kept)
    pass_recording._kept = kept
    trade_once.run = timed(spent, "trade-once", trade_once.run)
    evaluate_exits.run = timed(spent, "evaluate-exits", evaluate_exits.run)
    demo.run(str(folder), {"mode": "sandbox", **symbol_flags(None)}, MINUTES, lambda done, total: None)
    return spent


def typed(folder: Path) -> float:
    """Return how many times as long a typed pass of exits takes because it is kept."""
    words = [sys.executable, "-c", TYPE, "evaluate-exits", "--force-slot", "--state-dir", str(folder)]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    keeping, process_s = map(float, told.split())
    assert keeping, "the pass was kept"
    return process_s / (process_s - keeping)


def main() -> None:
    """Measure and print."""
    gc.set_threshold(UNCOLLECTED)
    STATE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as place:
        folder = Path(place) / "demo"
        try:
            spent = play(folder)
            ratio = statistics.median(typed(folder) for _ in range(TYPED))
        finally:
            process.stop(folder / "exchange")
        size = sum(path.stat().st_size for path in folder.glob("passes.db*"))
        with closing(KeptPasses(folder, MemoryEvents(), 1)) as kept:
            figures(spent, ratio, size, kept)


def figures(spent: Timed, ratio: float, size: int, kept: KeptPasses) -> None:
    """Decide the passes again, and print what was measured."""
    passes, deciding, again = kept.passes(), Deciding(kept), list[float]()
    began = time.process_time()
    for one in passes:
        first = time.process_time()
        assert deciding.again(one).difference is None, f"{one.id} is decided otherwise"
        again.append(time.process_time() - first)
    session_s = time.process_time() - began
    keeping, verbs = sum(spent["keeping"]), sum(spent["trade-once"]) + sum(spent["evaluate-exits"])
    median = statistics.median(spent["keeping"]) * 1e3
    show(
        f"{len(passes)} passes over 20 symbols, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores",
        [
            Figure("a typed pass that is kept", "evaluate-exits", ratio, "of one", COST_BOUND),
            Figure(
                "in a process that runs on", f"{median:.2f} ms more", verbs / (verbs - keeping), "of one", COST_BOUND
            ),
            Figure("its record, on average", f"{size / 1e6:.1f} MB", size / len(passes) / 1e3, "kB", SIZE_BOUND),
            Figure("a session decided again", f"{len(passes)} passes", session_s, "s", SESSION_BOUND_S),
            Figure("one pass of it", "median", statistics.median(again) * 1e3, "ms"),
        ],
    )


if __name__ == "__main__":
    main()
