"""The one text of a number, a time and a document; light, because `halt` writes through it.

A Decimal has no exponent and no trailing zeros, a time is UTC with six decimals and ends in Z, so that equal
values have equal text and stored times sort as text.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal

LONGEST_DECIMAL = 60


class CodecError(ValueError):
    """A value that has no text, or stored text that does not fit its type."""


def decimal_text(value: Decimal) -> str:
    """Return the one text of a finite number: no exponent, no trailing zeros, no negative zero."""
    if not value.is_finite() or abs(value.adjusted()) > LONGEST_DECIMAL:
        raise CodecError(f"{value} cannot be stored as a number")
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def time_text(value: datetime) -> str:
    """Return UTC text of fixed width, which sorts as the times do."""
    if value.tzinfo is None:
        raise CodecError(f"{value} carries no time zone")
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """Return the aware UTC time of its text."""
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise CodecError(f"{text} carries no time zone")
    return value


def json_text(value: object) -> str:
    """Return compact JSON; NaN and infinity have none."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise CodecError(f"a number that is not finite cannot be stored: {error}") from error
