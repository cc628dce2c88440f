"""What the numbers of a decision count or measure."""

from enum import Enum


class Unit(Enum):
    """A unit as it is written after one and after several; a number without one stands alone."""

    NONE = ("", "")
    SHARE_OF_WHOLE = ("%", "%")
    """A fraction, which people read in percent."""
    USD = ("USD", "USD")
    SECONDS = ("s", "s")
    SHARES = ("share", "shares")
    ORDERS = ("order", "orders")
    ENTRIES = ("entry", "entries")
    POSITIONS = ("position", "positions")
    ROWS = ("row", "rows")
    FINDINGS = ("finding", "findings")
    ALERTS = ("alert", "alerts")
    CANDIDATES = ("candidate", "candidates")
