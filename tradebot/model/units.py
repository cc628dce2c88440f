"""What the numbers of a decision count or measure."""

from enum import Enum


class Unit(Enum):
    """A unit's singular and plural; a number without a unit is written alone."""

    NONE = ("", "")
    SHARE_OF_WHOLE = ("%", "%")
    """A fraction, shown to people as a percentage."""
    USD = ("USD", "USD")
    SECONDS = ("s", "s")
    DAYS = ("day", "days")
    SHARES = ("share", "shares")
    ORDERS = ("order", "orders")
    ENTRIES = ("entry", "entries")
    POSITIONS = ("position", "positions")
    ROUND_TRIPS = ("round trip", "round trips")
    ROWS = ("row", "rows")
    BARS = ("bar", "bars")
    FINDINGS = ("finding", "findings")
    ALERTS = ("alert", "alerts")
    FAMILIES = ("family", "families")
    SYMBOLS = ("symbol", "symbols")
    CANDIDATES = ("candidate", "candidates")
