"""Refuse numbers in a configuration that people and parsers read differently."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import get_args

_PLAIN_NUMBER = re.compile(r"\s*[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?\s*", re.ASCII)


def no_switch(value: object) -> object:
    """Return a value that isn't true or false; ValueError if it is."""
    if isinstance(value, bool):
        raise ValueError("must be a number or a word")
    return value


def plain_numbers(value: object) -> object:
    """Return a number or a mapping to numbers unchanged; raise ValueError if one isn't written in plain digits."""
    for key, item in value.items() if isinstance(value, Mapping) else (("", value),):
        _require_plain(item, key and f" for {key}")
    return value


def of_numbers(annotation: object) -> bool:
    """Return True if a field holds a number or a mapping to numbers."""
    return annotation in (int, float, Decimal) or any(of_numbers(part) for part in get_args(annotation))


def _require_plain(value: object, where: str) -> None:
    """Refuse numbers that people and parsers read differently: 017, 1_000, 1e3, digits of other scripts."""
    if isinstance(value, bool):
        raise ValueError(f"must be a number or a word{where}")
    if isinstance(value, str) and any(map(str.isdigit, value)) and not _PLAIN_NUMBER.fullmatch(value):
        raise ValueError(f"must be a number in plain digits{where}, such as 1000 or 0.25")
