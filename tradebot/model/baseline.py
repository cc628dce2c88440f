"""The configuration that a person approved, and how the current one differs from it."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct


class Baseline(Struct, frozen=True):
    """Every setting at the time a person approved it, nested as in the configuration and ready for JSON."""

    values: Mapping[str, Any]
    who: str
    at: datetime

    @property
    def fingerprint(self) -> str:
        """Return a short digest of the values; equal values have equal digests."""
        text = json.dumps(self.values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Difference(Struct, frozen=True):
    """One setting that differs from its approved value, with the source of its current value.

    None means there is no value on that side: `known` is False if nobody ever approved one, and `given` is False if
    nothing sets one anymore.
    """

    name: str
    approved: Any
    now: Any
    origin: str
    looser: bool
    known: bool = True
    given: bool = True
