"""Provide wall-clock time for records made by people and the machine, and a stopwatch that no one can set.

`halt` runs this before importing anything else, so it imports only small modules of the standard library.
"""

import json
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from tradebot.adapters.state.safe_open import opened_plain
from tradebot.adapters.state.state_folder import EXCHANGE

CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def stopwatch() -> float:
    """Return seconds from an arbitrary start; use only differences between two calls."""
    return time.clock_gettime(CLOCK)


def wall_clock_s() -> float:
    """Return the machine's clock in seconds since 1970; a user or NTP may set this clock."""
    return time.time()


def awake_seconds() -> float:
    """Return seconds from an arbitrary start, not counting time in which the machine sleeps if the system can tell."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


SANDBOX = "sandbox"

LOG = "log.jsonl"

LAST_BYTES = 1 << 18

"""How much of the exchange's log is looked at; a line is a request of a few kilobytes at most."""


def stamp_time(folder: Path, mode: str | None) -> datetime:
    """Return trading time: for a sandbox bot, the time that the exchange logged last; otherwise this machine's time.

    No request is made, so this works while the exchange isn't running. Without a readable log, it returns this
    machine's time.
    """
    logged = _last_logged(folder / EXCHANGE / LOG) if mode == SANDBOX else None
    return logged or datetime.now(UTC)


def _last_logged(path: Path) -> datetime | None:
    """Return the time of the last complete line of the exchange's log."""
    with suppress(OSError, ValueError), opened_plain(path) as file:
        file.seek(max(os.fstat(file.fileno()).st_size - LAST_BYTES, 0))
        complete = file.read(LAST_BYTES).rpartition(b"\n")[0]
        line = json.loads(complete.rpartition(b"\n")[2])
        at = datetime.fromisoformat(str(line.get("at") if isinstance(line, dict) else line))
        return at if at.tzinfo else None
    return None
