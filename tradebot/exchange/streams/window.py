"""Select the events that a client of an event stream asks for, following Alpaca's documentation of these streams.

Their ids are ULIDs, which sort as text in the order of the events. The first 48 bits are milliseconds of engine time;
the other 80 tell apart events of the same millisecond.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from tradebot.exchange.params import Params
from tradebot.exchange.refusal import invalid

_NANOSECONDS = re.compile(r"\.\d{6}(\d{1,3})", re.ASCII)
_NS = 1_000
_BASE_32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_NUMBER_BITS = 80
_LENGTH = 26
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)


class StreamEvent(NamedTuple):
    """A streamed event: its id, its time, its time to the nanosecond, and a function that returns its JSON."""

    id: str
    at_us: int
    at_ns: int
    encoded: Callable[[], bytes]


class Window(NamedTuple):
    """Bounds by time or by id: from a time, after an id, up to a time or id; None means unbounded."""

    since_ns: int | None
    until_ns: int | None
    since_id: str | None
    until_id: str | None

    @property
    def wants_past(self) -> bool:
        return self.since_ns is not None or self.since_id is not None

    def has_begun(self, event_id: str, at_ns: int) -> bool:
        """Return True if no event from this one on is too old."""
        return (self.since_ns is None or at_ns >= self.since_ns) and (self.since_id is None or event_id > self.since_id)

    def has_ended(self, event_id: str, at_ns: int) -> bool:
        """Return True if all events from this one on are too new."""
        return (self.until_ns is not None and at_ns > self.until_ns) or (
            self.until_id is not None and event_id > self.until_id
        )

    def holds(self, event_id: str, at_ns: int) -> bool:
        return self.has_begun(event_id, at_ns) and not self.has_ended(event_id, at_ns)

    def is_over(self, now_us: int, newest_id: str) -> bool:
        """Return True if no further event can be requested, given the current time and the highest id so far."""
        if self.until_ns is not None:
            return now_us >= self.until_ns // _NS
        return self.until_id is not None and newest_id >= self.until_id


def read_window(query: Params) -> Window:
    """Read the bounds in a query; raise the 422 Refusal for combinations that Alpaca rules out."""
    since_ns, until_ns = _moment(query, "since", 0), _moment(query, "until", _NS - 1)
    since_id, until_id = query.read("since_id", read_ulid), query.read("until_id", read_ulid)
    if since_ns is not None and since_id is not None:
        raise invalid("since and since_id cannot be used together")
    if until_ns is not None and since_ns is None:
        raise invalid("since is required if until is specified")
    if until_id is not None and since_id is None:
        raise invalid("since_id is required if until_id is specified")
    return Window(since_ns, until_ns, since_id, until_id)


def _moment(query: Params, name: str, unsaid_ns: int) -> int | None:
    """Return a time in nanoseconds, so that a client can continue right after its last event.

    If a time has no nanoseconds, `unsaid_ns` decides between the first and the last of its microsecond.
    """
    at_us = query.moment(name)
    finer = _NANOSECONDS.search(query.text(name))
    return None if at_us is None else at_us * _NS + (int(finer[1].ljust(3, "0")) if finer else unsaid_ns)


def ulid(at_us: int, number: int) -> str:
    """Return an event's id, from its time and its number among all events."""
    bits = at_us // 1_000 << _NUMBER_BITS | number
    return "".join(_BASE_32[bits >> 5 * place & 31] for place in reversed(range(_LENGTH)))


def read_ulid(text: str) -> str:
    """Return an id in capital letters; raise ValueError for a text that can't be one."""
    if not _ULID.fullmatch(text.upper()):
        raise ValueError(text)
    return text.upper()
