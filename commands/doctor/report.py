"""What `tradebot doctor` found."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from commands.doctor.checks.row import Check


@dataclass(frozen=True, slots=True)
class Health:
    """The rows, and how many have each result; `asked` says whether the venue and the flow source were asked."""

    state_dir: str
    asked: bool
    ok: int
    warn: int
    fail: int
    skip: int
    rows: "tuple[Check, ...]"
