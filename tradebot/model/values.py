"""Copy a value with some of its fields changed."""

from typing import TYPE_CHECKING

__all__ = ["replace"]

if TYPE_CHECKING:
    # Mypy checks the names and types of the fields for this function; for msgspec's, it would accept anything.
    from dataclasses import replace
else:
    from msgspec.structs import replace
