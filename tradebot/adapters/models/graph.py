"""Look through a network in ONNX's format before anything runs it: all its data and operators have to be in it.

The format is a Protocol Buffers message. Only the parts that could lead outside are read. The numbers of fields are
those of onnx.proto.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
WIDTHS = {FIXED64: 8, FIXED32: 4}
LONGEST_VARINT = 10
DEEPEST = 12
"""How many messages may be inside one another; an operator of a branch of a network is at the sixth level."""
OWN_DOMAINS = (b"", b"ai.onnx")


class GraphError(ValueError):
    """Raised for a network that isn't used; the text says what is wrong with it."""


class ProtoField(NamedTuple):
    """A field of a message: a number, or the bytes of a text or of a message in it."""

    number: int
    value: int | memoryview


PARTS: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 8: "operators"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "operators": {},
    "tensor": {},
}
"""The messages inside each kind of message that are looked through, by the number of their field."""
DOMAINS = {"operators": 1, "node": 7}
"""The field that names whose operators are meant."""
REFUSED: Mapping[tuple[str, int], str] = {
    ("model", 20): "it holds instructions for training",
    ("model", 25): "it defines operators of its own",
    ("tensor", 13): "it refers to data in another file",
}


def require_closed(graph: bytes) -> None:
    """Raise GraphError unless a network has all its data in it, and uses ONNX's own operators alone."""
    kinds = set[str]()
    _look(memoryview(graph), "model", 0, kinds)
    if not {"graph", "node", "operators"} <= kinds:
        raise GraphError("it isn't a network")


def _look(message: memoryview, kind: str, depth: int, kinds: set[str]) -> None:
    if depth > DEEPEST:
        raise GraphError("its parts are inside one another too deeply")
    kinds.add(kind)
    for field in fields(message):
        if why := REFUSED.get((kind, field.number)):
            raise GraphError(why)
        if (kind, field.number) == ("tensor", 14) and field.value != 0:
            raise GraphError("it refers to data in another file")
        if DOMAINS.get(kind) == field.number and _bytes(field) not in OWN_DOMAINS:
            raise GraphError(f"it uses operators of {_bytes(field).decode(errors='replace')[:40]!r}")
        if inner := PARTS[kind].get(field.number):
            _look(_view(field), inner, depth + 1, kinds)


def fields(message: memoryview) -> Iterator[ProtoField]:
    """Yield the fields of a message in their order; GraphError if it isn't one."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, place = _varint(message, place)
            yield ProtoField(number, value)
            continue
        if kind == BYTES:
            length, place = _varint(message, place)
        elif kind in WIDTHS:
            length = WIDTHS[kind]
        else:
            raise GraphError("it can't be read")
        if place + length > len(message):
            raise GraphError("it ends in the middle")
        yield ProtoField(number, message[place : place + length])
        place += length


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(LONGEST_VARINT):
        if place >= len(message):
            raise GraphError("it ends in the middle")
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, place
    raise GraphError("it can't be read")


def _view(field: ProtoField) -> memoryview:
    if isinstance(field.value, int):
        raise GraphError("it can't be read")
    return field.value


def _bytes(field: ProtoField) -> bytes:
    return bytes(_view(field))
