"""Write a network in ONNX format, and inspect a network before anything runs it, without an ONNX library.

The format is a Protocol Buffers message with the field numbers of onnx.proto. ONNX Runtime verifies the result when it
reads it. A network must contain all its data and operators, so only the parts that could refer to outside files or
operators are inspected.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

WIDTHS = {FIXED64: 8, FIXED32: 4}

LONGEST_VARINT = 10

DEEPEST = 12

"""How deeply messages may be nested; an operator in a network's branch is at the sixth level."""

OWN_DOMAINS = (b"", b"ai.onnx")


class GraphError(ValueError):
    """Raised for an unusable network; the text is the reason."""


class ProtoField(NamedTuple):
    """A field of a message: a number, or the bytes of a text or a nested message."""

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

"""The nested messages to inspect in each kind of message, by field number."""

DOMAINS = {"operators": 1, "node": 7}

"""The field that names an operator's domain."""

REFUSED: Mapping[tuple[str, int], str] = {
    ("model", 20): "it contains training instructions",
    ("model", 25): "it defines its own operators",
    ("tensor", 13): "it refers to data in another file",
}


def require_closed(graph: bytes) -> None:
    """Raise GraphError unless a network contains all of its data and uses only ONNX's own operators."""
    kinds = set[str]()
    _look(memoryview(graph), "model", 0, kinds)
    if not {"graph", "node", "operators"} <= kinds:
        raise GraphError("it isn't a network")


def _look(message: memoryview, kind: str, depth: int, kinds: set[str]) -> None:
    if depth > DEEPEST:
        raise GraphError("its parts are nested too deeply")
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
    """Yield the fields of a message in order; raise GraphError if it is invalid."""
    index = 0
    while index < len(message):
        key, index = _read_varint(message, index)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, index = _read_varint(message, index)
            yield ProtoField(number, value)
            continue
        if kind == BYTES:
            length, index = _read_varint(message, index)
        elif kind in WIDTHS:
            length = WIDTHS[kind]
        else:
            raise GraphError("it can't be read")
        if index + length > len(message):
            raise GraphError("it is cut off")
        yield ProtoField(number, message[index : index + length])
        index += length


def _read_varint(message: memoryview, index: int) -> tuple[int, int]:
    value = 0
    for shift in range(LONGEST_VARINT):
        if index >= len(message):
            raise GraphError("it is cut off")
        byte = message[index]
        index += 1
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, index
    raise GraphError("it can't be read")


def _view(field: ProtoField) -> memoryview:
    if isinstance(field.value, int):
        raise GraphError("it can't be read")
    return field.value


def _bytes(field: ProtoField) -> bytes:
    return bytes(_view(field))


FLOAT, INT64 = 1, 7

OPERATORS = 17

"""The version of ONNX's operator set."""

IR_VERSION = 8

OF_AN_INTEGER = 2

"""The type of an operator attribute that is one integer."""

MORE = 0x80


def number(field: int, value: int) -> bytes:
    """Encode a field with a non-negative number."""
    return _write_varint(field << 3) + _write_varint(value)


def part(field: int, content: bytes | str) -> bytes:
    """Encode a field whose content is a text or another message."""
    content = content.encode() if isinstance(content, str) else content
    return _write_varint(field << 3 | 2) + _write_varint(len(content)) + content


def _write_varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= MORE:
        encoded.append(value & (MORE - 1) | MORE)
        value >>= 7
    return bytes([*encoded, value])


def tensor(name: str, rows: Sequence[Sequence[float]]) -> bytes:
    """Encode a matrix of numbers as part of a network."""
    flat = [float(each) for row in rows for each in row]
    size = b"".join(number(1, each) for each in (len(rows), len(rows[0])))
    return size + number(2, FLOAT) + part(8, name) + part(9, struct.pack(f"<{len(flat)}f", *flat))


def integers(name: str, values: Sequence[int]) -> bytes:
    """Encode a row of whole numbers as part of a network."""
    return number(1, len(values)) + number(2, INT64) + part(8, name) + part(9, struct.pack(f"<{len(values)}q", *values))


def integer(name: str, value: int) -> bytes:
    """Encode an operator's attribute with one whole number."""
    return part(5, part(1, name) + number(3, value) + number(20, OF_AN_INTEGER))


def node(kind: str, inputs: Sequence[str], output: str, domain: str = "", attributes: bytes = b"") -> bytes:
    """Encode an operator with its inputs and output."""
    read = b"".join(part(1, each) for each in inputs)
    return read + part(2, output) + part(4, kind) + attributes + (part(7, domain) if domain else b"")


def row(name: str, width: int) -> bytes:
    """Encode an input or output that is one row of numbers."""
    size = b"".join(part(1, number(1, each)) for each in (1, width))
    return part(1, name) + part(2, part(1, number(1, FLOAT) + part(2, size)))


def build_network(
    nodes: Sequence[bytes], tensors: Sequence[bytes], inputs: Mapping[str, int], outputs: Mapping[str, int],
    more: bytes = b"", domains: Sequence[str] = ("",),
) -> bytes:  # fmt: skip
    """Build a network; `inputs` and `outputs` map names to widths, and `more` has any further encoded fields."""
    graph = b"".join(part(1, each) for each in nodes) + part(2, "network") + b"".join(part(5, each) for each in tensors)
    graph += b"".join(part(11, row(*each)) for each in inputs.items())
    graph += b"".join(part(12, row(*each)) for each in outputs.items())
    versions = b"".join(part(8, (part(1, each) if each else b"") + number(2, OPERATORS)) for each in domains)
    return number(1, IR_VERSION) + versions + part(7, graph) + more
