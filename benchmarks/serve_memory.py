"""Measure how much memory `serve` gains over more than a thousand passes: two whole sessions.

It is weighed at the same place of the second and of the fourth session: a session's facts are held while it lasts.
"""

import gc
import tempfile
import tracemalloc
from pathlib import Path

from benchmarks.support.figures import Figure, show
from commands.init import verb as init
from commands.serve import verb as serve
from jobs.runner import Kind, Line
from tradebot.adapters.state import resources
from tradebot.app.loading import Options
from tradebot.app.wiring import opened
from tradebot.exchange import process

A_SESSION = 646
"""Passes that the shipped timetable holds for a whole session."""
WARM_UP = A_SESSION + 100
PASSES = 2 * A_SESSION
SPEED = 1_000_000
STATE = Path(__file__).parents[1] / "state"
FLAGS = {"mode": "sandbox", "universe": ["AAPL", "MSFT", "NVDA", "SPY"], "sandbox": {"sessions": 4}}


class EnoughError(Exception):
    """Raised out of `serve` when the passes have been counted."""


class Gauge:
    """Counts passes, and weighs the process after the first ones and after the last."""

    def __init__(self) -> None:
        self.passes = 0
        self.traced: list[int] = []
        self.resident: list[int] = []
        self.descriptors: list[int] = []

    def __call__(self, line: Line) -> None:
        self.passes += line.kind is Kind.RAN
        if line.kind is Kind.RAN and self.passes in (WARM_UP, WARM_UP + PASSES):
            gc.collect()
            self.traced.append(tracemalloc.get_traced_memory()[0])
            self.resident.append(resources.memory_bytes() or 0)
            self.descriptors.append(resources.open_descriptors() or 0)
            if len(self.traced) == 2:
                raise EnoughError


def main() -> None:
    """Serve on the embedded exchange, print, and stop it."""
    gauge = Gauge()
    tracemalloc.start()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as folder:
        state = Path(folder) / "serve"
        try:
            init.run(str(state), None, "demo", dict(FLAGS))
            with opened(Options(str(state)), {}) as app:
                serve.run(app, by="bench", speed=SPEED, tell=gauge)
        except EnoughError:
            pass
        finally:
            process.stop(state / "exchange")
    traced_kb, resident_kb = ((weights[1] - weights[0]) / 1024 for weights in (gauge.traced, gauge.resident))
    show(
        f"serve: memory gained over {PASSES:,} passes, after {WARM_UP}",
        [
            Figure("by tracemalloc", f"{gauge.traced[1] / 2**20:.1f} MB", traced_kb, "KB", 256),
            Figure("resident", f"{gauge.resident[1] / 2**20:.1f} MB", resident_kb, "KB", 4096),
            Figure("resident in the end", "", gauge.resident[1] / 1e6, "MB", 200),
            Figure("descriptors", str(gauge.descriptors[1]), gauge.descriptors[1] - gauge.descriptors[0], "", 0),
        ],
    )


if __name__ == "__main__":
    main()
