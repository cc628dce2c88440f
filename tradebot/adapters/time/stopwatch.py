"""Count seconds that no one can set; where the system allows, they also count while the machine sleeps."""

import time

CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def stopwatch() -> float:
    """Return seconds from an arbitrary start; only differences mean anything."""
    return time.clock_gettime(CLOCK)


def wall() -> float:
    """Return this machine's clock in seconds since 1970, which a person or NTP may set."""
    return time.time()


def awake() -> float:
    """Return seconds from an arbitrary start that don't count while the machine sleeps, where the system can tell."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)
