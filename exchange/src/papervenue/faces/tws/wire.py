"""Frame messages of the TWS protocol: four bytes of length, then fields that each end with a zero byte."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

from papervenue.jsontext import plain

FIRST, LAST = 157, 178
"""The protocol versions that are spoken: the last is the newest of ib_async 2.1.0; ib_insync 0.9.86 ends at 176."""
_OFFSETS = ("minTradeQty", "minCompeteSize", "competeAgainstBestOffset", "midOffsetAtWhole", "midOffsetAtHalf")
_SINCE: Mapping[int, Mapping[str, int]] = MappingProxyType(
    {
        4: {"advanced": 166},
        5: {"duration": 158, "postToAts": 160, "autoCancelParent": 162, **dict.fromkeys(_OFFSETS, 170)},
        10: {"minSize": 164, "sizeIncrement": 164, "suggestedSizeIncrement": 163},
        11: {"pendingPriceRevision": 178},
        101: dict.fromkeys(_OFFSETS, 170),
    }
)
"""The version since which a message has a field, by the message's number."""
_UNTIL: Mapping[int, Mapping[str, int]] = MappingProxyType(
    {5: {"faProfile": 176}, 10: {"version": 163, "mdSizeMultiplier": 163}, 101: {"faProfile": 176}}
)
"""The last version in which a message has a field."""
DESCRIBED_SINCE = 176
"""The version since which the symbols that match a client's text have descriptions."""
PROFILES_UNTIL = 176
"""The last version in which a client sends the profile of an order's allocation."""
HELLO = b"API\0"
LONGEST = 64 * 1024
"""The longest message that a client may send, many times an order."""
_LENGTH = struct.Struct(">I")


class WireError(ValueError):
    """Raised for bytes that no client would send in this protocol."""


class TwsMessage(NamedTuple):
    """A message of the server: its number, and its fields by name, in wire order."""

    number: int
    fields: Mapping[str, Any]

    def payload(self, version: int = LAST) -> bytes:
        """Return the message in a version of the protocol, without its length prefix."""
        since, until = _SINCE.get(self.number, {}), _UNTIL.get(self.number, {})
        values = (
            value for name, value in self.fields.items() if since.get(name, FIRST) <= version <= until.get(name, LAST)
        )
        return "".join(f"{text}\0" for text in (str(self.number), *_texts(values))).encode()


def frame(payload: bytes) -> bytes:
    """Return a payload with its length prefix."""
    return _LENGTH.pack(len(payload)) + payload


def _texts(values: object) -> Iterator[str]:
    for value in values:  # type: ignore[attr-defined] # it is a collection of what JSON has
        if isinstance(value, dict):
            yield from _texts(value.values())
        elif isinstance(value, list | tuple):
            yield from _texts(value)
        else:
            yield _text(value)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    return plain(value) if isinstance(value, Decimal) else str(value)


def laid_out(layout: str) -> dict[str, Any]:
    """Parse a message layout: return its fields with their defaults (`name` defaults to empty text, `name=0` to 0)."""
    named = (field.partition("=") for field in layout.split())
    return {name: value for name, _, value in named}


class Frames:
    """Parses what a client sends: a greeting, then messages."""

    def __init__(self) -> None:
        self._unread = b""
        self.greeted = False

    def read(self, data: bytes) -> Iterator[list[str]]:
        """Yield the fields of each complete message; the first one has the protocol versions of the client."""
        self._unread += data
        if not self.greeted:
            if not HELLO.startswith(self._unread[: len(HELLO)]):
                raise WireError("the first bytes from a client must be API")
            if len(self._unread) < len(HELLO):
                return
            self._unread, self.greeted = self._unread[len(HELLO) :], True
        while len(self._unread) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._unread)
            if length > LONGEST:
                raise WireError(f"a message of {length} bytes is longer than {LONGEST}")
            if len(self._unread) < _LENGTH.size + length:
                return
            payload = self._unread[_LENGTH.size : _LENGTH.size + length]
            self._unread = self._unread[_LENGTH.size + length :]
            yield payload.decode(errors="replace").removesuffix("\0").split("\0")
