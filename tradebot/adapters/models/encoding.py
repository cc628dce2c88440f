"""Write a network in ONNX's format, field by field: no library is needed for that.

The format is a Protocol Buffers message. The numbers of fields are those of onnx.proto. ONNX Runtime, which reads what
is written here, says whether it is right.
"""

import struct
from collections.abc import Mapping, Sequence

FLOAT, INT64 = 1, 7
OPERATORS = 17
"""The version of ONNX's operators."""
IR_VERSION = 8
OF_AN_INTEGER = 2
"""The kind of an operator's attribute that is one integer."""
MORE = 0x80


def number(field: int, value: int) -> bytes:
    """Return a field that is a number of zero or more."""
    return _varint(field << 3) + _varint(value)


def part(field: int, content: bytes | str) -> bytes:
    """Return a field that is a text or another message."""
    content = content.encode() if isinstance(content, str) else content
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= MORE:
        found.append(value & (MORE - 1) | MORE)
        value >>= 7
    return bytes([*found, value])


def tensor(name: str, rows: Sequence[Sequence[float]]) -> bytes:
    """Return a matrix of numbers that a network has in it."""
    flat = [float(each) for row in rows for each in row]
    size = b"".join(number(1, each) for each in (len(rows), len(rows[0])))
    return size + number(2, FLOAT) + part(8, name) + part(9, struct.pack(f"<{len(flat)}f", *flat))


def integers(name: str, values: Sequence[int]) -> bytes:
    """Return a row of whole numbers that a network has in it."""
    return number(1, len(values)) + number(2, INT64) + part(8, name) + part(9, struct.pack(f"<{len(values)}q", *values))


def integer(name: str, value: int) -> bytes:
    """Return an attribute of an operator that is one whole number."""
    return part(5, part(1, name) + number(3, value) + number(20, OF_AN_INTEGER))


def node(kind: str, inputs: Sequence[str], output: str, domain: str = "", attributes: bytes = b"") -> bytes:
    """Return an operator with what it reads and what it makes."""
    read = b"".join(part(1, each) for each in inputs)
    return read + part(2, output) + part(4, kind) + attributes + (part(7, domain) if domain else b"")


def row(name: str, width: int) -> bytes:
    """Return an input or output that is one row of numbers."""
    size = b"".join(part(1, number(1, each)) for each in (1, width))
    return part(1, name) + part(2, part(1, number(1, FLOAT) + part(2, size)))


def network(
    nodes: Sequence[bytes], tensors: Sequence[bytes], inputs: Mapping[str, int], outputs: Mapping[str, int],
    more: bytes = b"", domains: Sequence[str] = ("",),
) -> bytes:  # fmt: skip
    """Build a network with its inputs and outputs by name and width; `more` are further fields."""
    graph = b"".join(part(1, each) for each in nodes) + part(2, "network") + b"".join(part(5, each) for each in tensors)
    graph += b"".join(part(11, row(*each)) for each in inputs.items())
    graph += b"".join(part(12, row(*each)) for each in outputs.items())
    versions = b"".join(part(8, (part(1, each) if each else b"") + number(2, OPERATORS)) for each in domains)
    return number(1, IR_VERSION) + versions + part(7, graph) + more
