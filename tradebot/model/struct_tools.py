"""Copy a value with some of its fields changed, tell which of its fields are written, and read words of a venue."""

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
    """A word from a venue; a word that we don't know becomes the member UNKNOWN."""

    @classmethod
    def _missing_(cls, value: object) -> Self:
        return cls("unknown")


def written_fields(value: Struct) -> list[str]:
    """Return the names of the fields of which records and documents say anything.

    These are all, but of a type with `omit_defaults` only those that aren't at their defaults. So what is written of an
    account doesn't change when its type gets a field that says nothing about it.
    """
    defaults = optional_fields(type(value))
    names = value.__struct_fields__
    return [name for name in names if name not in defaults or getattr(value, name) != defaults[name]]


def columns(kind: type[Struct], rows: Iterable[Struct]) -> list[str]:
    """Return the names of a type's fields, without the optional ones of which none of these rows says anything."""
    said = {name for row in rows for name in written_fields(row)} if optional_fields(kind) else frozenset[str]()
    return [name for name in kind.__struct_fields__ if name in said or name not in optional_fields(kind)]


@cache
def optional_fields(kind: type[Struct]) -> Mapping[str, Any]:
    """Return the fields that records and documents may lack, with their defaults."""
    if not kind.__struct_config__.omit_defaults:
        return {}
    # Asking for the fields would look up the types, which some modules import only for the type checker.
    defaults = kind.__struct_defaults__
    last = zip(kind.__struct_fields__[-len(defaults) :], defaults, strict=False)
    optional = {name: default for name, default in last if default is not NODEFAULT}
    return {name: one.factory() if hasattr(one, "factory") else one for name, one in optional.items()}
