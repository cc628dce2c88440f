"""A judgment about one part of the bot, with the evidence for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """How one part of the bot is. Without evidence it is UNKNOWN, which isn't OK."""

    OK = "OK"
    DEGRADED = "DEGRADED"
    UNKNOWN = "UNKNOWN"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Finding:
    """How one part of the bot is, and by what evidence.

    `looked_at` is when the newest evidence was made and `count` how many pieces there are. `age_s` is its age, and
    `late_s` for how long newer evidence has been due; the part has FAILED once that is more than `budget_s`. `next` is
    what to do, empty if there is nothing to do.
    """

    subsystem: str
    state: State
    looked_at: datetime | None
    count: int
    age_s: float | None
    late_s: float | None
    budget_s: int | None
    found: str
    next: str


def overall(findings: Iterable[Finding]) -> State:
    """Return the worst state of any part; UNKNOWN if there is none."""
    order = list(State)
    return max((finding.state for finding in findings), key=order.index, default=State.UNKNOWN)
