"""Compare the cost of passes in two checkouts: the demo's session, and cycles of many symbols.

`python benchmarks/passes.py OLD NEW` compares two checkouts, each with its own .venv; NEW defaults to this one, and
without OLD only this one is measured. Each measurement is its own process, which runs this file on the checkout's code.
The figure is CPU time, because another program can only delay a session; that of the exchange is read from /proc.
"""

import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

HERE = Path(__file__).resolve()
SMALLEST = bool(os.environ.get("BENCHMARKS_SMALLEST"))
"""The variable of `benchmarks.support.sizes`, which an old checkout may not have."""
ROUNDS = 1 if SMALLEST else 3
CYCLES = 1 if SMALLEST else 5
SESSIONS: Mapping[str, Sequence[str]] = {"1 symbol": ("SPY",), **({} if SMALLEST else {"20 symbols": ()})}
"""The symbols of each session measured; empty for the demo's own."""
SIZES = (5, 10) if SMALLEST else (500, 5_000)
MINUTES = 5 if SMALLEST else 390
SESSION_BOUND, CYCLE_BOUND, FLAT = 0.6, 0.8, 1.3
"""The wanted fractions of the old cost, and how much more a symbol may cost in the largest cycle than the smallest."""
Measured = dict[str, float]


def measure_session(symbols: Sequence[str]) -> Measured:
    """Play the demo's session with these symbols; return seconds."""
    from commands.demo import run as demo
    from commands.init.profiles import symbol_flags
    from papervenue import process

    flags = {"mode": "sandbox", **symbol_flags(",".join(symbols) or None)}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=Path.cwd() / "state") as folder:
        state = Path(folder) / "demo"
        began, began_cpu = time.perf_counter(), time.process_time()
        try:
            report = demo.run(str(state), flags, MINUTES, lambda done, total: None)
            took_s, bot_s = time.perf_counter() - began, time.process_time() - began_cpu
            endpoint = process.running_endpoint(state / "exchange")
            assert endpoint is not None, "the exchange must still be running"
            exchange_s = cpu_s(endpoint.pid)
        finally:
            process.stop(state / "exchange")
    assert not report.data.differences, report.data.differences
    return {"CPU": bot_s + exchange_s, "CPU of the bot": bot_s, "CPU of the exchange": exchange_s, "wall time": took_s}


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_cycle(size: int) -> Measured:
    """Score a universe and run a pass of entries over it, recording both on disk; return seconds."""
    from datetime import timedelta

    from benchmarks import cycle
    from tests.kit.core.scene import trade_once
    from tradebot.adapters.facts.facts import SqliteFacts
    from tradebot.adapters.memory.recorder import MemoryEvents
    from tradebot.desk.proposals import score
    from tradebot.model.record import CycleRecord, Job
    from tradebot.model.struct_tools import replace
    from tradebot.ports.world import Call

    class Recorded(cycle.LoadedFacts):
        """Facts that are in memory already, and passes recorded as a bot records them."""

        def __init__(self, symbols: Sequence[str], folder: Path) -> None:
            super().__init__(symbols, cycle.LOADS["usual"])
            self._stored = SqliteFacts(folder, MemoryEvents(), cycle.NOW)

        def record(self, cycle: CycleRecord) -> None:
            self._stored.record(cycle)

        def cycles(self, *, job: str, since: datetime | None = None, last: int | None = None) -> Sequence[CycleRecord]:
            return self._stored.cycles(job=job, since=since, last=last)

        def passes(self, since: datetime) -> Sequence[CycleRecord]:
            return self._stored.passes(since)

    def cycle_s(number: int) -> float:
        """Return the CPU seconds of one cycle, which is its own pass."""
        calls = [Call(job, day, f"open+{number}m", "benchmark") for job in (Job.SCORE, Job.TRADE_ONCE)]
        clock = prepared.reader.clock()
        began = time.process_time()
        score(prepared, calls[0], replace(clock, now=clock.now + timedelta(seconds=number)))
        done = trade_once(prepared, calls[1])
        elapsed_s = time.process_time() - began
        assert len(done.candidates) == size, "every symbol must have a decision"
        return elapsed_s

    symbols, day = [f"S{number:04}" for number in range(size)], date(2026, 11, 16)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=Path.cwd() / "state") as folder:
        usual = cycle.world(symbols, cycle.LOADS["usual"])
        prepared = replace(usual, facts=Recorded(symbols, Path(folder)), shadow=True)
        cycle_s(0)
        return {"a cycle": statistics.median(cycle_s(number) for number in range(1, CYCLES + 1))}


def measured(checkout: Path, *words: str) -> Measured:
    """Return the figures of a new process in a checkout."""
    command = [str(checkout / ".venv/bin/python"), str(HERE), "--measure", *words]
    environ = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, cwd=checkout, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in done.stdout.splitlines())}


def measure_here(what: str, *words: str) -> None:
    """Print one measurement of the code in the current folder."""
    from tradebot.__main__ import UNCOLLECTED

    # As in a bot's process.
    gc.set_threshold(UNCOLLECTED)
    measured = measure_session(words) if what == "session" else measure_cycle(int(words[0]))
    for name, value in measured.items():
        print(name, value)


def in_turn(checkouts: Sequence[Path], *words: str) -> list[Measured]:
    """Measure the checkouts in rotation, and return the medians of each."""
    rounds = [[measured(checkout, *words) for checkout in checkouts] for _ in range(ROUNDS)]
    return [
        {name: statistics.median(one[name] for one in each) for name in each[0]} for each in zip(*rounds, strict=True)
    ]


def main(checkouts: Sequence[Path]) -> int:
    """Measure and print the sessions and then the cycles."""
    from benchmarks.support.figures import Figure, show

    def lines(what: str, measurements: Sequence[Measured], bound: float | None) -> Iterator[Figure]:
        """Yield the medians, and the ratio of new to old if there are two."""
        for name in measurements[0]:
            values = [each[name] for each in measurements]
            ratio = values[-1] / values[0] if len(values) > 1 else None
            seconds = " → ".join(f"{value:.3g} s" for value in values)
            yield Figure(f"{what}, {name}", seconds, ratio, "" if ratio is None else "of the old", bound)
            bound = None

    sessions = {name: in_turn(checkouts, "session", *symbols) for name, symbols in SESSIONS.items()}
    title = f"medians of {ROUNDS} rounds"
    status = show(
        f"the demo's session, {title}",
        [line for name, measurements in sessions.items() for line in lines(name, measurements, SESSION_BOUND)],
    )
    cycles = {size: in_turn(checkouts, "cycle", str(size)) for size in SIZES}
    figures = [
        line for size, measurements in cycles.items() for line in lines(f"{size:,} symbols", measurements, CYCLE_BOUND)
    ]
    each = [cycles[size][-1]["a cycle"] / size * 1e6 for size in SIZES]
    costs = " → ".join(f"{cost:.0f} µs" for cost in each)
    figures.append(Figure("the cost of a symbol", costs, each[-1] / each[0], "of the smallest cycle's", FLAT))
    return status | show(f"score and trade-once, CPU, {title} of {CYCLES} cycles each", figures)


if __name__ == "__main__":
    # This file's folder is first in the path; the measured checkout replaces it.
    sys.path[0] = str(Path.cwd() if sys.argv[1:2] == ["--measure"] else HERE.parents[1])
    if sys.argv[1:2] == ["--measure"]:
        measure_here(*sys.argv[2:])
    else:
        named = [Path(word).resolve() for word in sys.argv[1:3]]
        sys.exit(main(named if len(named) == 2 else [*named, HERE.parents[1]]))
