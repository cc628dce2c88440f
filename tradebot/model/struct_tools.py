"""Helpers for structs: copy one with changed fields, list the fields to write, and parse a venue's words."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from msgspec import NODEFAULT, Struct

__all__ = ["VenueWord", "columns", "optional_fields", "replace", "written_fields"]

if TYPE_CHECKING:
    # Mypy checks the names and types of the fields for this function; for msgspec's, it would accept anything.
    from dataclasses import replace
else:
    from msgspec.structs import replace


class VenueWord(StrEnum):
    """Base class of an enum of a venue's words; an unknown word becomes the member UNKNOWN."""

    @classmethod
    def _missing_(cls, value: object) -> Self:
        return cls("unknown")


def written_fields(value: Struct) -> list[str]:
    """Return the names of the fields to write into records and documents.

    These are all fields; for a type with `omit_defaults`, only those that differ from their defaults. So the written
    form of a value doesn't change when its type gets a new optional field.
    """
    defaults = optional_fields(type(value))
    names = value.__struct_fields__
    return [name for name in names if name not in defaults or getattr(value, name) != defaults[name]]


def columns(kind: type[Struct], rows: Iterable[Struct]) -> list[str]:
    """Return a type's field names, without optional fields that are at their defaults in all rows."""
    written_names = (
        {name for row in rows for name in written_fields(row)} if optional_fields(kind) else frozenset[str]()
    )
    return [name for name in kind.__struct_fields__ if name in written_names or name not in optional_fields(kind)]


@cache
def optional_fields(kind: type[Struct]) -> Mapping[str, Any]:
    """Return the fields that records and documents may lack, with their defaults."""
    if not kind.__struct_config__.omit_defaults:
        return {}
    # Listing the fields with `fields()` would look up types that some modules import only for the type checker.
    defaults = kind.__struct_defaults__
    last = zip(kind.__struct_fields__[-len(defaults) :], defaults, strict=False)
    optional = {name: default for name, default in last if default is not NODEFAULT}
    return {name: default.factory() if hasattr(default, "factory") else default for name, default in optional.items()}
