"""Copy a value with some of its fields changed, and tell which of its fields are written."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields

__all__ = ["optional_fields", "replace", "written_fields"]

if TYPE_CHECKING:
    # Mypy checks the names and types of the fields for this function; for msgspec's, it would accept anything.
    from dataclasses import replace
else:
    from msgspec.structs import replace


def written_fields(value: Struct) -> list[str]:
    """Return the names of the fields of which records and documents say anything.

    These are all, but of a type with `omit_defaults` only those that aren't at their defaults. So what is written of an
    account doesn't change when its type gets a field that says nothing about it.
    """
    defaults = optional_fields(type(value))
    names = value.__struct_fields__
    return [name for name in names if name not in defaults or getattr(value, name) != defaults[name]]


@cache
def optional_fields(kind: type[Struct]) -> Mapping[str, Any]:
    """Return the fields that records and documents may lack, with their defaults."""
    if not kind.__struct_config__.omit_defaults:
        return {}
    optional = (field for field in fields(kind) if not field.required)
    return {field.name: field.default_factory() if field.default is NODEFAULT else field.default for field in optional}
