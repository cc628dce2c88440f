"""Durations and moments as a script writes them: `90s`, `2m`, `open+5m`, `close-10m`, an ISO time."""

from __future__ import annotations

import re
from typing import NamedTuple

from tradebot.exchange.market.sessions import Calendar
from tradebot.exchange.times import HOUR, MINUTE, SECOND, new_york_date, parse_time

_MILLISECOND = 1000
_UNITS = {"ms": _MILLISECOND, "s": SECOND, "m": MINUTE, "h": HOUR}
_DURATION = re.compile(r"([+-]?)(\d{1,7})(ms|s|m|h)")
_RELATIVE = re.compile(r"(open|close)(?:([+-])(\d{1,7}(?:ms|s|m|h)))?")
_ABSOLUTE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)")
LONGEST = 7 * 24 * HOUR

DURATIONS = "a duration such as 500ms, 5s, 2m or 1h"
MOMENTS = "open, close, open+5m, close-10m, or a time such as 2026-11-16T15:00Z"


class Moment(NamedTuple):
    """A moment of engine time, or one of each session: `anchor` is "open", "close", or "" for engine time itself."""

    anchor: str
    us: int

    def place(self, calendar: Calendar, now_us: int) -> int | None:
        """Return the moment in engine time; of a session's own, today's, and None on a day without a session."""
        if not self.anchor:
            return self.us
        index = calendar.index_of.get(new_york_date(now_us))
        if index is None:
            return None
        session = calendar.market[index]
        return (session.open_us if self.anchor == "open" else session.close_us) + self.us


def read_duration(value: object) -> int:
    """Return a duration in microseconds, which may be negative; raises ValueError."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(DURATIONS)
    us = int(found[2]) * _UNITS[found[3]]
    if us > LONGEST:
        raise ValueError("a duration of at most 168h")
    return -us if found[1] == "-" else us


def read_moment(value: object) -> Moment:
    """Read a moment; raises ValueError."""
    text = value if isinstance(value, str) else ""
    if found := _RELATIVE.fullmatch(text):
        offset = read_duration(found[3]) if found[3] else 0
        return Moment(found[1], -offset if found[2] == "-" else offset)
    if not _ABSOLUTE.fullmatch(text):
        raise ValueError(MOMENTS)
    try:
        return Moment("", parse_time(text))
    except ValueError as error:
        raise ValueError(MOMENTS) from error
