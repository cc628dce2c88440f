"""Read pass records. A record may be untrusted: only declared types are created, of bounded size.

A record says which fields each class had when it was written. So a program with more fields reads it with their
defaults, and one with fewer ignores the unknown ones. A class that both lacks a field and has an unknown one is refused
unless `former_names` maps that field. Otherwise a renamed field would silently be read as its default.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from types import NoneType
from typing import Any

import msgspec
from msgspec import NODEFAULT, Raw, msgpack
from msgspec.structs import fields

from tradebot.replaying.former_names import field_now, name_now
from tradebot.replaying.record_writer import (
    APART,
    GIVEN,
    NEVER,
    PARTS,
    SCALARS,
    RecordError,
    by_text,
    hints_of,
    is_mapping,
    is_named_tuple,
    is_struct,
    is_union,
    is_word,
    items_of,
    name_of,
    names_of,
    without_none,
)

LONGEST = 16_000_000
"""The most bytes that a record or a part of it may have."""
LONGEST_NUMBER, LARGEST_EXPONENT = 64, 64
"""The longest number and the largest exponent, which bound the time of computations."""
EXACT: Mapping[Any, frozenset[type]] = {
    **{kind: frozenset({kind}) for kind in (str, int, bool, bytes)},
    float: frozenset({float, int}),
}
"""The declared types of fields, and the values that are used unchanged."""
MOST_KINDS = 1_000
"""How many kinds of items are cached per class; a record may be untrusted."""
NO_KIND: frozenset[type] = frozenset()
Read = Callable[[Any, "RecordSource"], Any]


class Shapes:
    """The fields that each class had when a record was written, by the class's current name."""

    def __init__(self, names: Mapping[str, tuple[str, ...]]) -> None:
        self.names = names
        self._readers: dict[tuple[Any, bool], Read] = {}

    def reader(self, hint: Any, *, inline: bool) -> Read:
        """Return a decoder for values of a type; with `inline`, none of their parts is stored separately."""
        key = hint, inline
        if key not in self._readers:
            self._readers[key] = _reader(hint, self, inline)
        return self._readers[key]


@lru_cache(maxsize=8)
def shapes_of(content: bytes) -> Shapes:
    """Parse the shapes from a part; raise RecordError if it is invalid."""
    shapes = parse_untyped(content)
    if not isinstance(shapes, dict) or not all(_are_names(names) for names in shapes.values()):
        raise RecordError("it doesn't say which fields its values have")
    kinds = {name_now(name): names for name, names in shapes.items()}
    return Shapes({kind: tuple([field_now(kind, name) for name in names]) for kind, names in kinds.items()})


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def parse_untyped(content: bytes | Raw, kind: Any = Any) -> Any:
    """Parse the lists, texts and numbers in a part's content.

    Raise RecordError if the content is too long, malformed, or not of the type `kind`.

    Values that `kind` declares as Raw stay encoded, so they cost nothing until they are read.
    """
    if len(content) > LONGEST:
        raise RecordError(f"a part has {len(content):,} bytes; at most {LONGEST:,} are read")
    try:
        return msgpack.decode(content, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RecordError("its record can't be read: it is damaged") from error


Shared = dict[tuple[Any, ...], Any]
"""The values already built from parts, by content and type."""


class RecordSource:
    """The source of a record's values: its parts by number, and decoded values shared among records.

    In the first version of records, no field is stored `apart`.
    """

    def __init__(self, parts: Sequence[bytes], shapes: Shapes, shared: Shared, *, apart: bool = True) -> None:
        self._parts = parts
        self.shapes = shapes
        self._shared = shared
        self.apart = apart

    def content(self, number: object) -> bytes:
        """Return a part by its number."""
        if type(number) is not int or not 0 <= number < len(self._parts):
            raise RecordError(f"it has no part {number!r:.40}")
        return self._parts[number]

    def part(self, number: object, kind: Any) -> Any:
        """Decode the value of a part."""
        content = self.content(number)
        key = content, kind
        if key not in self._shared:
            self._shared[key] = self.shapes.reader(kind, inline=True)(parse_untyped(content), self)
        return self._shared[key]

    def load_part(self, numbers: object, kind: Any) -> Any:
        """Decode a field that is stored separately: its own part comes first, then the parts inside it."""
        number, *inner = _list(numbers)
        content, parts = self.content(number), tuple([self.content(item) for item in inner])
        key = content, kind, parts
        if key not in self._shared:
            source = RecordSource(parts, self.shapes, self._shared)
            self._shared[key] = source.read(kind, parse_untyped(content))
        return self._shared[key]

    def read(self, hint: Any, value: object) -> Any:
        """Decode `value` as a type; raise RecordError naming what doesn't fit."""
        value = parse_untyped(value) if type(value) is Raw else value
        return None if value is None else self.shapes.reader(hint, inline=False)(value, self)


def _reader(hint: Any, shapes: Shapes, inline: bool) -> Read:
    hint = without_none(hint)
    if hint in _SCALARS:
        return _SCALARS[hint]
    if is_word(hint):
        return _word(hint)
    if is_struct(hint):
        whole = _struct(hint, shapes, inline)
        return whole if inline or hint not in PARTS else lambda value, source: source.part(value, hint)
    if is_named_tuple(hint):
        return _struct(hint, shapes, inline)
    if is_mapping(hint):
        return _mapping(hint, shapes, inline)
    if hint in GIVEN or hint in NEVER:
        return _nothing
    if is_union(hint):
        return _scalar
    items = items_of(hint)
    if items is None:
        return _fixed_tuple_reader(hint, shapes, inline)
    container, item = items[0], shapes.reader(items[1], inline=inline)
    return lambda value, source: container(
        [None if element is None else item(element, source) for element in _list(value)]
    )


def _optional(read: Read) -> Read:
    return lambda value, source: None if value is None else read(value, source)


def _struct(kind: Any, shapes: Shapes, inline: bool) -> Read:
    now, then = names_of(kind), shapes.names.get(name_of(kind))
    if then is None:
        return _refusing_reader(f"it doesn't say which fields {name_of(kind)} has")
    hints = hints_of(kind)
    readers = {name: shapes.reader(hint, inline=inline) for name, hint in hints.items()}
    if not inline:
        readers |= {name: _apart(hints[name], readers[name]) for name in APART.get(kind, ())}
    steps = [(readers.get(name, _left_out), EXACT.get(without_none(hints.get(name)), NO_KIND)) for name in then]
    lacking, unknown = sorted(_required_fields(kind) - set(then)), sorted({*then} - {*now, ""})
    if unknown and (absent := sorted({*now} - {*then})):
        return _refusing_reader(
            f"{name_of(kind)} has {', '.join(unknown)}, which this program doesn't know, and lacks {', '.join(absent)}"
        )
    in_order = now == then and getattr(kind, "__match_args__", now) == now
    # Most fields are used unchanged and need no call; which ones depends on their items.
    readers_by_types = dict[tuple[type, ...], list[tuple[int, Read]]]()

    def read(value: Any, source: RecordSource) -> Any:
        items = _list(value)
        kinds = tuple(map(type, items))
        todo = readers_by_types.get(kinds)
        if todo is None:
            if len(items) != len(then) or lacking:
                raise RecordError(
                    f"{name_of(kind)} lacks {', '.join(lacking)}" if lacking else f"{name_of(kind)}: length"
                )
            todo = [
                (index, step)
                for index, (step, exact) in enumerate(steps)
                if kinds[index] is not NoneType and kinds[index] not in exact
            ]
            if len(readers_by_types) < MOST_KINDS:
                readers_by_types[kinds] = todo
        values, index = (list(items) if todo else items), 0
        try:
            for index, step in todo:
                values[index] = step(items[index], source)
        except RecordError as error:
            raise RecordError(f"{name_of(kind)}.{then[index]}: {error}") from None
        if in_order:
            return kind(*values)
        return kind(**{name: item for name, item in zip(then, values, strict=True) if name in readers})

    return read


def _apart(hint: Any, read: Read) -> Read:
    return lambda value, source: source.load_part(value, hint) if source.apart else read(value, source)


def _left_out(value: Any, source: RecordSource) -> None:
    """Skip a field that this program doesn't have."""


def _refusing_reader(why: str) -> Read:
    def read(value: Any, source: RecordSource) -> Any:
        raise RecordError(why)

    return read


def _required_fields(kind: Any) -> set[str]:
    if is_named_tuple(kind):
        return set(kind._fields) - set(kind._field_defaults)
    return {info.name for info in fields(kind) if info.default is NODEFAULT and info.default_factory is NODEFAULT}


def _fixed_tuple_reader(hint: Any, shapes: Shapes, inline: bool) -> Read:
    readers = [_optional(shapes.reader(arg, inline=inline)) for arg in hint.__args__]

    def read(value: Any, source: RecordSource) -> Any:
        items = _list(value)
        if len(items) != len(readers):
            raise RecordError(f"{len(items)} values instead of {len(readers)}")
        return tuple([step(item, source) for step, item in zip(readers, items, strict=True)])

    return read


def _mapping(hint: Any, shapes: Shapes, inline: bool) -> Read:
    key, of_item = (shapes.reader(arg, inline=inline) for arg in hint.__args__)
    named = by_text(hint)

    def read(value: Any, source: RecordSource) -> Any:
        if named and not isinstance(value, dict):
            raise RecordError(_type_text(value))
        pairs = value.items() if named else map(_pair, _list(value))
        return {key(name, source): None if item is None else of_item(item, source) for name, item in pairs}

    return read


def _pair(value: Any) -> Any:
    if len(_list(value)) != 2:
        raise RecordError("a key has no value")
    return value


def _list(value: Any) -> Any:
    if type(value) is not list:
        raise RecordError(_type_text(value))
    return value


def _type_text(value: object) -> str:
    return f"found {type(value).__name__} {value!r:.40}"


def _exactly(kinds: frozenset[type]) -> Read:
    def read(value: Any, source: RecordSource) -> Any:
        if type(value) not in kinds:
            raise RecordError(_type_text(value))
        return value

    return read


def _word(kind: Any) -> Read:
    members = {member.value: member for member in kind}

    def read(value: Any, source: RecordSource) -> Any:
        if type(value) is not str or value not in members:
            raise RecordError(f"{value!r:.40} is not a known {kind.__name__}")
        return members[value]

    return read


@lru_cache(maxsize=4_000)
def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise RecordError(f"{text!r} is not a number") from None
    if not number.is_finite() or abs(number.adjusted()) > LARGEST_EXPONENT:
        raise RecordError(f"{text!r} is too large or too long for a number")
    return number


def _decimal(value: Any, source: RecordSource) -> Decimal:
    if type(value) is not str or len(value) > LONGEST_NUMBER:
        raise RecordError(_type_text(value))
    return _number(value)


def _scalar(value: Any, source: RecordSource) -> Any:
    if type(value) is list and len(value) == 1:
        return _decimal(value[0], source)
    if type(value) not in SCALARS:
        raise RecordError(_type_text(value))
    return value


def _converting_reader(kind: Any) -> Read:
    def read(value: Any, source: RecordSource) -> Any:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise RecordError(str(error)) from None

    return read


def _moment(value: Any, source: RecordSource) -> datetime:
    if type(value) is not datetime or value.tzinfo is None:
        raise RecordError(_type_text(value))
    return value


def _nothing(value: Any, source: RecordSource) -> Any:
    raise RecordError(_type_text(value))


_SCALARS: Mapping[Any, Read] = {
    **{kind: _exactly(kinds) for kind, kinds in EXACT.items()},
    Decimal: _decimal,
    datetime: _moment,
    date: _converting_reader(date),
    time: _converting_reader(time),
    timedelta: _converting_reader(timedelta),
    NoneType: _nothing,
}
