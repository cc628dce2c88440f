"""Declare reasons: each with its cause, meaning, remedy, and the units of its numbers."""

from enum import Enum, StrEnum
from functools import partial
from typing import TYPE_CHECKING, cast

from msgspec import Struct

if TYPE_CHECKING:
    from tradebot.model.reasons import Reason


class Cause(StrEnum):
    """Why nothing was traded: the bot is BROKEN, a rule BLOCKED it, it was IDLE by design, or the cause is unknown."""

    BROKEN = "broken"
    BLOCKED = "blocked"
    IDLE = "idle by design"
    UNKNOWN = "unknown"


class Unit(Enum):
    """The unit of a number that a gate or filter observed: its singular and its plural.

    Both are empty for a number without a unit.
    """

    NONE = ("", "")
    SHARE_OF_WHOLE = ("%", "%")
    """A fraction, shown to people as a percentage."""
    USD = ("USD", "USD")
    SECONDS = ("s", "s")
    MILLISECONDS = ("ms", "ms")
    DAYS = ("day", "days")
    R = ("R", "R")
    """A multiple of the loss at the stop."""
    SHARES = ("share", "shares")
    ORDERS = ("order", "orders")
    ENTRIES = ("entry", "entries")
    POSITIONS = ("position", "positions")
    ROUND_TRIPS = ("round trip", "round trips")
    ROWS = ("row", "rows")
    BARS = ("bar", "bars")
    TICKS = ("tick", "ticks")
    FINDINGS = ("finding", "findings")
    ALERTS = ("alert", "alerts")
    FAMILIES = ("family", "families")
    SYMBOLS = ("symbol", "symbols")
    CANDIDATES = ("candidate", "candidates")
    POINTS = ("point", "points")
    ADX = ("ADX", "ADX")
    """The strength of a trend, whatever its direction, from 0 to 100."""
    OF_RANGE = ("of the range", "of the range")
    """A level of a range, from 0 at its near end to 1 at its far end."""

    @property
    def code(self) -> str:
        """Return the unit's name in records."""
        return self.name.lower()


class ReasonRow(Struct, frozen=True):
    """One reason: its cause, what it means, and what to do about it.

    `units` are the units of `observed` and `limit` if they differ from the gate's.
    """

    cause: Cause
    meaning: str
    remedy: str
    units: tuple[Unit, Unit] | None = None


def _row(cause: Cause, meaning: str, remedy: str, unit: Unit | None = None, limit: Unit | None = None) -> "Reason":
    """Build a reason's row; the limit has the same unit unless another is given."""
    return cast("Reason", ReasonRow(cause, meaning, remedy, (unit, limit or unit) if unit else None))


broken = partial(_row, Cause.BROKEN)
blocked = partial(_row, Cause.BLOCKED)
idle = partial(_row, Cause.IDLE)
unknown = partial(_row, Cause.UNKNOWN)
"""Build a reason with this cause. In a class of reasons, it is a row; `reasons` turns each row into an enum member."""
