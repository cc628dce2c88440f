"""What is different about the settings of runs that are set side by side."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from msgspec import Struct

from commands.shared.light_helpers import clean

LONGEST = 40
"""So many characters of a setting are shown; the JSON document has all."""


class DifferingSetting(Struct, frozen=True):
    """A setting that isn't the same in all runs: its dotted name, and its value in each, as text; None if it has none.

    It is one of the configuration, of the market (`market.`), of the run (`run.`) or a version (`version.`).
    """

    name: str
    values: tuple[str | None, ...]


def leaves(name: str, value: Any) -> "Iterator[tuple[str, str]]":
    """Yield every value within another by its dotted name, as text; nothing for None."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(f"{name}.{key}" if name else str(key), inner)
    elif value is not None:
        yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def differing(found: "Sequence[Mapping[str, str]]") -> "Iterator[DifferingSetting]":
    """Yield each setting that isn't the same in all runs."""
    names = dict.fromkeys(name for one in found for name in one)
    for name in names:
        values = tuple(one.get(name) for one in found)
        if len(set(map(_meant, values))) > 1:
            yield DifferingSetting(name, values)


def _meant(value: str | None) -> Decimal | str | None:
    """Return what a value means: 100000 and 100000.0 are the same number."""
    try:
        number = Decimal(value or "")
    except InvalidOperation:
        return value
    return number if number.is_finite() else value


def format_setting(value: str | None) -> str:
    """Return a setting's value for a column of a screen."""
    text = clean(value if value is not None else "-")
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
