"""Run commands as processes, and measure what they and their child processes used."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
FINE = (0, 3, 10)
"""Exit codes of complete runs: 0, 3 for an entry refused by the trading state, and 10 for findings."""
MB = 1024


@dataclass(frozen=True)
class Used:
    """Wall seconds, CPU seconds, and peak memory in MB."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def run(*command: str) -> Used:
    """Run a command to its end, and return what it used; exit if it fails."""
    began = time.perf_counter()
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode not in FINE:
        sys.exit(f"{' '.join(command)} ended with {running.returncode}")
    return Used(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / MB)


def tradebot(state: Path, *arguments: str) -> Sequence[str]:
    """Return a command line of the bot on a state folder."""
    return str(BIN / "tradebot"), *arguments, "--state-dir", str(state)
