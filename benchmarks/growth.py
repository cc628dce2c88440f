"""Measure what grows with the books and is no pass: wall time and peak memory of each verb at more and more fills.

Every verb is its own process, and its memory the largest that it ever held, interpreter and imports included.
The venue is a stand-in on loopback that tells exactly what the books hold. `python -m benchmarks.growth 1000` measures
one size; names of steps (look, halt, backup, recover) measure those alone. `python -m benchmarks.growth flat` compares
passes and views at all sizes instead, which are made below `state/flat` and kept there for the next time.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.support import flat
from benchmarks.support.grown import CANCELLED
from benchmarks.support.sizes import sized

PROGRAM = Path(sys.executable).with_name("tradebot")
ROOT = Path(__file__).parents[1]
STATE = ROOT / "state"
SIZES = sized((1_000, 10_000, 100_000), (500,))
FLAT_SIZES = sized((1_000, 9_988, 99_994, 299_998), SIZES)
"""Such that each leaves as many positions open: what a pass costs depends on them."""
BACKUPS = sized(30, 3)
SESSIONS = 250
"""So many sessions the books have seen, whatever they hold: one more adds as much."""
TAIL = "0042"
MOST_S, MOST_MB = 10.0, 200.0
QUICK_S, CANCELLING_S, TIMES = 0.1, 5.0, 3.0
MEASURED = """
import os, resource, sys, time
began = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
took_s, cpu_s = time.perf_counter() - began, usage.ru_utime + usage.ru_stime
print(took_s, cpu_s, usage.ru_maxrss, os.waitstatus_to_exitcode(status), file=sys.stderr)
"""
"""Starts the verb from a small process: a child's peak is never less than what its starter held."""


class Cost(NamedTuple):
    """What one verb took."""

    verb: str
    took_s: float
    cpu_s: float
    peak_mb: float
    bound_s: float | None = None
    bound_mb: float | None = None


class Bot:
    """A folder whose books have grown."""

    def __init__(self, place: Path, count: int) -> None:
        self.folder, self.fills, self.costs = place / "state", count, list[Cost]()
        self.a_session = count // SESSIONS
        _run(f"make(Path({str(self.folder)!r}), {count})")

    def type(self, *words: str, code: int = 0, name: str = "", bounds: tuple[float | None, float | None]) -> None:
        """Type a verb and keep what it took."""
        command: list[str | Path] = [
            sys.executable,
            "-I",
            "-S",
            "-c",
            MEASURED,
            PROGRAM,
            *words,
            "--state-dir",
            self.folder,
        ]
        # What was written to make the books is not the verb's to wait for.
        os.sync()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        took, cpu, peak, ended = done.stderr.splitlines()[-1].split()
        assert int(ended) == code, f"{words} ended with {ended}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        self.costs.append(Cost(name or " ".join(words), float(took), float(cpu), int(peak) / 1024, *bounds))

    def grow(self) -> None:
        """Let the books see one more session."""
        _run(f"add(Path({str(self.folder)!r}), {self.fills}, {self.a_session})")
        self.fills += self.a_session

    @contextmanager
    def copied(self) -> Iterator[None]:
        """Work on a copy of the folder for as long."""
        kept, self.folder = self.folder, self.folder.with_name("copy")
        shutil.copytree(kept, self.folder)
        os.sync()
        try:
            yield
        finally:
            shutil.rmtree(self.folder)
            self.folder = kept

    @property
    def backups_mb(self) -> float:
        """Return what all backups take on the disk."""
        files = (path for path in (self.folder / "backups").rglob("*") if path.is_file())
        return sum(path.stat().st_blocks for path in files) * 512 / 2**20


def _support(call: str) -> list[str]:
    """Return the command that does something to books in its own process, so that this one stays small."""
    return [sys.executable, "-c", f"from pathlib import Path; from benchmarks.support.grown import *; {call}"]


def _run(call: str) -> None:
    subprocess.run(_support(call), check=True, cwd=ROOT)


@contextmanager
def venue(bot: Bot, fills: int) -> Iterator[None]:
    """Let the stand-in answer for an account with so many fills."""
    call = f"serve(Path({str(bot.folder)!r}), {fills})"
    with subprocess.Popen(_support(call), stdout=subprocess.PIPE, cwd=ROOT) as served:
        assert served.stdout is not None
        assert served.stdout.readline() == b"ready\n"
        try:
            yield
        finally:
            served.terminate()


def look(bot: Bot, steps: frozenset[str]) -> None:
    """Measure the verbs that only look."""
    if "look" not in steps:
        return
    wanted = (MOST_S, MOST_MB)
    bot.type("journal", "verify", bounds=wanted)
    bot.type("fills", bounds=wanted)
    bot.type("fills", "--json", bounds=wanted)
    bot.type("fills", "SYMA", "--since", "session", bounds=wanted)
    bot.type("status", bounds=wanted)
    bot.type("positions", bounds=wanted)


def halt(bot: Bot, steps: frozenset[str]) -> None:
    """Measure a halt that has entries to cancel, one that has none, and its end."""
    if "halt" not in steps:
        return
    # As the first pass after a close does, it copies the session.
    bot.type("reconcile", name="reconcile, with the session's backup", bounds=(None, None))
    began = time.time()
    bot.type("halt", "--reason", "measured", name="halt, 20 entries to cancel", bounds=(None, MOST_MB))
    last = (bot.folder / CANCELLED).stat().st_mtime - began
    bot.costs.append(
        bot.costs[-1]._replace(verb="  until the last was cancelled", took_s=last, cpu_s=0, bound_s=CANCELLING_S)
    )
    bot.type("halt", "--reason", "measured", name="halt, nothing to cancel", bounds=(QUICK_S, None))
    bot.type("unhalt", "--confirm", TAIL, name="unhalt", bounds=(MOST_S, MOST_MB))


def back_up(bot: Bot) -> tuple[float, float]:
    """Measure the last of many backups, a session apart; return the disk of one and of all, MB."""
    one = bot.backups_mb
    for _ in range(BACKUPS - 2):
        bot.grow()
        bot.type("backup", bounds=(None, None))
        bot.costs.pop()
    bot.grow()
    bot.type("backup", name=f"backup, number {BACKUPS}", bounds=(MOST_S, MOST_MB))
    return one, bot.backups_mb


def rebuild(bot: Bot) -> None:
    """Measure what makes books anew: from a backup, from the journal, from the ledger, from backups alone."""
    wanted, names = (MOST_S, MOST_MB), sorted(path.name for path in (bot.folder / "backups").glob("*by-hand*"))
    bot.type("restore", names[-1], "--confirm", TAIL, code=10, name="restore", bounds=wanted)
    shutil.rmtree(bot.folder / "quarantine")
    bot.type("recover", code=10, name="recover, whole books", bounds=wanted)
    (bot.folder / "ledger.db").unlink()
    bot.type("recover", name="recover, ledger lost", bounds=wanted)
    shutil.rmtree(bot.folder / "quarantine")
    (bot.folder / "journal.jsonl").unlink()
    bot.type("recover", name="recover, journal lost", bounds=wanted)
    for path in (*bot.folder.glob("ledger.db*"), bot.folder / "journal.jsonl"):
        path.unlink()
    shutil.rmtree(bot.folder / "quarantine")
    bot.type("recover", code=10, name="recover, both lost", bounds=wanted)


def measure(count: int, steps: frozenset[str]) -> None:
    """Make books of so many fills, measure, and print."""
    # On the disk where a bot keeps its state: the system's own temporary folder may be memory.
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as place:
        bot, disk = Bot(Path(place), count), None
        size_mb = sum((bot.folder / name).stat().st_size for name in ("ledger.db", "journal.jsonl")) / 2**20
        with venue(bot, count):
            look(bot, steps)
            halt(bot, steps)
        if {"backup", "recover"} & steps:
            bot.type("backup", name="backup, the first", bounds=(MOST_S, MOST_MB))
        if "recover" in steps:
            with bot.copied(), venue(bot, count):
                rebuild(bot)
        if "backup" in steps:
            disk = back_up(bot)
    show(f"books of {count:,} fills, {size_mb:,.0f} MB", bot.costs, disk)


def show(title: str, costs: list[Cost], disk: tuple[float, float] | None) -> None:
    """Print what was measured beside what is wanted."""
    table = Table("verb", title=title, title_justify="left")
    for heading in ("s", "CPU s", "wanted", "peak MB", "wanted"):
        table.add_column(heading, justify="right")
    for verb, took_s, cpu_s, peak_mb, bound_s, bound_mb in costs:
        table.add_row(verb, f"{took_s:.2f}", f"{cpu_s:.2f}", _number(bound_s), f"{peak_mb:.0f}", _number(bound_mb))
    console = Console(width=100)
    console.print(table)
    if disk:
        one, last = disk
        console.print(f"disk of one backup {one:.1f} MB, of {BACKUPS} {last:.1f} MB: {last / one:.2f} times one")
        console.print(f"wanted: under {TIMES:.0f} times")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def main(words: list[str]) -> None:
    """Measure the sizes named, all of them without one; names of steps leave out the others."""
    os.environ.pop("TRADEBOT_STATE", None)
    if "flat" in words:
        flat.measure(STATE / "flat", [int(word) for word in words if word.isdigit()] or FLAT_SIZES, PROGRAM)
        return
    sizes = [int(word) for word in words if word.isdigit()] or SIZES
    steps = frozenset(word for word in words if not word.isdigit()) or frozenset({"look", "halt", "backup", "recover"})
    for size in sizes:
        measure(size, steps)
    if not words and sized(False, True):
        # The smallest size shows that all of this still runs, so nothing is left out.
        with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as place:
            flat.measure(Path(place) / "flat", FLAT_SIZES, PROGRAM)


if __name__ == "__main__":
    main(sys.argv[1:])
