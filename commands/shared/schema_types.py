"""JSON Schema (draft 2020-12) of what a type becomes in a document: the mirror of `commands.shared.surface.jsonable`.

Types say it all, so a document and its schema cannot differ by a forgotten edit. A schema is strict: every field is
required and no other is allowed, because a field that may be missing would read as a default.
"""

import ast
import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from importlib import import_module
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

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
"""Types without parts. `format` is a note that validators may pass over, so that the pattern stands beside it."""


class Definitions:
    """The schemas of types; those that have a name of their own are defined once and referred to."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}
        self._kinds: dict[str, type] = {}

    def of(self, kind: Any) -> Schema:
        """Return the schema of a type; TypeError for one that no document can hold."""
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
            # Reserved before its fields are looked at, so that a type which holds its own kind ends.
            self.schemas[name] = {}
            self.schemas[name] = {"description": _description(kind), **self._definition(kind)}
        return {"$ref": f"#/$defs/{name}"}

    def _name(self, kind: type) -> str:
        """Return the type's name, with its module where another type of this schema has that name already."""
        taken = self._kinds.setdefault(kind.__name__, kind)
        return kind.__name__ if taken is kind else f"{kind.__module__}.{kind.__name__}"

    def _definition(self, kind: type) -> Schema:
        if issubclass(kind, Enum):
            return {"enum": [member.value for member in kind]}
        if is_dataclass(kind) or is_typeddict(kind):
            return closed(**{field: self.of(hint) for field, hint in _hints(kind).items()})
        raise TypeError(f"{kind!r} has no JSON form")


def closed(**properties: Schema) -> Schema:
    """Return the schema of an object that has these properties, all of them, and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _description(kind: type) -> str:
    """Return what the type says of itself, units and absences among it, as one paragraph."""
    return " ".join((kind.__doc__ or "").split())


def _hints(kind: type) -> dict[str, Any]:
    """Return the types of all fields, inherited ones first.

    Most verbs name types that only a type checker imports, so that a quick verb starts quickly. Those are imported
    here, each from where the class's own module says.
    """
    names: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        words = set(re.findall(r"\w+", repr(inspect.get_annotations(base))))
        if words:
            names |= _checked_only(base.__module__, words)
    return get_type_hints(kind, localns=names)


def _checked_only(module: str, words: set[str]) -> dict[str, Any]:
    """Import what a module imports under TYPE_CHECKING alone, as far as these words name it."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    blocks = (node.body for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imports = (node for block in blocks for node in block if isinstance(node, ast.ImportFrom) and node.module)
    wanted = ((node.module, alias.name) for node in imports for alias in node.names if alias.name in words)
    return {name: getattr(import_module(str(found)), name) for found, name in wanted}
