"""The types that a record consists of; anything else in a record can't be decoded."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from msgspec import StructMeta

import tradebot.model
from tradebot.model.books import Books
from tradebot.model.desk import Book, Desk
from tradebot.model.registry import RegistryRules
from tradebot.ports import broker, stores
from tradebot.ports.strategy import Strategy

SCALARS = (str, int, float, bool, bytes)
TEXTS = (Decimal, date, time, timedelta)
"""What becomes text; a datetime has a form of its own."""
GIVEN = (RegistryRules,)
"""Parts of the configuration, which a record has once for all passes."""
NEVER = (object, Strategy)
"""What no record has: fields of these types are empty when a pass decides."""
APART: Mapping[type, frozenset[str]] = MappingProxyType({
    Desk: frozenset({"positions", "sectors"}),
    Books: frozenset({"chains", "filled", "intents", "orders", "promised", "totals"}),
    Book: frozenset({"themes"}),
})  # fmt: skip
"""Fields that hold much and seldom change: what they hold becomes a part, whatever its type."""
PORTS: Mapping[str, type] = MappingProxyType({
    "ledger": stores.Ledger, "facts": stores.Facts, "events": stores.Events, "approvals": stores.Approvals,
    "reader": broker.BrokerReader, "orders": broker.OrderPort, "market": broker.Market,
})  # fmt: skip
"""The ports that a pass asks after its desk was taken, by their name in its world."""
CLOCKS: Mapping[str, Any] = MappingProxyType({"stopwatch": float, "second_clock": datetime | None})


@cache
def _vocabulary() -> Mapping[str, type]:
    """Return the classes that annotations name, some of which modules import only for the type checker."""
    modules = [import_module(f"tradebot.model.{one.name}") for one in iter_modules(tradebot.model.__path__)]
    return {name: one for module in modules for name, one in vars(module).items() if isinstance(one, type)}


@cache
def hints_of(kind: Any) -> Mapping[str, Any]:
    """Return the fields of a Struct or NamedTuple in their order, each with its type."""
    hints = get_type_hints(kind, localns=dict(_vocabulary()))
    return {name: hints[name] for name in names_of(kind)}


def names_of(kind: Any) -> tuple[str, ...]:
    return kind.__struct_fields__ if isinstance(kind, StructMeta) else kind._fields


@cache
def reply_hint(name: str) -> Any:
    """Return the type of what a port replies, by its name and that of the method: `ledger.promise`."""
    if name in CLOCKS:
        return CLOCKS[name]
    port, _, method = name.partition(".")
    found = getattr(PORTS[port], method)
    return get_type_hints(getattr(found, "fget", found), localns=dict(_vocabulary()))["return"]


def is_struct(hint: Any) -> bool:
    return isinstance(hint, StructMeta)


def is_named_tuple(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields")


def is_word(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, StrEnum)


def present(hint: Any) -> Any:
    """Return the type without None; an union of several other types is returned unchanged."""
    members = [one for one in get_args(hint) if one is not NoneType]
    return members[0] if is_union(hint) and len(members) == 1 else hint


def is_union(hint: Any) -> bool:
    return get_origin(hint) in (UnionType, Union)


def is_mapping(hint: Any) -> bool:
    return get_origin(hint) in (dict, Mapping)


def by_text(hint: Any) -> bool:
    """Return True for a mapping whose keys are text."""
    key = get_args(hint)[0]
    return key is str or is_word(key)


def items_of(hint: Any) -> tuple[type, Any] | None:
    """Return the container and the type of the items if the type is that of many alike; None otherwise."""
    origin, members = get_origin(hint), get_args(hint)
    if origin is tuple and members[1:] == (...,):
        return tuple, members[0]
    if origin in (Sequence, frozenset):
        return (frozenset if origin is frozenset else tuple), members[0]
    return None


def shapes(*roots: Any) -> dict[str, tuple[str, ...]]:
    """Return the classes that these types are made of, by name, each with its fields in their order."""
    found = dict[str, tuple[str, ...]]()
    seen, left = set[Any](), list(roots)
    while left:
        hint = left.pop()
        if hint in seen:
            continue
        seen.add(hint)
        if is_struct(hint) or is_named_tuple(hint):
            found[name_of(hint)] = names_of(hint)
        left += _parts(hint)
    return dict(sorted(found.items()))


def _parts(hint: Any) -> Iterator[Any]:
    if is_struct(hint) or is_named_tuple(hint):
        yield from hints_of(hint).values()
    yield from (one for one in get_args(hint) if one not in (..., NoneType) and not isinstance(one, list))


def name_of(kind: Any) -> str:
    """Return the name of a class in records: its own, with that of its module."""
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
