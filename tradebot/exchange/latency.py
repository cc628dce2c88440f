"""How long cancels and replacements are on their way to the market, in engine time, and how people write it."""

from __future__ import annotations

import re

from tradebot.exchange.times import HOUR, SECOND

_MILLISECOND = SECOND // 1000
LATENCIES = {"instant": 0, "paper": 100 * _MILLISECOND, "slow": 5 * SECOND}
"""Latencies in microseconds by name. `paper` is of the order that people see on paper accounts; nobody documents it."""
_UNITS = {"": _MILLISECOND, "ms": _MILLISECOND, "s": SECOND}
_WRITTEN = re.compile(r"(\d{1,7})(ms|s|)", re.ASCII)


def read_latency(text: str) -> int:
    """Read a name or a number of milliseconds (250, 250ms) or seconds (2s); raises ValueError on anything else."""
    found = _WRITTEN.fullmatch(text)
    us = int(found[1]) * _UNITS[found[2]] if found else LATENCIES.get(text)
    if us is None or us > HOUR:
        raise ValueError(
            f"a latency is {', '.join(LATENCIES)}, or up to an hour such as 250ms or 2s, not {text[:20]!r}"
        )
    return us


def latency_name(us: int) -> str:
    """Return a latency as it is written: by its name where it has one."""
    plain = f"{us // _MILLISECOND}ms" if us % SECOND else f"{us // SECOND}s"
    return next((name for name, known in LATENCIES.items() if known == us), plain)
