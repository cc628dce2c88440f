"""The report of `tradebot doctor`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from commands.doctor.checks.row import Check


@dataclass(frozen=True, slots=True)
class Health:
    """The checks, and how many have each result; `asked` is True if the broker and the flow source were contacted."""

    state_dir: str
    asked: bool
    ok: int
    warn: int
    fail: int
    skip: int
    rows: "tuple[Check, ...]"
