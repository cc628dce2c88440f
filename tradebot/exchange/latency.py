"""Define how long cancels and replacements take to reach the market, in engine time, and how people write it."""

from __future__ import annotations

import re

from tradebot.exchange.times import HOUR, SECOND

_MILLISECOND = SECOND // 1000
LATENCIES = {"instant": 0, "paper": 100 * _MILLISECOND, "slow": 5 * SECOND}
"""Latencies in microseconds by name. `paper` resembles what people see on paper accounts; Alpaca doesn't document it.
"""
_UNITS = {"": _MILLISECOND, "ms": _MILLISECOND, "s": SECOND}
_WRITTEN = re.compile(r"(\d{1,7})(ms|s|)", re.ASCII)


def read_latency(text: str) -> int:
    """Read a name, or a number of milliseconds (250, 250ms) or seconds (2s); raise ValueError for anything else."""
    match = _WRITTEN.fullmatch(text)
    us = int(match[1]) * _UNITS[match[2]] if match else LATENCIES.get(text)
    if us is None or us > HOUR:
        raise ValueError(
            f"a latency is {', '.join(LATENCIES)}, or up to an hour such as 250ms or 2s, not {text[:20]!r}"
        )
    return us


def latency_name(us: int) -> str:
    """Return a latency as people write it, by name if it has one."""
    plain = f"{us // _MILLISECOND}ms" if us % SECOND else f"{us // SECOND}s"
    return next((name for name, known in LATENCIES.items() if known == us), plain)
