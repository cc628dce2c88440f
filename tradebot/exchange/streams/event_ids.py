"""Make the ids of streamed events: ULIDs, which sort as text in the order of the events.

The first 48 bits are milliseconds of engine time; the other 80 tell apart events of the same millisecond.
"""

from __future__ import annotations

import re

_BASE_32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_NUMBER_BITS = 80
_LENGTH = 26
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)
_MS = 1_000


def ulid(at_us: int, number: int) -> str:
    """Return an event's id, from its time and its number among all events."""
    bits = at_us // _MS << _NUMBER_BITS | number
    return "".join(_BASE_32[bits >> 5 * place & 31] for place in reversed(range(_LENGTH)))


def read_ulid(text: str) -> str:
    """Return an id in capital letters; raise ValueError for a text that can't be one."""
    if not _ULID.fullmatch(text.upper()):
        raise ValueError(text)
    return text.upper()
