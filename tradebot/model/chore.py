"""How a chore's process ended."""

from msgspec import Struct

STOPPED = "stopped"
"""Why a chore was ended that was stopped together with `serve`."""


class Ended(Struct, frozen=True):
    """How a chore's process ended: its exit code, why it was ended if it was, real seconds, and its last output."""

    code: int
    why: str | None
    took_s: float
    output: str
