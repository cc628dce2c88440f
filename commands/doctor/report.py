"""What `tradebot doctor` found."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from commands.doctor.checks.row import Check


@dataclass(frozen=True, slots=True)
class Health:
    """The rows, and how many ended how; `asked` tells whether venue and flow source were spoken to."""

    state_dir: str
    asked: bool
    ok: int
    warn: int
    fail: int
    skip: int
    rows: "tuple[Check, ...]"
