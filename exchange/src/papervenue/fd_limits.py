"""Limit how many files and connections this process may have open at once."""

from __future__ import annotations

import contextlib
import resource
import sys

_RESERVED = 256
"""File descriptors not meant for clients: the log, the market, and connections that are just being refused."""


def raise_limit() -> None:
    """Raise this process's limit of open files as far as the system allows; if it doesn't, keep the current limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_connections() -> int:
    """Return how many clients may connect, leaving descriptors for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft - min(_RESERVED, soft // 2)
