"""What passes and views cost at more and more fills, as typed commands and inside one long-lived process.

All sizes are measured in turn, several times, and the medians of their CPU times and peaks are compared with those of
the smallest. The long-lived process runs the same passes again and again over the same open books. At last `serve`
itself runs over each size, and its slowest minute is printed.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.support.grown import make, serve
from benchmarks.support.sizes import sized
from commands.evaluate_exits import verb as evaluate_exits
from commands.reconcile import verb as reconcile
from commands.status.verb import run as status
from commands.trade_once import verb as trade_once
from jobs.runner_context import Kind
from tradebot.app.loading import Options
from tradebot.app.wiring import App, opened

TYPED = ("trade-once --force-slot", "evaluate-exits --force-slot", "reconcile", "status", "positions", "why-no-orders")
PASSES: Mapping[str, Callable[[App], object]] = {
    "pass of trade-once": lambda app: trade_once.run(app, by="bench", force_slot=True),
    "pass of evaluate-exits": lambda app: evaluate_exits.run(app, by="bench", force_slot=True),
    "pass of reconcile": lambda app: reconcile.run(app, by="bench"),
    "view of status": status,
}
AGAIN = sized(5, 1)
"""How often the long-lived process runs each pass."""
ROUNDS = sized(5, 1)
MINUTES = sized(20, 2)
"""How long `serve` runs, in trading time."""
WANTED = 1.2
FINE = frozenset({0, 3, 10})
"""What these verbs may end with: done, entries kept closed, or findings."""
MEASURED = """
import os, sys
silent = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", 1, 0)]
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=silent)
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""
ROOT = Path(__file__).parents[2]
Costs = dict[tuple[str, int], list[tuple[float, float]]]
"""CPU seconds and peak MB of each run, by verb and size."""


def repeat(folder: Path) -> None:
    """Run each pass several times in this process, and print the median CPU seconds of each as JSON."""
    took = defaultdict[str, list[float]](list)
    with opened(Options(str(folder)), {}) as app:
        for _ in range(AGAIN + 1):
            for name, run in PASSES.items():
                began = time.process_time()
                run(app)
                took[name].append(time.process_time() - began)
    print(json.dumps({name: statistics.median(times[1:]) for name, times in took.items()}))


def measure(place: Path, sizes: Sequence[int], program: Path, rounds: int = ROUNDS) -> None:
    """Make books of each size below a folder, unless they are there, measure copies in turn, and print two tables."""
    costs: Costs = defaultdict(list)
    with ExitStack() as stack:
        copies = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=place.parent)))
        for size in sizes:
            kept, folder = place / str(size), copies / str(size)
            if not kept.exists():
                subprocess.run(_support(f"make(Path({str(kept)!r}), {size})"), check=True, cwd=ROOT)
            # A stand-in begins at the same time again, so the books may not have seen a later one.
            shutil.copytree(kept, folder)
            served = stack.enter_context(
                subprocess.Popen(_support(f"serve(Path({str(folder)!r}), {size})"), stdout=subprocess.PIPE, cwd=ROOT)
            )
            stack.callback(served.terminate)
            assert served.stdout is not None
            assert served.stdout.readline() == b"ready\n"
            # The first pass of a day reads the books through, and the first after a close copies them.
            for _ in range(2):
                _typed(program, folder, "reconcile")
        for _ in range(rounds):
            for verb in TYPED:
                for size in sizes:
                    costs[verb, size].append(_typed(program, copies / str(size), verb))
            for size in sizes:
                for name, cpu_s in _repeated(copies / str(size)).items():
                    costs[name, size].append((cpu_s, 0.0))
        slowest = {size: _slowest_minute(program, copies / str(size)) for size in sizes}
    show(sizes, costs)
    for size, took_s in slowest.items():
        print(f"serve over {size:,} fills: the jobs of its slowest minute of {MINUTES} took {took_s:.2f} s of 60")


def _support(call: str) -> list[str]:
    names = f"{make.__name__}, {serve.__name__}"
    return [sys.executable, "-c", f"from pathlib import Path; from benchmarks.support.grown import {names}; {call}"]


def _typed(program: Path, folder: Path, words: str) -> tuple[float, float]:
    command = [sys.executable, "-I", "-S", "-c", MEASURED, str(program), *words.split(), "--state-dir", str(folder)]
    code, cpu_s, peak_kb = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(code) in FINE, f"{words} ended with {code}"
    return float(cpu_s), int(peak_kb) / 1024


def _repeated(folder: Path) -> dict[str, float]:
    call = f"from pathlib import Path; from benchmarks.support.flat import repeat; repeat(Path({str(folder)!r}))"
    done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=True, cwd=ROOT)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _slowest_minute(program: Path, folder: Path) -> float:
    """Run `serve` for some minutes of trading time; return the seconds that the slowest minute's jobs took together."""
    command = [str(program), "serve", "--json", "--speed", "60", "--state-dir", str(folder)]
    took: dict[str, float] = defaultdict(float)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        try:
            for line in served.stdout:
                found = json.loads(line)["data"]
                # What fails is soon over, and would look flat.
                assert found["kind"] != Kind.FAILED, found["said"]
                minute = found["at"][: len("2026-11-20T15:00")]
                if found["took_s"] is not None:
                    took[minute] += found["took_s"]
                if len(took) > MINUTES:
                    break
        finally:
            served.terminate()
    assert len(took) > MINUTES, f"serve ended after {len(took)} minutes"
    return max(took.values())


def show(sizes: Sequence[int], costs: Costs) -> None:
    """Print CPU seconds, then peak memory: a row per verb, a column per size with its ratio to the smallest."""
    console = Console(width=120)
    verbs = list(dict.fromkeys(verb for verb, _ in costs))
    for place, unit, shown in ((0, "CPU s", verbs), (1, "peak MB", TYPED)):
        table = Table(f"{unit}, median of {ROUNDS}", title_justify="left")
        for size in sizes:
            table.add_column(f"{size:,} fills", justify="right")
        for verb in shown:
            medians = [statistics.median(cost[place] for cost in costs[verb, size]) for size in sizes]
            table.add_row(verb, *(f"{one:.3f} ({one / medians[0]:.2f})" for one in medians))
        console.print(table)
    console.print(f"wanted: each within {WANTED:.2f} times the smallest")
