"""Seconds that nobody can set: they go on while the machine sleeps, where the system counts them so."""

import time

CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def stopwatch() -> float:
    """Return seconds; only differences mean anything."""
    return time.clock_gettime(CLOCK)
