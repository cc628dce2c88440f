"""The venue's day: its time zone, the hours of its usual session, and the date that each moment belongs to."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from math import ceil
from operator import attrgetter
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

from msgspec import Struct

from tradebot.model.bar import Session
from tradebot.model.struct_tools import replace

DAY = timedelta(days=1)
_OPENS = attrgetter("open")
_YEARS = range(2000, 2038)
"""The years in whose Januaries and Julys a zone's UTC offset is looked up."""


class VenueDay(Struct, frozen=True):
    """A venue's day: the time zone of its dates, and the usual open and close of a session.

    `opens` is how long after midnight, by the zone's clock, the usual session opens; it is negative if the session
    opens on the evening before. `lasts` is its length. Without them, a session is the whole day. `extended` are the
    times of day at which pre-market trading begins and after-hours trading ends; None without any.

    `apart` are the sessions, oldest first, that aren't entirely on their own date. Whatever happens in such a session
    counts for that date.

    A session that ends by `holidays_end`, on the venue's clocks, is a holiday's: its trading belongs to the next
    business day. `belonging` maps the known holidays' dates to those days.
    """

    zone: str
    opens: timedelta = timedelta(0)
    lasts: timedelta = DAY
    extended: tuple[time, time] | None = None
    apart: tuple[Session, ...] = ()
    holidays_end: time | None = None
    belonging: tuple[tuple[date, date], ...] = ()

    @property
    def tzinfo(self) -> ZoneInfo:
        """Return the venue's time zone."""
        return _zone(self.zone)

    def date_of(self, at: datetime) -> date:
        """Return the date that a moment belongs to: its session's, or else the venue's calendar date."""
        if self.apart:
            index = bisect_right(self.apart, at, key=_OPENS) - 1
            if index >= 0 and self.apart[index].contains(at):
                return self.apart[index].date
        first, last = _hours_of_utc_date(self.zone)
        # In most trading hours, the zone's date is UTC's, which is quicker to compute.
        if at.tzinfo is UTC and first <= at.hour < last:
            return at.date()
        return at.astimezone(self.tzinfo).date()

    def trade_date(self, session: date) -> date:
        """Return the trade date of a session, given the session's own date. Daily limits apply per trade date."""
        return next((following for own, following in self.belonging if own == session), session)

    def trade_date_of(self, at: datetime) -> date:
        """Return the trade date of a moment. Daily limits apply per trade date."""
        return self.trade_date(self.date_of(at))

    def begins(self, day: date) -> datetime:
        """Return the start of a venue's date in UTC."""
        return self.at(day, time())

    def begins_s(self, day: date) -> int:
        """Return the start of a venue's date in seconds since 1970 UTC, which stamps its daily bar."""
        return int(self.begins(day).timestamp())

    def at(self, day: date, clock: time) -> datetime:
        """Return a venue's local time as UTC.

        When the clocks change, a time that is skipped in spring moves one hour later, and a time that occurs twice in
        fall means its first occurrence.
        """
        return datetime.combine(day, clock, self.tzinfo).astimezone(UTC)

    def local(self, at: datetime) -> datetime:
        """Return a moment as the venue's clocks show it."""
        return at.astimezone(self.tzinfo)

    def usual(self, day: date) -> Session:
        """Return the usual session of a date."""
        opens = datetime.combine(day, time()) + self.opens
        begins = opens.replace(tzinfo=self.tzinfo).astimezone(UTC)
        return Session(day, begins, begins + self.lasts)

    @property
    def crosses_midnight(self) -> bool:
        """Return True if a usual session isn't entirely on its own date."""
        return self.opens < timedelta(0) or self.opens + self.lasts > DAY

    @property
    def never_ends(self) -> bool:
        """Return True if each session closes when the next one opens."""
        return self.lasts >= DAY

    def knowing(self, sessions: Iterable[Session]) -> "VenueDay":
        """Return this day with `apart` and `belonging` set from these sessions, given oldest first.

        `apart` gets those that extend past their own date.
        """
        listed = tuple(sessions)
        apart, belonging = tuple([session for session in listed if not self._holds(session)]), self._belonging(listed)
        same = (apart, belonging) == (self.apart, self.belonging)
        return self if same else replace(self, apart=apart, belonging=belonging)

    def _belonging(self, sessions: Sequence[Session]) -> tuple[tuple[date, date], ...]:
        if self.holidays_end is None:
            return ()
        spans, following = list[tuple[date, date]](), None
        for session in reversed(sessions):
            if self.local(session.close).time() > self.holidays_end:
                following = session.date
            elif following:
                spans.append((session.date, following))
        return tuple(reversed(spans))

    def _holds(self, session: Session) -> bool:
        opens, closes, (first, last) = session.open, session.close, _hours_of_utc_date(self.zone)
        # Most sessions are in hours in which the zone's date is UTC's, which is quicker to check.
        if opens.date() == session.date == closes.date() and first <= opens.hour <= closes.hour < last:
            return True
        return self.begins(session.date) <= session.open and session.close <= self.begins(session.date + DAY)

    @property
    def zone_name(self) -> str:
        """Return the zone's name for people: its city, or UTC."""
        return PurePosixPath(self.zone).name.replace("_", " ")

    @property
    def label(self) -> str:
        """Return the zone's short name for people and for slots, the same all year round: its letters, or its city."""
        return _label(self.zone)


@lru_cache(maxsize=16)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=16)
def _hours_of_utc_date(zone: str) -> tuple[int, int]:
    """Return the first hour and the end hour of the part of a UTC day in which a zone's date equals UTC's all year."""
    offsets = (datetime(year, month, 1, tzinfo=_zone(zone)).utcoffset() for year in _YEARS for month in (1, 7))
    hours = [offset / timedelta(hours=1) for offset in offsets if offset is not None]
    return ceil(max(0, *(-each for each in hours))), 24 - ceil(max(0, *hours))


@lru_cache(maxsize=16)
def _label(zone: str) -> str:
    """Return the letters that a zone has in winter and in summer alike, or its city if it has none."""
    winter, summer = (f"{datetime(2026, month, 1, tzinfo=_zone(zone)):%Z}" for month in (1, 7))
    if winter == summer and winter.isalpha():
        return winter
    # Letters that differ only in S and D leave these out.
    return winter.replace("S", "") if summer == winter.replace("S", "D") != winter else VenueDay(zone).zone_name
