"""How many files and connections this process may have open at once."""

from __future__ import annotations

import contextlib
import resource
import sys

_RESERVED = 256
"""Descriptors that are no client's: the log, the market, and connections that are being refused just now."""


def raise_limit() -> None:
    """Let this process open as many as the system grants it; where it may not, what it has must do."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_connections() -> int:
    """Return how many clients may be connected, so that descriptors are left for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft - min(_RESERVED, soft // 2)
