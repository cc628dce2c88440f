"""Format numbers, times and documents in one canonical form, with few imports because `halt` uses it.

A Decimal has no exponent and no trailing zeros. A time is UTC with six decimals and ends in Z. So equal values have
equal text, and stored times sort as text.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

LONGEST_DECIMAL = 60
UNFIT = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError)
"""Errors raised for stored values that differ from what was written: missing, too few, or of another type."""
# Values to be written are trees that were just built, so looking for circles would only take time.
_COMPACT = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False)


class CodecError(ValueError):
    """Raised for a value that has no canonical text, or stored text that does not fit its type."""


def decimal_text(value: Decimal) -> str:
    """Return the canonical text of a finite number: no exponent, no trailing zeros, no negative zero."""
    try:
        return _plain(value)
    except TypeError:
        # A signaling NaN can't be looked up.
        raise CodecError(f"{value} can't be stored as a number") from None


@lru_cache(maxsize=4_096)
def _plain(value: Decimal) -> str:
    """Return a number without exponent; limits and prices repeat, and equal numbers have equal text."""
    if not value.is_finite() or (value and abs(value.adjusted()) > LONGEST_DECIMAL):
        raise CodecError(f"{value} can't be stored as a number")
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def time_text(value: datetime) -> str:
    """Return a time as fixed-width UTC text; such texts sort in the order of their times."""
    if value.tzinfo is None:
        raise CodecError(f"{value} has no time zone")
    return value.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse_time(text: str) -> datetime:
    """Parse canonical text into an aware UTC time."""
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise CodecError(f"{text} has no time zone")
    return value


def json_text(value: object) -> str:
    """Return compact JSON; raise CodecError for NaN and infinity."""
    try:
        return _COMPACT.encode(value)
    except ValueError as error:
        raise CodecError(f"a number that is not finite can't be stored: {error}") from error
