"""Parse the times at which a job is due, such as "every 5m from open+2m until close-15m, at close-10m".

They are offsets from the session's open and close, so they shift on half days.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

from msgspec import Struct

from tradebot.model.bar import Session
from tradebot.model.venue_day import VenueDay

T = TypeVar("T")
UNITS = {"s": 1, "m": 60, "h": 3600}
MINUTE_S = 60
MOST_PARTS = 20
_DURATION = r"\d{1,6}[smh]"
_EDGE = rf"open(?:\+{_DURATION})?|close(?:-{_DURATION})?"
_EVERY = re.compile(rf"every ({_DURATION})(?: while open|(?: from ({_EDGE}))?(?: until ({_EDGE}))?)")
_AT = re.compile(rf"(?:at )?({_EDGE})")
EXPECTED = "'every 5m from open+2m until close-15m', 'every 60s while open' or 'at close-10m', separated by commas"
_OPEN = datetime(2026, 11, 16, 14, 30, tzinfo=UTC)


def whole_day(venue: VenueDay) -> Session:
    """Return a session of the venue's usual length, against which times are checked at load."""
    return Session(_OPEN.date(), _OPEN, _OPEN + venue.lasts)


class Edge(Struct, frozen=True):
    """A moment of any session: seconds from its open, or from its close; negative if earlier."""

    of_open: bool
    offset_s: int

    def of(self, session: Session) -> datetime:
        """Return the moment in one session; in a short session it may be before the open or after the close."""
        return (session.open if self.of_open else session.close) + timedelta(seconds=self.offset_s)

    def __str__(self) -> str:
        name = "open" if self.of_open else "close"
        return f"{name}{self.offset_s // MINUTE_S:+}m" if self.offset_s or self.of_open else name


class TimePart(Struct, frozen=True):
    """A series of due times from `start` to before `end`, or only `start` if `every_s` is None."""

    start: Edge
    end: Edge
    every_s: int | None


class Due(Struct, frozen=True):
    """One due time in one session; `name` is stable, and the job may start any time before `end`."""

    name: str
    start: datetime
    end: datetime


class Times(Struct, frozen=True):
    """Times with the text they were parsed from."""

    text: str

    def __str__(self) -> str:
        return self.text


class JobTimes(Times, frozen=True):
    """All due times of a job, with the text they were parsed from."""

    parts: tuple[TimePart, ...]

    def in_session(self, session: Session) -> list[Due]:
        """Return the due times of one session in order, without duplicates."""
        opened = session.open
        return [Due(n, opened + start, opened + end) for n, start, end in _pattern(self.parts, session.close - opened)]


def parse(text: object, venue: VenueDay) -> JobTimes:
    """Parse a job's times; raise ValueError with the expected format, or with the part that is never due."""
    if isinstance(text, JobTimes):
        return text
    if not isinstance(text, str):
        raise ValueError(f"use times such as {EXPECTED}")
    return JobTimes(*in_parts(text, venue, parse_part))


def in_parts(
    text: str, venue: VenueDay, part: Callable[[str, VenueDay], T], comma: str = ","
) -> tuple[str, tuple[T, ...]]:
    """Split a text at commas and parse each part; return the text with single spaces, and the parts.

    Raise ValueError if there are too many parts.
    """
    plain = " ".join(text.split())
    words = re.split(comma, plain)
    if len(words) > MOST_PARTS:
        raise ValueError(f"at most {MOST_PARTS} parts are allowed")
    return plain, tuple([part(word.strip(), venue) for word in words])


@lru_cache(maxsize=64)
def longest_wait_s(renewal: JobTimes, used: JobTimes, session: Session) -> int:
    """Return the longest wait in seconds, during a session, between a renewal by one job and a use by another.

    The waits are those from one renewal to the next, from the first use to the first renewal, and from the last renewal
    to the last use.
    """
    renewals, uses = ([due.start for due in times.in_session(session)] for times in (renewal, used))
    waits = [later - earlier for earlier, later in pairwise(renewals)]
    waits += [renewals[0] - uses[0], uses[-1] - renewals[-1]]
    return int(max(waits).total_seconds())


def left_after_last_s(times: JobTimes, session: Session) -> int:
    """Return the seconds from a job's last due time to the close of a session."""
    return int((session.close - times.in_session(session)[-1].start).total_seconds())


def is_time(text: str) -> bool:
    """Return True if a text is written as one of a job's times, whether or not it is ever due."""
    return bool(_AT.fullmatch(text) or _EVERY.fullmatch(text))


def parse_part(text: str, venue: VenueDay) -> TimePart:
    """Parse one of the comma-separated parts; raise ValueError with the expected format, or if it is never due."""
    at, every = _AT.fullmatch(text), _EVERY.fullmatch(text)
    if at:
        part = TimePart(edge(at[1]), Edge(False, 0), None)
    elif every:
        part = TimePart(edge(every[2] or "open"), edge(every[3] or "close"), seconds(every[1]))
    else:
        raise ValueError(f"{text!r} is not a time; use {EXPECTED}")
    if part.every_s == 0:
        raise ValueError(f"{text!r}: an interval of zero would be due all the time")
    if not next(due_times(part, whole_day(venue)), None):
        raise ValueError(f"{text!r} is never due: in a session of {_span_text(venue.lasts)}, it ends before it begins")
    return part


@lru_cache(maxsize=64)
def _pattern(parts: tuple[TimePart, ...], length: timedelta) -> Sequence[tuple[str, timedelta, timedelta]]:
    """Return the due times of all sessions of one length: name, start and end, both after the open."""
    session = Session(_OPEN.date(), _OPEN, _OPEN + length)
    by_start: dict[datetime, Due] = {}
    for part in parts:
        for due in due_times(part, session):
            by_start.setdefault(due.start, due)
    ordered = sorted(by_start.values(), key=lambda due: due.start)
    return [(due.name, due.start - session.open, due.end - session.open) for due in ordered]


def _span_text(span: timedelta) -> str:
    hours, minutes = divmod(int(span.total_seconds()) // MINUTE_S, 60)
    return f"{hours}h{minutes}m" if minutes else f"{hours}h"


def edge(text: str) -> Edge:
    name, sign, offset = text.partition("-" if "-" in text else "+")
    away_s = seconds(offset) if offset else 0
    return Edge(name == "open", -away_s if sign == "-" else away_s)


def seconds(text: str) -> int:
    """Return a duration such as 30m in seconds; raise ValueError if it isn't in whole minutes."""
    length = int(text[:-1]) * UNITS[text[-1]]
    if length % MINUTE_S:
        raise ValueError(f"{text}: times are in whole minutes, so use a multiple of 60s")
    return length


def due_times(part: TimePart, session: Session) -> Iterator[Due]:
    """Yield the due times of one part; there are none if a short session ends before the part begins."""
    start, end = part.start.of(session), min(part.end.of(session), session.close)
    if part.every_s is None:
        if session.open <= start < end:
            yield Due(str(part.start), start, end)
        return
    every = timedelta(seconds=part.every_s)
    while start < session.open:
        start += every
    while start < end:
        yield Due(f"open+{int((start - session.open).total_seconds()) // MINUTE_S}m", start, min(start + every, end))
        start += every
