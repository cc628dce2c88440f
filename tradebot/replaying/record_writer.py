"""Encode the frozen values of a pass exactly: each field's declared type determines how to read it again.

The functions that convert a type's values are built once per type. Most fields need no conversion, so a value becomes a
list in one call, and msgspec does the remaining work. Orders, intents and listings are the same in many passes, so each
becomes a part that is stored once under its digest. So do a few fields that seldom change. Equal values have equal
bytes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from hashlib import blake2b
from importlib import import_module
from itertools import chain
from pkgutil import iter_modules
from types import MappingProxyType, NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from msgspec import Struct, StructMeta, msgpack
from msgspec.structs import astuple

import tradebot.model
from tradebot.model.books import Books
from tradebot.model.desk import Desk, RiskBook
from tradebot.model.instrument import Listing, ListingRecord
from tradebot.model.intent import IntentRecord
from tradebot.model.order import Order
from tradebot.model.position import OwnedFill
from tradebot.model.registry import RegistryRules
from tradebot.model.venue import Capabilities
from tradebot.ports import broker, stores
from tradebot.ports.strategy import Strategy

SCALARS = (str, int, float, bool, bytes)

TEXTS = (Decimal, date, time, timedelta)

"""Types that are encoded as text; datetimes have their own format."""

GIVEN = (RegistryRules,)

"""Parts of the configuration, which a record has only once."""

NEVER = (object, Strategy)

"""Types that no record contains; fields of these types are empty when a pass decides."""

APART: Mapping[type, frozenset[str]] = MappingProxyType({
    Desk: frozenset({"positions", "sectors"}),
    Books: frozenset({"chains", "filled", "intents", "intents_by_id", "orders", "totals"}),
    RiskBook: frozenset({"themes"}),
})  # fmt: skip

"""Large fields that seldom change: they are stored as separate parts, whatever their type."""

PORTS: Mapping[str, type] = MappingProxyType({
    "ledger": stores.Ledger, "facts": stores.Facts, "events": stores.Events, "approvals": stores.Approvals,
    "reader": broker.BrokerReader, "orders": broker.OrderPort, "market": broker.Market,
})  # fmt: skip

"""The ports that a pass calls after its desk was taken, by their name in the world."""

CLOCKS: Mapping[str, Any] = MappingProxyType({"stopwatch": float, "second_clock": datetime | None})


@cache
def _vocabulary() -> Mapping[str, type]:
    """Return the classes that annotations name, some of which modules import only for type checking."""
    modules = [import_module(f"tradebot.model.{info.name}") for info in iter_modules(tradebot.model.__path__)]
    return {name: value for module in modules for name, value in vars(module).items() if isinstance(value, type)}


@cache
def hints_of(kind: Any) -> Mapping[str, Any]:
    """Return the fields of a Struct or NamedTuple in their order, each with its type."""
    hints = get_type_hints(kind, localns=dict(_vocabulary()))
    return {name: hints[name] for name in names_of(kind)}


def names_of(kind: Any) -> tuple[str, ...]:
    return kind.__struct_fields__ if isinstance(kind, StructMeta) else kind._fields


@cache
def reply_hint(name: str) -> Any:
    """Return the type of a port's reply, by port and method: `ledger.record_intent`."""
    if name in CLOCKS:
        return CLOCKS[name]
    port, _, method = name.partition(".")
    hint = getattr(PORTS[port], method)
    return get_type_hints(getattr(hint, "fget", hint), localns=dict(_vocabulary()))["return"]


def is_struct(hint: Any) -> bool:
    return isinstance(hint, StructMeta)


def is_named_tuple(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields")


def is_word(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, StrEnum)


def without_none(hint: Any) -> Any:
    """Return the type without None; a union of several other types is returned unchanged."""
    members = [arg for arg in get_args(hint) if arg is not NoneType]
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
    """Return the container and the item type of a homogeneous collection; None for other types."""
    origin, members = get_origin(hint), get_args(hint)
    if origin is tuple and members[1:] == (...,):
        return tuple, members[0]
    if origin in (Sequence, frozenset):
        return (frozenset if origin is frozenset else tuple), members[0]
    return None


def shapes(*roots: Any) -> dict[str, tuple[str, ...]]:
    """Return the classes that these types consist of, by name, each with its fields in order."""
    by_name = dict[str, tuple[str, ...]]()
    visited, pending = set[Any](), list(roots)
    while pending:
        hint = pending.pop()
        if hint in visited:
            continue
        visited.add(hint)
        if is_struct(hint) or is_named_tuple(hint):
            by_name[name_of(hint)] = names_of(hint)
        pending += _parts(hint)
    return dict(sorted(by_name.items()))


def _parts(hint: Any) -> Iterator[Any]:
    if is_struct(hint) or is_named_tuple(hint):
        yield from hints_of(hint).values()
    yield from (arg for arg in get_args(hint) if arg not in (..., NoneType) and not isinstance(arg, list))


def name_of(kind: Any) -> str:
    """Return the name of a class in records: its module's and its own."""
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"


DIGEST = 16

PARTS = frozenset({IntentRecord, Order, Listing, ListingRecord, OwnedFill, Capabilities})

MOST_REMEMBERED = 20_000

Step = Callable[[Any, "RecordParts"], Any]

See = Callable[[Any], Any]

_write = msgpack.Encoder().encode


class RecordError(Exception):
    """Raised when a value can't be recorded or a record can't be read; the text names the part and the reason."""


def digest_of(content: bytes) -> bytes:
    """Return a part's name, which is the digest of its content."""
    return blake2b(content, digest_size=DIGEST).digest()


class CachedField(NamedTuple):
    """A field's last encoded value, and the key that shows whether it has changed.

    `parts` has the digests of the parts inside it, which its content refers to by index.
    """

    value: Any
    seen: Any
    content: bytes
    digest: bytes
    parts: tuple[bytes, ...]


class PartCache:
    """The parts that this process has written, by value, so that unchanged parts aren't written again."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[object, bytes]] = {}
        self._apart: dict[Step, CachedField] = {}
        self._texts: dict[bytes, bytes] = {}
        self.content: dict[bytes, bytes] = {}

    def forget_if_many(self) -> None:
        """Clear the cache if it has grown large. A record needs its parts until it is stored."""
        if len(self.content) >= MOST_REMEMBERED:
            self.forget()

    def forget(self) -> None:
        """Clear the cache."""
        self.known.clear()
        self._apart.clear()
        self._texts.clear()
        self.content.clear()

    def text(self, content: bytes) -> bytes:
        """Return the digest of a content; compute it only once, because many passes have the same settings."""
        digest = self._texts.get(content)
        if digest is None:
            digest = self._texts[content] = digest_of(content)
            self.content[digest] = content
        return digest

    def apart(self, step: Step, value: Any, see: See | None) -> CachedField:
        """Return a field's value as a separate part, which is written again only if it has changed."""
        last = self._apart.get(step)
        if last is not None and value is last.value:
            return last
        identities = see(value) if see else None
        if last is not None and identities is not None and identities == last.seen:
            return last
        parts = RecordParts(self)
        content = _write(step(value, parts))
        same = last is not None and (content, tuple(parts.numbers)) == (last.content, last.parts)
        digest = last.digest if last is not None and same else digest_of(content)
        self.content[digest] = content
        self._apart[step] = apart = CachedField(value, identities, content, digest, tuple(parts.numbers))
        return apart

    def new(self, value: Struct) -> bytes:
        """Serialize a new part, keep its content for the record, and return its digest."""
        content = _write(_struct(type(value), True)(value, RecordParts(self, inline=True)))
        digest = digest_of(content)
        # Keep the value with its address, so that no other value can have the same address.
        self.known[id(value)] = value, digest
        self.content[digest] = content
        return digest


class StoredRecord(Struct, frozen=True):
    """A record as it is stored: its body, and the digests of its parts in the order of their numbers.

    `contents` has the parts that this process wrote.
    """

    body: bytes
    parts: tuple[bytes, ...]
    contents: Mapping[bytes, bytes]


class RecordParts:
    """The parts of one record that are stored separately, numbered in the order in which they were first used."""

    def __init__(self, remembered: PartCache, *, inline: bool = False) -> None:
        self.remembered = remembered
        self._known = remembered.known
        self.inline = inline
        self.numbers: dict[bytes, int] = {}

    def number(self, value: Struct) -> int:
        """Return the number of the part that holds a value, adding the part if it is new."""
        # Many records have hundreds of parts, so known ones are handled without another call.
        number = self._known.get(id(value))
        digest = number[1] if number is not None and number[0] is value else self.remembered.new(value)
        return self.numbers.setdefault(digest, len(self.numbers))

    def text(self, content: bytes) -> int:
        """Return the number of the part with this content, adding the part if it is new."""
        return self._add(self.remembered.text(content))

    def apart(self, step: Step, value: Any, see: See | None) -> list[int]:
        """Return the number of a field's part, followed by the numbers of the parts inside it."""
        apart = self.remembered.apart(step, value, see)
        return [self._add(apart.digest), *map(self._add, apart.parts)]

    def _add(self, digest: bytes) -> int:
        return self.numbers.setdefault(digest, len(self.numbers))


def encode_steps(value: object) -> bytes:
    """Encode plain values as MessagePack; raise RecordError if a value can't be written."""
    try:
        return _write(value)
    except (TypeError, OverflowError, ValueError, RecursionError) as error:
        raise RecordError(f"it can't be written: {error}") from error


def arguments_digest(arguments: tuple[object, ...]) -> bytes:
    """Return a short digest of a port call's arguments, the same in every process."""
    return _digest_of_plain(arguments) if arguments else _NOTHING_ASKED


def _digest_of_plain(arguments: object) -> bytes:
    return blake2b(encode_steps(plain(arguments)), digest_size=8).digest()


_ALONE = PartCache()

_ALONE_WRITTEN = frozenset({str, int, float, bool, NoneType, Decimal, datetime, date})

"""Types that msgspec encodes by itself."""


def plain(value: Any) -> Any:
    """Return any of our values in encodable form, with shared parts written out in place."""
    if type(value) in _ALONE_WRITTEN:
        return value
    if isinstance(value, Struct):
        return _struct(type(value), True)(value, RecordParts(_ALONE, inline=True))
    if isinstance(value, Mapping):
        return [[plain(key), plain(item)] for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=_write)
    return [plain(item) for item in value] if isinstance(value, tuple | list) else value


_PLAIN = frozenset({str, int, float, bool})

_NOTHING_ASKED = _digest_of_plain(())


@cache
def step_for(hint: Any) -> Step:
    """Return the function that converts a value of this type into its written form."""
    step = _step(hint)
    return (lambda value, parts: value) if step is None else _optional(step)


def _optional(step: Step) -> Step:
    return lambda value, parts: None if value is None else step(value, parts)


@cache
def _step(hint: Any) -> Step | None:
    """Return the step for a type; None if msgspec writes such a value by itself."""
    hint = without_none(hint)
    if hint in (*SCALARS, *TEXTS, datetime, NoneType) or is_word(hint):
        return None
    if is_struct(hint):
        alone = hint.__struct_config__.array_like and not _changing(hint)
        return None if alone else _struct(hint, hint not in PARTS)
    if is_named_tuple(hint):
        return _fields(hint)
    if is_mapping(hint):
        return _mapping(hint)
    if hint in GIVEN:
        return _write_none
    if hint in NEVER:
        return _never
    if is_union(hint):
        return _scalar
    items = items_of(hint)
    if items is None:
        return _fixed_tuple_step(hint)
    container, item = items
    return _sort_values if container is frozenset else _many(_step(item))


@cache
def _struct(kind: Any, inline: bool) -> Step:
    steps = _changing(kind)

    def write(value: Any, parts: RecordParts) -> Any:
        if type(value) is not kind:
            raise RecordError(f"expected a {name_of(kind)}, found a {type(value).__name__}")
        if not steps:
            return astuple(value)
        items = list(astuple(value))
        for index, step in steps:
            item = items[index]
            # Most fields of a decision are plain numbers, which take no call.
            if item is not None and not (step is _scalar and type(item) in _PLAIN):
                items[index] = step(item, parts)
        return items

    if inline:
        return write
    return lambda value, parts: write(value, parts) if parts.inline else parts.number(value)


def _changing(kind: Any) -> list[tuple[int, Step]]:
    apart = APART.get(kind, ())
    steps = (
        (index, _apart(hint) if name in apart else _step(hint))
        for index, (name, hint) in enumerate(hints_of(kind).items())
    )
    return [(index, step) for index, step in steps if step is not None]


def _apart(hint: Any) -> Step:
    step, see = step_for(hint), _see(hint)
    return lambda value, parts: step(value, parts) if parts.inline else parts.apart(step, value, see)


def _see(hint: Any) -> See | None:
    """Return a function that finds parts in a value by identity; None for values compared by their bytes."""
    if not is_mapping(hint):
        return (lambda value: [*map(id, value)]) if _are_parts(hint) else None
    item = hint.__args__[1]
    if item in PARTS:
        return lambda value: ([*value], [*map(id, value.values())])
    if not _are_parts(item):
        return None
    return lambda value: ([*value], [*map(len, value.values())], [*map(id, chain.from_iterable(value.values()))])


def _are_parts(hint: Any) -> bool:
    items = items_of(hint)
    return items is not None and items[1] in PARTS


def _fields(kind: Any) -> Step | None:
    steps = _changing(kind)
    if not steps:
        return None

    def write(value: Any, parts: RecordParts) -> Any:
        items = list(value)
        for index, step in steps:
            items[index] = None if items[index] is None else step(items[index], parts)
        return items

    return write


def _fixed_tuple_step(hint: Any) -> Step | None:
    """Return the step for a tuple with a type for each item; None if msgspec writes all the items by itself.

    Raise TypeError for a type that no record has.
    """
    if getattr(hint, "__origin__", None) is not tuple:
        raise TypeError(f"no record has a {hint}")
    steps = [_step(arg) for arg in hint.__args__]
    if not any(steps):
        return None
    return lambda value, parts: [
        item if step is None or item is None else step(item, parts) for item, step in zip(value, steps, strict=True)
    ]


def _many(step: Step | None) -> Step | None:
    if step is None:
        return lambda value, parts: value if type(value) in (tuple, list) else list(value)
    return lambda value, parts: [None if item is None else step(item, parts) for item in value]


def _sort_values(value: Any, parts: RecordParts) -> Any:
    return sorted(value)


def _mapping(hint: Any) -> Step:
    key, item = map(_step, hint.__args__)
    if by_text(hint) and item is None:
        return lambda value, parts: value if type(value) is dict else dict(value)
    if by_text(hint) and item is not None:
        return lambda value, parts: {
            n: None if element is None else item(element, parts) for n, element in value.items()
        }
    of_item = (lambda value, parts: value) if item is None else _optional(item)
    of_key = (lambda value, parts: value) if key is None else key
    return lambda value, parts: [[of_key(name, parts), of_item(item, parts)] for name, item in value.items()]


def _scalar(value: Any, parts: RecordParts) -> Any:
    """Mark a Decimal among other scalars, because its text alone could be a string."""
    if type(value) is Decimal:
        return [str(value)]
    if type(value) in (date, datetime, time, timedelta):
        raise RecordError(f"{value} can't be stored among plain numbers and texts")
    return value


def _write_none(value: Any, parts: RecordParts) -> None:
    return None


def _never(value: Any, parts: RecordParts) -> Any:
    raise RecordError(f"a {type(value).__name__} can't be recorded")
