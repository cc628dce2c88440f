"""Parse the times of a chore. They can express all that the times of a job and of a strategy can, and also times
outside the session.

Examples: every 30m while open; at close-10m, close+5m, open-30m; pre-market 08:00; first session of month at open+5m;
cron "30 18 * * Mon-Fri".

Cron times are the venue's and occur on every day that they name; all others only occur on days with a session.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise

from msgspec import Struct

from tradebot.model.bar import Session
from tradebot.model.venue_day import VenueDay
from tradebot.timetable import job_times
from tradebot.timetable.job_times import MINUTE_S, Edge, TimePart, Times
from tradebot.timetable.strategy_times import SessionChoice, in_days

MOST_BESIDE_S = 8 * 3600
"""How far before the open or after the close a time may be, so that it belongs to that session alone."""
_BESIDE = re.compile(r"(?:at )?((?:open-|close\+)\d{1,6}[smh])")
_PRE_MARKET = re.compile(r"(?:at )?pre-market (\d\d):(\d\d)")
_CRON = re.compile(r"cron (['\"]?)(.*)\1")
_COMMA = r',(?=(?:[^"]*"[^"]*")*[^"]*$)'
"""A comma between two times, not one within quotes."""
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
CRON_EXPECTED = "'cron \"30 18 * * Mon-Fri\"': minute, hour, day of the month, month, weekday"
_ITEM = re.compile(r"(?:(?P<all>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d{1,4}))?")
EXPECTED = (
    "'close+5m', 'open-30m', 'pre-market 08:00', 'every 30m while open', 'first session of month at open+5m' or "
    f"{CRON_EXPECTED}"
)
_A_MONDAY = date(2026, 11, 16)


class Cron(Struct, frozen=True):
    """The minutes, hours, days, months and weekdays (Monday is 0) at which something is due, by the venue's clock.

    `days` and `weekdays` are None if they aren't restricted. As in cron, a day counts if either the day of the month or
    the weekday matches, where both are restricted.
    """

    venue: VenueDay
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int] | None
    months: frozenset[int]
    weekdays: frozenset[int] | None

    def starts(self, day: date) -> Iterator[tuple[str, datetime]]:
        """Yield the name and the moment of each time on one day, in order, as `VenueDay.at` counts them."""
        if not self._holds(day):
            return
        for hour in self.hours:
            for minute in self.minutes:
                yield f"{hour:02}:{minute:02} {self.venue.label}", self.venue.at(day, time(hour, minute))

    def _holds(self, day: date) -> bool:
        fits = [day.day in self.days] if self.days is not None else []
        fits += [day.weekday() in self.weekdays] if self.weekdays is not None else []
        return day.month in self.months and (any(fits) or not fits)


class PreMarket(Struct, frozen=True):
    """A time of day at the venue before the open of a session."""

    at: time
    venue: VenueDay

    def of(self, session: Session) -> datetime:
        return self.venue.at(session.date, self.at)

    def __str__(self) -> str:
        return f"pre-market {self.at:%H:%M}"


class ChorePart(Struct, frozen=True):
    """A time or a series of times, in the sessions of `days`, or in all sessions if that is None."""

    days: SessionChoice | None
    times: TimePart | Edge | PreMarket | Cron

    def starts(self, day: date, sessions: Sequence[Session]) -> Iterator[tuple[str, datetime]]:
        """Yield the name and the moment of each time that belongs to a day, given the sessions around it."""
        if isinstance(self.times, Cron):
            yield from self.times.starts(day)
            return
        index = next((index for index, session in enumerate(sessions) if session.date == day), None)
        if index is None or (self.days and not self.days.hold(sessions, index)):
            return
        session = sessions[index]
        if isinstance(self.times, TimePart):
            dues = [(due.name, due.start) for due in job_times.due_times(self.times, session)]
        else:
            dues = [(str(self.times), self.times.of(session))]
        for name, start in dues:
            yield (f"{self.days.text} {name}" if self.days else name), start


class ChoreTimes(Times, frozen=True):
    """All times of a chore, with the text they were parsed from, and the venue whose day they use."""

    parts: tuple[ChorePart, ...]
    venue: VenueDay

    def starts(self, day: date, sessions: Sequence[Session]) -> list[tuple[str, datetime]]:
        """Return the name and start of each run on a day, in order; of two at the same time, only the first."""
        by_start: dict[datetime, str] = {}
        for part in self.parts:
            for name, start in part.starts(day, sessions):
                by_start.setdefault(start, name)
        return [(by_start[start], start) for start in sorted(by_start)]

    @property
    def names_sessions(self) -> bool:
        """Return True if any time names sessions of a week or month.

        To find such a time, all sessions of that week or month must be known.
        """
        return any(part.days for part in self.parts)

    @property
    def needs_sessions(self) -> bool:
        """Return True if any of its times only occurs on days with a session."""
        return any(not isinstance(part.times, Cron) for part in self.parts)


@lru_cache(maxsize=128)
def parse(text: str, venue: VenueDay) -> ChoreTimes:
    """Parse a chore's times; raise ValueError with the expected format, or with the part that is never due."""
    return ChoreTimes(*job_times.in_parts(text, venue, _part, _COMMA), venue)


@lru_cache(maxsize=128)
def least_gap_s(times: ChoreTimes) -> int | None:
    """Return the fewest seconds between two times of a chore in usual weeks; None if it isn't due again for months."""
    count = 100 if times.names_sessions else 15
    days = [_A_MONDAY + timedelta(days=each) for each in range(count)]
    sessions = [times.venue.usual(day) for day in days if times.venue.never_ends or day.weekday() < 5]
    starts = sorted(start for day in days for _, start in times.starts(day, sessions))
    return min((int((later - earlier).total_seconds()) for earlier, later in pairwise(starts)), default=None)


def _part(text: str, venue: VenueDay) -> ChorePart:
    if match := _CRON.fullmatch(text):
        return ChorePart(None, parse_cron(match[2], venue))
    days, moment = in_days(text)
    if match := _BESIDE.fullmatch(moment):
        beside = job_times.edge(match[1])
        if not 0 < abs(beside.offset_s) <= MOST_BESIDE_S:
            raise ValueError(f"{text!r}: use up to {MOST_BESIDE_S // 3600}h before the open or after the close")
        return ChorePart(days, beside)
    if match := _PRE_MARKET.fullmatch(moment):
        return ChorePart(days, PreMarket(_before_the_open(text, int(match[1]), int(match[2]), venue), venue))
    if not job_times.is_time(moment):
        raise ValueError(f"{text!r} is not a time; use {EXPECTED}")
    return ChorePart(days, job_times.parse_part(moment, venue))


def _before_the_open(text: str, hour: int, minute: int, venue: VenueDay) -> time:
    if venue.extended is None:
        raise ValueError(f"{text!r}: there is no trading before the open, so use open-30m or {CRON_EXPECTED}")
    first, midnight = venue.extended[0], datetime.combine(_A_MONDAY, time())
    opens = (midnight + venue.opens).time()
    at = time(hour, minute) if hour < 24 and minute < 60 else opens
    if not first <= at < opens:
        last = midnight + venue.opens - timedelta(seconds=MINUTE_S)
        raise ValueError(
            f"{text!r} is not before the open: pre-market is from {first:%H:%M} to {last:%H:%M} in {venue.zone_name}"
        )
    return at


@lru_cache(maxsize=64)
def parse_cron(text: str, venue: VenueDay) -> Cron:
    """Parse the five fields.

    Raise ValueError, with the expected format, if they can't be read, or if no date ever matches them.
    """
    fields = text.split()
    if len(fields) != 5:
        raise ValueError(f"{text!r} has {len(fields)} fields, not 5; use {CRON_EXPECTED}")
    minute, hour, day, month, weekday = fields
    if any(character.isdigit() for character in weekday.partition("/")[0]):
        raise ValueError(
            f"{text!r}: write weekdays by name, such as Mon-Fri: schedulers number them differently, so 1 is Monday "
            "for some and Tuesday for others"
        )
    cron = Cron(
        venue,
        tuple(sorted(_field(minute, 0, 59, (), text))),
        tuple(sorted(_field(hour, 0, 23, (), text))),
        None if day == "*" else _field(day, 1, 31, (), text),
        _field(month, 1, 12, MONTHS, text),
        None if weekday == "*" else _field(weekday, 0, 6, WEEKDAYS, text),
    )
    # A leap year has every date and, in each month, every weekday.
    if not any(cron._holds(date(2028, 1, 1) + timedelta(days=count)) for count in range(366)):
        raise ValueError(f"{text!r} is never due: no month has such a day")
    return cron


def _field(text: str, low: int, high: int, names: Sequence[str], whole: str) -> frozenset[int]:
    numbers: set[int] = set()
    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise _no_field(item, whole)
        first = low if match["all"] else _number(match["first"], low, names, item, whole)
        last = high if match["all"] or (match["step"] and not match["last"]) else first
        last = _number(match["last"], low, names, item, whole) if match["last"] else last
        if not low <= min(first, last) <= max(first, last) <= high:
            raise ValueError(f"{whole!r}: {item!r} is not within {low} to {high}")
        if first > last:
            raise ValueError(f"{whole!r}: {item!r} ends before it begins; write two ranges, separated by a comma")
        if match["step"] == "0":
            raise ValueError(f"{whole!r}: {item!r} has a step of zero")
        numbers |= set(range(first, last + 1, int(match["step"] or 1)))
    return frozenset(numbers)


def _number(text: str, low: int, names: Sequence[str], item: str, whole: str) -> int:
    if text.isdecimal():
        return int(text)
    if text.lower() not in names:
        raise _no_field(item, whole)
    return low + names.index(text.lower())


def _no_field(item: str, whole: str) -> ValueError:
    return ValueError(f"{whole!r}: {item!r} is not a field of cron; use {CRON_EXPECTED}")
