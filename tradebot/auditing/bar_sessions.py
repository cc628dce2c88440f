"""Lay bars over the venue's sessions: the hours of each, its bars, and its minutes without one."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import NamedTuple

from msgspec import Struct

from tradebot.auditing.bar_findings import RawBar, Stored
from tradebot.model.bar import Session
from tradebot.model.venue_day import VenueDay

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
LIQUID_SHARE = 0.95
"""A symbol is liquid if its median session has a bar in this share of its minutes."""


class Hours(NamedTuple):
    """A session in seconds since 1970 UTC: midnight of its date, the extended hours, and the regular ones."""

    midnight_s: int
    early_s: int
    open_s: int
    close_s: int
    late_s: int

    @property
    def minutes(self) -> int:
        return (self.close_s - self.open_s) // MINUTE_S


def hours_of(sessions: Iterable[Session], venue: VenueDay) -> tuple[Hours, ...]:
    return tuple(_hours(session, venue) for session in sessions)


def _hours(session: Session, venue: VenueDay) -> Hours:
    """Return the hours of a session; without extended trading, they begin and end with it."""
    early, late = session.open, session.close
    if venue.extended:
        early, late = (venue.at(session.date, clock) for clock in venue.extended)
    moments = venue.begins(session.date), early, session.open, session.close, late
    return Hours(*(int(moment.timestamp()) for moment in moments))


class Day(Struct, frozen=True):
    """The bars of one session, extended hours included, and how many there are.

    `missing` are the starts of the regular minutes without a bar.
    """

    hours: Hours
    bars: Sequence[RawBar]
    count: int
    missing: tuple[int, ...]

    @property
    def share(self) -> float:
        return 1 - len(self.missing) / self.hours.minutes


def days(stored: Stored, hours: Sequence[Hours]) -> tuple[Day, ...]:
    """Return each session from the first to the last minute bar, those without a bar too.

    Only minutes between the first and the last bar can be missing.
    """
    starts = [bar.start_s for bar in stored.bars]
    if not starts:
        return ()
    known = set(starts)
    inside = (each for each in hours if each.late_s > starts[0] and each.early_s <= starts[-1])
    return tuple(_day(stored.bars, starts, known, each) for each in inside)


def _day(bars: Sequence[RawBar], starts: Sequence[int], known: set[int], hours: Hours) -> Day:
    first = max(hours.open_s, starts[0] - starts[0] % MINUTE_S)
    minutes = range(first, min(hours.close_s, starts[-1] + 1), MINUTE_S)
    found = bars[bisect_left(starts, hours.early_s) : bisect_left(starts, hours.late_s)]
    return Day(hours, found, len(found), tuple(minute for minute in minutes if minute not in known))


def filled(every: Sequence[Day]) -> float:
    return median(day.share for day in every if day.count) if any(day.count for day in every) else 0.0


def near(starts: Sequence[int], hours: Sequence[Hours]) -> Sequence[Hours]:
    first = bisect_left(hours, starts[0] - DAY_S, key=lambda each: each.midnight_s)
    return hours[first : bisect_left(hours, starts[-1] + 1, key=lambda each: min(each.midnight_s, each.early_s))]


def outside_of(bars: Sequence[RawBar], hours: Sequence[Hours]) -> Iterator[RawBar]:
    starts, place = [bar.start_s for bar in bars], 0
    for each in near(starts, hours) if starts else ():
        first = bisect_left(starts, each.early_s, place)
        yield from bars[place:first]
        place = bisect_left(starts, each.late_s, first)
    yield from bars[place:]
