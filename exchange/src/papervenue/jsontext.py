"""Read and write JSON for the API: exact decimals when reading, strings for money when writing, only valid JSON."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, NoReturn

from papervenue.refusal import malformed_request

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_LONGEST_NUMBER = 64
_LARGEST_EXPONENT = 15
_SMALLEST_EXPONENT = -30
_WITH_ALL_LETTERS = json.JSONEncoder(ensure_ascii=False, default=str).encode
_TO_JSON = json.JSONEncoder(separators=(",", ":")).encode


def encode(value: object) -> bytes:
    return _TO_JSON(value).encode()


def decode_object(text: str) -> dict[str, Any]:
    """Read a JSON object with exact decimal numbers; raise a 400 Refusal if it is invalid."""
    try:
        value = _FROM_JSON(text)
        # Only an escape can put half of a surrogate pair into a text.
        if "\\u" in text:
            check_text(value)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise malformed_request("request body format is invalid") from error
    if not isinstance(value, dict):
        raise malformed_request("request body format is invalid: expected a JSON object")
    return value


def check_text(value: object) -> None:
    """Raise ValueError if JSON data contains an unpaired surrogate, which can't be encoded."""
    _WITH_ALL_LETTERS(value).encode()


def refuse_constant(name: str) -> NoReturn:
    """Raise ValueError for NaN and infinities, which Python's JSON parser accepts."""
    raise ValueError(f"{name} is not JSON")


_FROM_JSON = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal, parse_constant=refuse_constant).decode


def to_decimal(value: object) -> Decimal | None:
    """Return a JSON number, or a string with one, as a bounded Decimal; None for anything else."""
    if isinstance(value, str):
        if len(value) > _LONGEST_NUMBER or not _NUMBER.fullmatch(value):
            return None
        value = Decimal(value)
    if not isinstance(value, Decimal):
        return None
    if value and not _SMALLEST_EXPONENT <= value.adjusted() <= _LARGEST_EXPONENT:
        return None
    return value


def plain(value: Decimal) -> str:
    """Format a decimal without exponent or trailing zeros."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
