"""Measure how much memory `serve` gains over the passes of its second session, and how much it uses after both.

It is measured each morning after the first pass, once the memory of the previous session is released. Caches of a fixed
size count separately, because they fill within days and then stop growing. Tracing needs memory itself, so resident
memory is measured in another process. It takes a few minutes.
"""

import functools
import gc
import json
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from commands import serve
from commands.init import making as init
from jobs.runner import LogKind, LogLine
from papervenue import process
from tradebot.adapters.state import resources
from tradebot.app.loading import Options
from tradebot.app.wiring import open_app

SPEED = 1_000_000
STATE = Path(__file__).parents[1] / "state"
FLAGS = {
    "mode": "sandbox",
    "universe": ["AAPL", "MSFT", "NVDA", "SPY"],
    "sandbox": {"sessions": 3},
    # Chores run in their own processes; one of them shows that it leaves no memory in use here.
    "timetable": dict.fromkeys(["audit", "parity", "outcomes", "report", "summary"]),
}
TRACED = "traced"


class EnoughError(Exception):
    """Raised out of `serve` on the third morning."""


@dataclass(frozen=True)
class Weight:
    """A process's memory on a morning, in bytes, after `passes` passes; `cached` is in caches of a fixed size."""

    passes: int
    traced: int
    cached: int
    resident: int
    descriptors: int


class Scales:
    """Counts passes, and measures the process after the first one of each day or, at the smallest size, minute."""

    def __init__(self) -> None:
        self._passes = 0
        self._day: date | None = None
        self.weights: list[Weight] = []

    def __call__(self, line: LogLine) -> None:
        self._passes += line.kind is LogKind.RAN
        day = sized(line.at.date(), line.at)
        if line.kind is not LogKind.RAN or day == self._day:
            return
        self._day = day
        gc.collect()
        memory, descriptors = resources.memory_bytes() or 0, resources.open_descriptors() or 0
        traced, _ = tracemalloc.get_traced_memory()
        if traced:
            empty_bounded_caches()
        emptied, _ = tracemalloc.get_traced_memory()
        self.weights.append(Weight(self._passes, emptied, traced - emptied, memory, descriptors))
        if len(self.weights) == 3:
            raise EnoughError


def empty_bounded_caches() -> None:
    """Empty all module caches that have a limit; caches without one still count."""
    for value in [value for module in [*sys.modules.values()] for value in vars(module).values()]:
        if isinstance(value, functools._lru_cache_wrapper) and value.cache_info().maxsize is not None:
            value.cache_clear()


def weighed() -> list[dict[str, Any]]:
    """Serve on the embedded exchange, and return the measurements."""
    scales = Scales()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as folder:
        state = Path(folder) / "serve"
        try:
            init.run(str(state), None, "demo", dict(FLAGS))
            with open_app(Options(str(state)), {}) as app:
                serve.run(app, by="bench", speed=SPEED, tell=scales)
        except EnoughError:
            pass
        finally:
            process.stop(state / "exchange")
    return [asdict(weight) for weight in scales.weights]


def weights(*words: str) -> list[Weight]:
    """Return the measurements of a separate process."""
    done = subprocess.run([sys.executable, __file__, *words], check=True, stdout=subprocess.PIPE)
    return [Weight(**weight) for weight in json.loads(done.stdout)]


def resident() -> Iterator[Figure]:
    """Yield the process's resident memory, and its gain over a day."""
    _, before, after = weights("plain")
    yield Figure("resident", "gained", (after.resident - before.resident) / 1024, "KB", 4096)
    yield Figure(f"resident after {after.passes:,}", "", after.resident / 1e6, "MB", 200)
    descriptors = after.descriptors - before.descriptors
    yield Figure("descriptors", str(after.descriptors), descriptors, "", sized(0, None))


def traced() -> Iterator[Figure]:
    """Yield the memory of Python's objects, and its gain."""
    _, before, after = weights(TRACED)
    passes = after.passes - before.passes
    gained_kb = (after.traced - before.traced) / 1024 * 1000 / passes
    yield Figure(f"traced over {passes:,} passes", f"{after.traced / 2**20:.1f} MB", gained_kb, "KB per 1,000", 256)
    yield Figure("in caches of a fixed size", "", after.cached / 2**20, "MB", 16)


def main() -> int:
    """Measure both, and print them; the gain of a few passes means nothing."""
    return show("serve: memory", [*resident(), *(traced() if sized(True, False) else ())])


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit(main())
    else:
        if TRACED in sys.argv:
            tracemalloc.start()
        print(json.dumps(weighed()))
