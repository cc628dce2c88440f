"""Convert Structs to JSON-ready values and back, driven by their types.

Text is canonical, so equal values have equal text: a Decimal has no exponent and no trailing zeros, and a time is UTC
with six decimals and ends in Z, so stored times sort as text. A Decimal inside a union of scalars is tagged
`{"decimal": "1.5"}`, because its text alone could be a string.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache, lru_cache
from math import isfinite
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from msgspec import StructMeta
from msgspec.structs import astuple, fields

from tradebot.adapters.text.canonical import UNFIT, CodecError, decimal_text, parse_time, time_text
from tradebot.model.struct_tools import optional_fields

T = TypeVar("T")
Step = Callable[[Any], Any]
SHORT = 16
SCALARS = frozenset({Decimal, float, int, str, NoneType})


def encode(value: object) -> Any:
    """Return a Struct as an object with its fields by name."""
    kind: Any = type(value)
    return _encoder(kind, False)(value)


def decode(kind: type[T], value: object) -> T:
    """Return the Struct of type `kind`; raise CodecError naming a missing, unknown or ill-typed field."""
    untyped: Any = kind
    result: T = _decode_at(_decoder(untyped, False), value, kind.__name__)
    return result


def pack(value: object) -> Any:
    """Return a Struct as a list of its fields in order, which takes half the space when there are many."""
    kind: Any = type(value)
    return _encoder(kind, True)(value)


def unpack(kind: type[T], value: object) -> T:
    """Return the Struct of type `kind` from a list made by `pack`."""
    untyped: Any = kind
    result: T = _decode_at(_decoder(untyped, True), value, kind.__name__)
    return result


def _decode_at(step: Step, value: object, where: str) -> Any:
    try:
        return step(value)
    except CodecError as error:
        raise CodecError(f"{where}.{error}") from error
    except UNFIT as error:
        raise CodecError(f"{where}: {error}") from error


def _identity(value: Any) -> Any:
    return value


@cache
def _encoder(kind: Any, packed: bool) -> Step:
    """Return a function that turns a value of type `kind` into JSON-ready form; built once per type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, StructMeta):
        return _struct_encoder(kind, packed)
    if kind in _ENCODERS:
        return _ENCODERS[kind]
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return _identity
    if origin in (UnionType, Union):
        present = _present(kind)
        return _scalar_encoder(kind) if present is kind else _optional(_encoder(present, packed))
    if origin is tuple and arguments[1:] == (...,):
        return _tuple_encoder(_encoder(arguments[0], packed))
    if origin in (dict, Mapping) and arguments[0] is str:
        return _map_encoder(_encoder(arguments[1], packed))
    raise TypeError(f"the codec does not know {kind}")


def _struct_encoder(kind: Any, packed: bool) -> Step:
    hints, names = get_type_hints(kind), kind.__struct_fields__
    # An absent value is skipped below, so its step needn't look for one.
    steps = tuple(_encoder(_present(hints[name]), packed) for name in names)
    changing = tuple((index, step) for index, step in enumerate(steps) if step is not _identity)

    def as_list(value: Any) -> list[Any]:
        items = list(astuple(value))
        for index, step in changing:
            item = items[index]
            if item is not None:
                items[index] = step(item)
        return items

    if packed:
        return as_list

    defaults = tuple(optional_fields(kind).items())

    def as_object(value: Any) -> dict[str, Any]:
        every = dict(zip(names, as_list(value), strict=True))
        for name, default in defaults:
            if getattr(value, name) == default:
                del every[name]
        return every

    return as_object


def _map_encoder(step: Step) -> Step:
    return dict if step is _identity else lambda value: {name: step(item) for name, item in value.items()}


def _present(hint: Any) -> Any:
    """Return the one type that a value has if it isn't absent; if it may have several, return the type unchanged."""
    present = [member for member in get_args(hint) if member is not NoneType]
    return present[0] if get_origin(hint) in (UnionType, Union) and len(present) == 1 else hint


def _scalar_encoder(kind: Any) -> Step:
    if not SCALARS.issuperset(get_args(kind)):
        raise TypeError(f"the codec does not know {kind}")
    return _encode_scalar


def _encode_scalar(value: Any) -> Any:
    kind = type(value)
    if kind is str or kind is int or kind is NoneType:
        return value
    return {"decimal": decimal_text(value)} if kind is Decimal else _finite(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not isfinite(value):
        raise CodecError(f"{value} can't be stored as a number")
    return value


def _optional(step: Step) -> Step:
    return step if step is _identity else lambda value: None if value is None else step(value)


def _tuple_encoder(step: Step) -> Step:
    return lambda items: [step(item) for item in items]


_ENCODERS: dict[Any, Step] = {
    str: _identity,
    int: _identity,
    bool: _identity,
    float: _finite,
    Decimal: decimal_text,
    datetime: time_text,
    date: date.isoformat,
}


@cache
def _decoder(kind: Any, packed: bool) -> Step:
    """Return a function that turns JSON-ready form back into a value of type `kind`; built once per type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, StructMeta):
        return _list_decoder(kind) if packed else _object_decoder(kind)
    if kind in _DECODERS:
        return _DECODERS[kind]
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return _enum_decoder(kind)
    if origin in (UnionType, Union):
        present = _present(kind)
        return _scalar_decoder(arguments) if present is kind else _optional(_decoder(present, packed))
    if origin is tuple and arguments[1:] == (...,):
        return _tuple_decoder(_decoder(arguments[0], packed))
    if origin in (dict, Mapping) and arguments[0] is str:
        return _map_decoder(_exactly(str) if arguments[1] is str else _decoder(arguments[1], packed))
    raise TypeError(f"the codec does not know {kind}")


def _steps(kind: Any, packed: bool) -> dict[str, Step]:
    hints = get_type_hints(kind)
    return {name: _decoder(hints[name], packed) for name in kind.__struct_fields__}


def _object_decoder(kind: Any) -> Step:
    steps = _steps(kind, False)
    # Records written before a field was added lack it; its default then means that nothing was recorded.
    needed = {field.name for field in fields(kind) if field.required}

    def from_object(value: Any) -> Any:
        if not isinstance(value, dict):
            raise CodecError(f"expected an object, found {type(value).__name__}")
        if not needed <= value.keys() <= steps.keys():
            missing, unknown = sorted(needed - value.keys()), sorted(value.keys() - steps.keys())
            raise CodecError(f"missing fields {missing}, unknown fields {unknown}")
        try:
            return kind(**{name: steps[name](item) for name, item in value.items()})
        except UNFIT:
            # Only now is it worth the time to find out which field doesn't fit.
            return kind(**{name: _decode_at(steps[name], item, name) for name, item in value.items()})

    return from_object


def _list_decoder(kind: Any) -> Step:
    steps = tuple(_steps(kind, True).values())
    # Records written before a field was added are shorter; its default then means that nothing was recorded.
    least = sum(field.required for field in fields(kind))
    names = kind.__struct_fields__
    # A Struct whose fields have to be named matches none by its place.
    make = kind if kind.__match_args__ == names else lambda *items: kind(**dict(zip(names, items, strict=False)))

    def from_list(value: Any) -> Any:
        if not isinstance(value, list) or not least <= len(value) <= len(steps):
            raise CodecError(f"expected a list of {least} to {len(steps)} fields")
        return make(*[step(item) for step, item in zip(steps, value, strict=False)])

    return from_list


def _scalar_decoder(members: tuple[Any, ...]) -> Step:
    allowed = tuple(member for member in members if member is not Decimal)

    def from_scalar(value: Any) -> Any:
        if isinstance(value, dict) and value.keys() == {"decimal"}:
            return _decimal(value["decimal"])
        return _require_type(value, allowed)

    return from_scalar


def _enum_decoder(kind: type[StrEnum]) -> Step:
    members = {member.value: member for member in kind}
    # Text that no member has is left to the enum itself, which raises ValueError.
    return lambda value: members[value] if type(value) is str and value in members else kind(value)


def _tuple_decoder(step: Step) -> Step:
    def from_list(value: Any) -> tuple[Any, ...]:
        return tuple([step(item) for item in _require_type(value, (list,))])

    return from_list


def _require_type(value: Any, kinds: tuple[type, ...]) -> Any:
    if type(value) not in kinds:
        raise CodecError(f"found {type(value).__name__} {str(value)[:40]!r}")
    return value


def _exactly(kind: type) -> Step:
    kinds = (kind,)
    return lambda value: value if type(value) is kind else _require_type(value, kinds)


def _text(value: Any) -> str:
    """Check that a value is text; short texts, such as symbols, are interned so that all rows share one copy."""
    text: str = value if type(value) is str else _require_type(value, (str,))
    return sys.intern(text) if len(text) <= SHORT else text


def _decimal(value: Any) -> Decimal:
    return _number(value if type(value) is str else _require_type(value, (str,)))


@lru_cache(maxsize=1_000)
def _number(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise CodecError(f"{text} is not finite")
    return number


def _float(value: Any) -> float:
    return value if type(value) is float else float(_require_type(value, (int,)))


def _map_decoder(step: Step) -> Step:
    def from_object(value: Any) -> dict[str, Any]:
        return {name: step(item) for name, item in _require_type(value, (dict,)).items()}

    return from_object


_DECODERS: dict[Any, Step] = {
    str: _text,
    int: _exactly(int),
    bool: _exactly(bool),
    float: _float,
    Decimal: _decimal,
    datetime: parse_time,
    date: date.fromisoformat,
}


def unpack_all(kind: type[T], texts: Sequence[str]) -> list[T]:
    """Return one Struct per packed JSON text, parsing them all at once."""
    untyped: Any = kind
    step = _decoder(untyped, True)
    return [_decode_at(step, row, kind.__name__) for row in json.loads(f"[{','.join(texts)}]")]
