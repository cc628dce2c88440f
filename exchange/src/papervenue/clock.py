"""Let engine time follow the machine's clock at a multiple of real time, or not at all (lock-step, the default).

This module also parses and formats paces and latencies.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from papervenue.times import HOUR, SECOND

_MILLISECOND = SECOND // 1000
LATENCIES = {"instant": 0, "paper": 100 * _MILLISECOND, "slow": 5 * SECOND}
"""Latencies in microseconds by name. `paper` resembles what people see on paper accounts; Alpaca doesn't document it.
"""
_UNITS = {"": _MILLISECOND, "ms": _MILLISECOND, "s": SECOND}
_WRITTEN = re.compile(r"(\d{1,7})(ms|s|)", re.ASCII)


def read_latency(text: str) -> int:
    """Parse a latency: a name, or a number of milliseconds (250, 250ms) or seconds (2s); raise ValueError otherwise."""
    match = _WRITTEN.fullmatch(text)
    us = int(match[1]) * _UNITS[match[2]] if match else LATENCIES.get(text)
    if us is None or us > HOUR:
        raise ValueError(
            f"{text[:20]!r} isn't a latency: use {', '.join(LATENCIES)}, or a duration up to an hour, such as 250ms "
            "or 2s"
        )
    return us


def latency_name(us: int) -> str:
    """Format a latency: its name if it has one, otherwise a number with its unit."""
    plain = f"{us // _MILLISECOND}ms" if us % SECOND else f"{us // SECOND}s"
    return next((name for name, delays in LATENCIES.items() if delays == us), plain)


STEP, REAL = "step", "real"
FASTEST = 100_000
_PACE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)x", re.ASCII)
_NS_PER_US = 1_000


class Pace(NamedTuple):
    """Engine seconds per real second; 0 means lock-step."""

    speed: Fraction

    @property
    def name(self) -> str:
        """Return the pace as the user writes it: step, real, or a multiple such as 60x."""
        if self.speed in (0, 1):
            return REAL if self.speed else STEP
        return f"{float(self.speed):g}x"


LOCK_STEP = Pace(Fraction(0))


def read_pace(text: str) -> Pace:
    """Parse step, real or a multiple such as 60x; raise ValueError for anything else."""
    if text in (STEP, REAL):
        return Pace(Fraction(text == REAL))
    match = _PACE.fullmatch(text)
    speed = Fraction(match[1]) if match else Fraction(0)
    if not 0 < speed <= FASTEST:
        raise ValueError(f"{text[:20]!r} isn't a pace: use {STEP}, {REAL}, or a factor up to {FASTEST}x, such as 60x")
    return Pace(speed)


class Clock:
    """Computes the present engine time from the machine's monotonic clock; the machine's date is never read."""

    def __init__(self, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.pace = LOCK_STEP
        self._monotonic_ns = monotonic_ns
        self._from_us = self._from_ns = 0

    def set(self, pace: Pace, now_us: int) -> None:
        """Set the pace, and continue from engine time `now_us`."""
        self.pace = pace
        self.rebase(now_us)

    def rebase(self, now_us: int) -> None:
        """Continue from this engine time at the same pace."""
        self._from_us, self._from_ns = now_us, self._monotonic_ns()

    @property
    def running(self) -> bool:
        return bool(self.pace.speed)

    @property
    def due_us(self) -> int:
        """Return the engine time that the clock has reached; in lock-step, the time that was set last."""
        passed_ns = self._monotonic_ns() - self._from_ns
        return self._from_us + passed_ns * self.pace.speed.numerator // (self.pace.speed.denominator * _NS_PER_US)
