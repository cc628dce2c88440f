"""When a job is due, as a person writes it: offsets from the session's open and close, so that half days move along.

every 5m from open+2m until close-15m, at close-10m
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from tradebot.model.bar import Session

UNITS = {"s": 1, "m": 60, "h": 3600}
MINUTE_S = 60
MOST_PARTS = 20
_DURATION = r"\d{1,6}[smh]"
_EDGE = rf"open(?:\+{_DURATION})?|close(?:-{_DURATION})?"
_EVERY = re.compile(rf"every ({_DURATION})(?: while open|(?: from ({_EDGE}))?(?: until ({_EDGE}))?)")
_AT = re.compile(rf"(?:at )?({_EDGE})")
_EXPECTED = "'every 5m from open+2m until close-15m', 'every 60s while open' or 'at close-10m', separated by commas"
_OPEN = datetime(2026, 11, 16, 14, 30, tzinfo=UTC)
WHOLE_DAY = Session(_OPEN.date(), _OPEN, _OPEN + timedelta(minutes=390))
"""A session of the usual length, against which times and their relations are checked at load."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A moment of any session: seconds after its open, or seconds before its close."""

    after_open: bool
    offset_s: int

    def of(self, session: Session) -> datetime:
        """Return the moment in one session; it may lie outside of a short one."""
        offset = timedelta(seconds=self.offset_s)
        return session.open + offset if self.after_open else session.close - offset

    def __str__(self) -> str:
        """Write the moment as the configuration does."""
        name, sign = ("open", "+") if self.after_open else ("close", "-")
        return f"{name}{sign}{self.offset_s // MINUTE_S}m" if self.offset_s or self.after_open else name


@dataclass(frozen=True, slots=True)
class Part:
    """A row of due times from `start` on until before `end`, or the single one at `start` where `every_s` is None."""

    start: Edge
    end: Edge
    every_s: int | None


@dataclass(frozen=True, slots=True)
class Due:
    """One due time of one session: `name` is stable, and the job may still begin until before `end`."""

    name: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class JobTimes:
    """All due times of a job, with the text that they were read from."""

    text: str
    parts: tuple[Part, ...]

    def in_session(self, session: Session) -> list[Due]:
        """Return the due times of one session in order; two parts that meet at one moment make one due time."""
        found: dict[datetime, Due] = {}
        for part in self.parts:
            for due in _dues(part, session):
                found.setdefault(due.start, due)
        return sorted(found.values(), key=lambda due: due.start)

    def __str__(self) -> str:
        """Write the times as the configuration does."""
        return self.text


def parse(text: object) -> JobTimes:
    """Read a job's due times. Raises ValueError that says what is expected, or which part is never due."""
    if isinstance(text, JobTimes):
        return text
    if not isinstance(text, str):
        raise ValueError(f"times such as {_EXPECTED} are expected")
    plain = " ".join(text.split())
    words = [part.strip() for part in plain.split(",")]
    if len(words) > MOST_PARTS:
        raise ValueError(f"at most {MOST_PARTS} parts are read")
    return JobTimes(plain, tuple(_part(word) for word in words))


def longest_wait_s(renewal: JobTimes, used: JobTimes) -> int:
    """Return the longest time in seconds that something renewed by one job is waited for by another in a session.

    It runs from one renewal to the next, and to the last use; before the first renewal, from the first use on.
    """
    renewals, uses = ([due.start for due in times.in_session(WHOLE_DAY)] for times in (renewal, used))
    waits = [later - earlier for earlier, later in pairwise(renewals)]
    waits += [renewals[0] - uses[0], uses[-1] - renewals[-1]]
    return int(max(waits).total_seconds())


def _part(text: str) -> Part:
    at, every = _AT.fullmatch(text), _EVERY.fullmatch(text)
    if at:
        part = Part(_edge(at[1]), Edge(False, 0), None)
    elif every:
        part = Part(_edge(every[2] or "open"), _edge(every[3] or "close"), _seconds(every[1]))
    else:
        raise ValueError(f"{text!r} is not a time; expected are {_EXPECTED}")
    if part.every_s == 0:
        raise ValueError(f"{text!r}: an interval of nothing is due all the time")
    if not next(_dues(part, WHOLE_DAY), None):
        raise ValueError(f"{text!r} is never due: it ends before it begins, in a session of 6h30m")
    return part


def _edge(text: str) -> Edge:
    name, _, offset = text.replace("-", "+").partition("+")
    return Edge(name == "open", _seconds(offset) if offset else 0)


def _seconds(text: str) -> int:
    seconds = int(text[:-1]) * UNITS[text[-1]]
    if seconds % MINUTE_S:
        raise ValueError(f"{text}: slots stand on whole minutes, so a multiple of 60s is expected")
    return seconds


def _dues(part: Part, session: Session) -> Iterator[Due]:
    """A short session may end before a part begins: then it has no due time that day."""
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
