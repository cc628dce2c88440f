"""Give every verb --schema (the JSON Schema of its --json document) and --utc.

The schema is derived from the document's type, so the two can't differ. It is strict: it allows no additional field and
requires every field, because a missing field could be mistaken for a default. Only a type with `omit_defaults` leaves
out fields that are irrelevant for most accounts.
"""

import ast
import inspect
import json
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

import typer
from msgspec import Struct
from typer.core import TyperOption

from commands.shared.help import HelpfulCommand
from commands.shared.light_helpers import NOBODY, document, error_document, say
from commands.shared.listed_verbs import VERBS
from commands.shared.times import show_utc
from tradebot.errors import ExitCode, TradebotError
from tradebot.model.struct_tools import optional_fields

DRAFT = "https://json-schema.org/draft/2020-12/schema"
DATA: Mapping[str, tuple[str, ...]] = {
    name.partition("/")[0]: kinds for listed in VERBS.values() for name, kinds in listed.prints.items()
}
"""The data types of each document, by module and name, which are imported only when a schema is requested."""


def schema_of(verb: str) -> "Schema":
    """Return the schema of every document that a verb may print, including errors; `verb` is as typed."""
    definitions = Definitions()
    documents = [_document(name.partition("/")[0], definitions) for name in VERBS[verb].prints]
    return {
        "$schema": DRAFT,
        "title": f"What tradebot {verb} --json prints",
        "anyOf": [*documents, _error(definitions)],
        "$defs": definitions.schemas,
    }


def answer_schema(verb: str, kinds: Collection[str] = ()) -> "Schema":
    """Return the schema of a one-word verb's document, not counting errors.

    `kinds` names the types of data that it may contain; if empty, all of the verb's types are possible.
    """
    definitions = Definitions()
    return {"$schema": DRAFT, **_document(verb, definitions, kinds), "$defs": definitions.schemas}


def _document(name: str, definitions: "Definitions", kinds: Collection[str] = ()) -> "Schema":
    sample = document(name, NOBODY, ExitCode.DONE, None)
    type_paths = [type_path for type_path in DATA[name] if not kinds or type_path.partition(":")[2] in kinds]
    # A name that has changed since would leave its documents outside the schema.
    assert not kinds or len(type_paths) == len(kinds), f"{name} prints no {', '.join(kinds)}"
    return closed_object(
        schema={"const": sample["schema"]},
        verb={"const": sample["verb"]},
        **_bot_fields(),
        exit_code=definitions.of(ExitCode),
        data={"anyOf": [definitions.of(_type(index)) for index in type_paths]},
    )


def _bot_fields() -> "dict[str, Schema]":
    from tradebot.model.trading import Mode, mode_name

    modes = [mode_name(mode, shadow=shadow) for mode in Mode for shadow in (False, True)]
    return {
        "mode": {"enum": [*modes, None]},
        "venue": {"type": ["string", "null"], "description": "The name of the venue at which the account is."},
        "account": {"type": ["string", "null"], "description": "The number's last four characters."},
    }


def _error(definitions: "Definitions") -> "Schema":
    sample = error_document(TradebotError(""), NOBODY)
    described = closed_object(
        code=definitions.of(ExitCode),
        message={"type": "string"},
        hint={"type": "string", "description": "The next command; empty if there is none."},
        retryable={"type": "boolean"},
    )
    return closed_object(schema={"const": sample["schema"]}, **_bot_fields(), error=described)


def _type(type_path: str) -> type:
    module, _, name = type_path.partition(":")
    kind: type = getattr(import_module(module), name)
    return kind


class Verb(HelpfulCommand):
    """A command that also takes --utc and --schema; --schema is handled before the other options and needs no bot."""

    def __init__(self, name: str | None, **options: Any) -> None:
        super().__init__(name, **options)
        for flag, act, what in (
            ("--utc", lambda _context, _option, in_utc: show_utc(in_utc), "Show times in UTC instead of the venue's."),
            ("--schema", _show, "Print the JSON Schema of the --json output."),
        ):
            common: dict[str, Any] = {"is_flag": True, "is_eager": True, "expose_value": False}
            self.params.append(TyperOption(param_decls=[flag], callback=act, help=what, **common))


def _show(context: typer.Context, _option: object, requested: bool) -> None:
    if requested and not context.resilient_parsing:
        program = context.find_root().command_path
        say(json.dumps(schema_of(context.command_path.removeprefix(f"{program} ")), indent=2))
        raise typer.Exit


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
            return self._reference(kind)
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

    def _reference(self, kind: type) -> Schema:
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
    return {
        name: getattr(import_module(type_path), name) for type_path, name in _unloaded_imports(module) if name in words
    }


@cache
def _unloaded_imports(module: str) -> Sequence[tuple[str, str]]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    blocks = (node.body for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imports = (node for block in blocks for node in block if isinstance(node, ast.ImportFrom))
    return [(node.module, alias.name) for node in imports for alias in node.names if node.module]
