"""Commands as processes of their own, and what they and the processes that they waited for used."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
FINE = (0, 3, 10)
"""3 is an entry refused by the trading state and 10 are findings: the whole work was done in both."""
MB = 1024


@dataclass(frozen=True)
class Used:
    """Seconds of the day and of the processor, and MB of memory at once."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def run(*command: str) -> Used:
    """Run a command to its end, and return what it used; one that fails ends the program."""
    began = time.perf_counter()
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode not in FINE:
        sys.exit(f"{' '.join(command)} ended with {running.returncode}")
    return Used(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / MB)


def tradebot(state: Path, *arguments: str) -> Sequence[str]:
    """Return one command line of the bot on one state."""
    return str(BIN / "tradebot"), *arguments, "--state-dir", str(state)
