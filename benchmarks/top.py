"""Measure what `tradebot top` takes of a core while the ledger changes every second, on each of its screens.

It runs on a terminal of its own, on a bot with positions after twenty sessions of recorded passes. Nothing else is
bounded: a reading that takes long is followed by a longer pause.
"""

import fcntl
import os
import pty
import struct
import subprocess
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.startup import BIN, tradebot, wall_s
from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from benchmarks.why_no_orders import passes
from commands.top.screen_data import NAMES
from papervenue import process
from tradebot.adapters.facts.pass_writer import write_passes

SETTLE_S, MEASURED_S = sized((8, 40), (4, 3))
COLUMNS, LINES = 120, 40
BOUND = 5


@contextmanager
def on_a_terminal(state: Path) -> Iterator[tuple[int, int]]:
    """Yield the process that draws, and the descriptor that takes its keys; what it draws is read away."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    program = subprocess.Popen(
        [BIN / "tradebot", "top", "--state-dir", str(state)],
        stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(theirs)
    drawing = threading.Thread(target=_read_away, args=(ours,), daemon=True)
    drawing.start()
    try:
        yield program.pid, ours
        os.write(ours, b"q")
        assert program.wait(60) == 0, "it ended otherwise than by q"
    finally:
        program.kill()
        program.wait()
        drawing.join(10)
        os.close(ours)


def _read_away(descriptor: int) -> None:
    try:
        while os.read(descriptor, 65_536):
            pass
    except OSError:
        # The other end is gone.
        return


def cpu_s(pid: int) -> float:
    """Return the processor's time that a process has taken, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(pid: int, keys: int, number: int, ledger: Path) -> float:
    """Return how much of a core a screen takes while the ledger changes every second."""
    os.write(keys, str(number).encode())
    _change(ledger, SETTLE_S)
    before_s, began_s = cpu_s(pid), time.monotonic()
    _change(ledger, MEASURED_S)
    return (cpu_s(pid) - before_s) / (time.monotonic() - began_s)


def _change(ledger: Path, seconds: int) -> None:
    for _ in range(seconds):
        os.utime(ledger)
        time.sleep(1)


def main() -> None:
    """Make the bot, draw each screen, print, and stop the exchange."""
    with tempfile.TemporaryDirectory(prefix="tradebot-bench-") as folder:
        state = Path(folder) / "bot"
        try:
            wall_s(tradebot(state, "init", "--mode", "sandbox"))
            for words in ("exchange tick open", "exchange tick 30m", "fetch-flow", "reconcile"):
                wall_s(tradebot(state, *words.split()))
            for verb in ("trade-once", "evaluate-exits"):
                wall_s(tradebot(state, verb, "--force-slot"))
            write_passes(state, passes())
            with on_a_terminal(state) as (pid, keys):
                time.sleep(SETTLE_S)
                shares = {
                    name: measured(pid, keys, number, state / "ledger.db") for number, name in enumerate(NAMES, 1)
                }
        finally:
            process.stop(state / "exchange")
    show(
        f"tradebot top, {MEASURED_S} s a screen, the ledger changing every second",
        (
            Figure(name, f"{share * MEASURED_S:.2f} s", 100 * share, "% of a core", BOUND)
            for name, share in shares.items()
        ),
    )


if __name__ == "__main__":
    main()
