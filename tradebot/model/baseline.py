"""The configuration that a person approved, and where the one in force differs from it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Baseline:
    """Every value that was in force when a person approved it, nested as in the configuration and ready for JSON."""

    values: Mapping[str, Any]
    who: str
    at: datetime

    @property
    def fingerprint(self) -> str:
        """Return a short digest of the values, the same for the same values."""
        text = json.dumps(self.values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that is not as approved, with the source of its value now.

    None stands for no value on that side: `known` is False where nobody ever approved one, and `given` is False where
    nothing sets one any more.
    """

    name: str
    approved: Any
    now: Any
    origin: str
    looser: bool
    known: bool = True
    given: bool = True
