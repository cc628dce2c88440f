"""Make the JSON Schema (draft 2020-12) of a type, as `commands.shared.verb_options.jsonable` writes it.

The schema is derived from the type, so that a document and its schema can't differ. It is strict: no other field is
allowed, and every field is required, because a missing field could be mistaken for a default. Only a type that says so
(`omit_defaults`) leaves out the fields that most accounts have nothing to say about.
"""

import ast
import inspect
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from importlib import import_module
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from msgspec import Struct

from tradebot.model.values import optional_fields

Schema = dict[str, Any]

PLAIN: Mapping[object, Schema] = {
    Any: {},
    object: {},
    type(None): {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    Decimal: {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"},
    date: {"type": "string", "format": "date", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
    datetime: {
        "type": "string",
        "format": "date-time",
        "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$",
    },
}
"""Types without parts. Validators may ignore `format`, so there is a pattern too."""


class Definitions:
    """The schemas of types; a named type is defined once, and the others refer to it."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}
        self._kinds: dict[str, type] = {}

    def of(self, kind: Any) -> Schema:
        """Return the schema of a type; raise TypeError if it can't be part of a document."""
        if kind in PLAIN:
            return dict(PLAIN[kind])
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (Union, UnionType):
            return {"anyOf": [self.of(argument) for argument in arguments]}
        if origin is Literal:
            return {"enum": list(arguments)}
        if isinstance(origin, type):
            return self._collection(origin, arguments)
        if isinstance(kind, type):
            return self._named(kind)
        raise TypeError(f"{kind!r} has no JSON form")

    def _collection(self, origin: type, arguments: Sequence[Any]) -> Schema:
        if issubclass(origin, Mapping):
            key, item = arguments
            names = {} if key is str else {"propertyNames": self.of(key)}
            return {"type": "object", "additionalProperties": self.of(item), **names}
        if not issubclass(origin, Sequence | set | frozenset):
            raise TypeError(f"{origin!r} has no JSON form")
        if issubclass(origin, tuple) and arguments[-1] is not Ellipsis:
            parts = [self.of(argument) for argument in arguments]
            return {"type": "array", "prefixItems": parts, "minItems": len(parts), "items": False}
        return {"type": "array", "items": self.of(arguments[0])}

    def _named(self, kind: type) -> Schema:
        name = self._name(kind)
        if name not in self.schemas:
            # The name is taken before the fields are read, so that a type can contain itself.
            self.schemas[name] = {}
            self.schemas[name] = {"description": " ".join((kind.__doc__ or "").split()), **self._definition(kind)}
        return {"$ref": f"#/$defs/{name}"}

    def _name(self, kind: type) -> str:
        """Return the type's name, with its module if another type of this schema already has that name."""
        taken = self._kinds.setdefault(kind.__name__, kind)
        return kind.__name__ if taken is kind else f"{kind.__module__}.{kind.__name__}"

    def _definition(self, kind: type) -> Schema:
        if issubclass(kind, Enum):
            return {"enum": [member.value for member in kind]}
        if issubclass(kind, Struct) or is_typeddict(kind):
            optional = optional_fields(kind) if issubclass(kind, Struct) else ()
            return closed_object(optional, **{field: self.of(hint) for field, hint in _hints(kind).items()})
        raise TypeError(f"{kind!r} has no JSON form")


def closed_object(optional: Collection[str] = (), /, **properties: Schema) -> Schema:
    """Return the schema of an object with exactly these properties, of which only the `optional` may be left out."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _hints(kind: type) -> dict[str, Any]:
    """Return the types of all fields, inherited ones first.

    To start quickly, many modules import their types only for the type checker. Such types are imported here, from
    the place that the module names.
    """
    names: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        words = set(re.findall(r"\w+", repr(inspect.get_annotations(base))))
        if words:
            names |= _checked_only(base.__module__, words)
    return get_type_hints(kind, localns=names)


def _checked_only(module: str, words: set[str]) -> dict[str, Any]:
    """Import the types that a module imports only under TYPE_CHECKING and that these words name."""
    return {name: getattr(import_module(found), name) for found, name in _unloaded(module) if name in words}


@cache
def _unloaded(module: str) -> Sequence[tuple[str, str]]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    blocks = (node.body for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imports = (node for block in blocks for node in block if isinstance(node, ast.ImportFrom))
    return [(node.module, alias.name) for node in imports for alias in node.names if node.module]
