"""Measure what it costs to keep passes for `replay`, and to decide them again, over the demo's session of 20 symbols.

A pass is a verb as a person types it, without the start of the process. What keeping costs is taken within the same
passes: making the record, compressing and storing it. The tape's own share is in neither figure; a question costs a
microsecond or two.
"""

import gc
import os
import statistics
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
from commands.shared import recording
from commands.trade_once import verb as trade_once
from tradebot.__main__ import UNCOLLECTED
from tradebot.adapters.facts.kept_passes import KeptPasses
from tradebot.adapters.memory.events import MemoryEvents
from tradebot.exchange import process

MINUTES = sized(390, 5)
COST_BOUND, SIZE_BOUND, SESSION_BOUND_S = 1.05, 20.0, 2.0
STATE = Path(__file__).parents[1] / "state"
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
    kept = timed(spent, "keeping", recording._kept)
    recording._kept = kept
    trade_once.run = timed(spent, "trade-once", trade_once.run)
    evaluate_exits.run = timed(spent, "evaluate-exits", evaluate_exits.run)
    demo.run(str(folder), {"mode": "sandbox", **symbol_flags(None)}, MINUTES, lambda done, total: None)
    return spent


def main() -> None:
    """Measure and print."""
    gc.set_threshold(UNCOLLECTED)
    STATE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as place:
        folder = Path(place) / "demo"
        try:
            spent = play(folder)
        finally:
            process.stop(folder / "exchange")
        size = sum(path.stat().st_size for path in folder.glob("passes.db*"))
        with closing(KeptPasses(folder, MemoryEvents(), 1)) as kept:
            figures(spent, size, kept)


def figures(spent: Timed, size: int, kept: KeptPasses) -> None:
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
            Figure("a pass that is kept", f"{median:.2f} ms more", verbs / (verbs - keeping), "of one", COST_BOUND),
            Figure("its record, on average", f"{size / 1e6:.1f} MB", size / len(passes) / 1e3, "kB", SIZE_BOUND),
            Figure("a session decided again", f"{len(passes)} passes", session_s, "s", SESSION_BOUND_S),
            Figure("one pass of it", "median", statistics.median(again) * 1e3, "ms"),
        ],
    )


if __name__ == "__main__":
    main()
