"""Encode and decode stream frames, either JSON or MessagePack, which differ in their first byte."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgpack

from tradebot.exchange.jsontext import check_text, refuse_constant

_JSON_STARTS = b"{[ \t\r\n"
"""The first byte of any JSON object or array; no MessagePack map or array starts with one of these."""


class FrameError(ValueError):
    """A frame that is neither JSON nor MessagePack."""


class Message:
    """One server message, encoded at most once per format for any number of clients.

    Aware datetimes become RFC 3339 text in JSON and the timestamp extension in MessagePack.
    """

    __slots__ = ("_as_json", "_packed", "value")

    def __init__(self, value: object) -> None:
        self.value: Any = value
        self._as_json: bytes | None = None
        self._packed: bytes | None = None

    def as_json(self) -> bytes:
        if self._as_json is None:
            self._as_json = json.dumps(self.value, separators=(",", ":"), default=_time_text).encode()
        return self._as_json

    def packed(self) -> bytes:
        if self._packed is None:
            self._packed = msgpack.packb(self.value, datetime=True)
        return self._packed


def decode(frame: str | bytes) -> Any:
    """Decode a client's frame; raise FrameError if it is invalid."""
    if is_packed(frame):
        return _unpacked(frame)
    try:
        value = json.loads(frame, parse_constant=refuse_constant)
        check_text(value)
        return value
    except (ValueError, RecursionError) as error:
        raise FrameError("invalid JSON") from error


def is_packed(frame: str | bytes) -> bool:
    """Return True if a frame can only be MessagePack."""
    return isinstance(frame, bytes) and frame[:1] not in _JSON_STARTS


def _unpacked(frame: str | bytes) -> Any:
    try:
        return msgpack.unpackb(frame)
    except (ValueError, msgpack.UnpackException) as error:
        raise FrameError("invalid MessagePack") from error


def _time_text(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} has no place in a message")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
