"""Name the state of an exchange, and restore it from bytes."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import msgpack

from tradebot.exchange.snapshot.codec import Past

KEPT = {
    "": ("sequence", "_told_ns", "_reserved_us"),
    "engine": ("now_us", "latency_us", "sequence", "accounts", "_opened", "_arrives_us"),
    "engine.agenda": ("_noted", "_heap"),
    "engine.book": ("_live",),
    "faults.book": ("_armed", "on_requests", "on_streams", "asks_accounts"),
    "faults.halts": ("_fired",),
    "market": ("symbols", "known"),
    "market.actions": ("_all", "_of", "_entities"),
    "control": ("_cash",),
}
"""Everything in an exchange that commands change, by its path. All else is the same from the beginning."""


def holder(exchange: object, path: str) -> Any:
    """Return the part of an exchange at a path; an empty path means the exchange itself."""
    return attrgetter(path)(exchange) if path else exchange


def restore_state(exchange: object, state: bytes) -> Past:
    """Restore a newly created exchange to a state and return its finished orders.

    Raises ValueError, TypeError or KeyError if the state is invalid.
    """
    packed, live, later = msgpack.unpackb(state)
    past = Past(tuple(later))
    past.read([live])
    parts: dict[str, list[Any]] = past.unpacker.unpack(packed)
    for path, names in KEPT.items():
        for name, value in zip(names, parts[path], strict=True):
            setattr(holder(exchange, path), name, value)
    return past
