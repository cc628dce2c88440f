"""Read durations and moments in scripts: `90s`, `2m`, `open+5m`, `close-10m`, or an ISO time."""

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
    """A moment of engine time, or one in each session: `anchor` is "open", "close", or "" for engine time itself."""

    anchor: str
    us: int

    def place(self, calendar: Calendar, now_us: int) -> int | None:
        """Return the moment in engine time; a session moment is today's, or None on a day without a session."""
        if not self.anchor:
            return self.us
        index = calendar.index_of.get(new_york_date(now_us))
        if index is None:
            return None
        session = calendar.market[index]
        return (session.open_us if self.anchor == "open" else session.close_us) + self.us


def read_duration(value: object) -> int:
    """Return a duration in microseconds, possibly negative; raise ValueError if it is invalid."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(DURATIONS)
    us = int(match[2]) * _UNITS[match[3]]
    if us > LONGEST:
        raise ValueError("a duration of at most 168h")
    return -us if match[1] == "-" else us


def read_moment(value: object) -> Moment:
    """Read a moment; raise ValueError if it is invalid."""
    text = value if isinstance(value, str) else ""
    if match := _RELATIVE.fullmatch(text):
        offset = read_duration(match[3]) if match[3] else 0
        return Moment(match[1], -offset if match[2] == "-" else offset)
    if not _ABSOLUTE.fullmatch(text):
        raise ValueError(MOMENTS)
    try:
        return Moment("", parse_time(text))
    except ValueError as error:
        raise ValueError(MOMENTS) from error
