"""How a chore's process ended."""

from dataclasses import dataclass

STOPPED = "stopped"
"""Why a chore was ended that was stopped together with `serve`."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a chore's process ended: its exit code, why it was ended if it was, real seconds, and its last output."""

    code: int
    why: str | None
    took_s: float
    output: str
