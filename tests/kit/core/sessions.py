"""Calendars that are drawn: sessions that begin the evening before, never end, leave days out, or close early."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from hypothesis import strategies as st

from tradebot.model.bar import Session
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay
from tradebot.timetable.sessions import BEGINS_AHEAD

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ZONES = (
    "America/New_York",
    "America/Chicago",
    "UTC",
    "Asia/Tokyo",
    "Europe/Berlin",
    "Australia/Sydney",
    "Pacific/Honolulu",
)
HOURS: Mapping[str, tuple[timedelta, timedelta]] = {
    "within the day": (timedelta(hours=9, minutes=30), timedelta(hours=6, minutes=30)),
    "from the evening before": (timedelta(hours=-7), timedelta(hours=23)),
    "around the clock": (timedelta(0), DAY),
}
"""When sessions open after midnight, and how long they last."""
SATURDAY = 5
LONGEST = 2
"""The most days in a row that are left out, besides weekends."""


class Drawn(NamedTuple):
    """A venue's day and its sessions, oldest first."""

    venue: VenueDay
    sessions: tuple[Session, ...]

    @property
    def moments(self) -> st.SearchStrategy[datetime]:
        """Draw a moment of the calendar's time: any one, or the very edge of a session."""
        first, last = self.sessions[0].open - DAY, self.sessions[-1].close
        spread = st.integers(0, int((last - first).total_seconds())).map(lambda s: first + timedelta(seconds=s))
        edges = [edge for one in self.sessions for edge in (one.open, one.close)]
        tick = timedelta(microseconds=1)
        return spread | st.builds(lambda edge, by: edge + by * tick, st.sampled_from(edges), st.integers(-1, 1))


@st.composite
def calendars(draw: st.DrawFn, length: int = 40) -> Drawn:
    """Draw the calendar of a venue over some weeks, often with a night in which its clocks change."""
    opens, lasts = HOURS[draw(st.sampled_from(sorted(HOURS)))]
    venue = VenueDay(draw(st.sampled_from(ZONES)), opens, lasts)
    first = draw(st.sampled_from([date(2026, 10, 12), date(2027, 2, 22), date(2027, 3, 15), date(2026, 6, 1)]))
    days = [first + count * DAY for count in range(length)]
    trading = days if venue.never_ends else [day for day in days if day.weekday() < SATURDAY]
    left_out = draw(st.sets(st.sampled_from(trading[1:-1]), max_size=4))
    left_out -= {day for day in left_out if {day - count * DAY for count in range(1, LONGEST + 1)} <= left_out}
    joined = draw(st.booleans()) and not venue.never_ends
    sessions = tuple(_sessions(venue, trading, left_out, joined=joined))
    short = draw(st.dictionaries(st.sampled_from(range(len(sessions))), st.integers(1, 5), max_size=4))
    return Drawn(venue, tuple(_shortened(one, short.get(place, 0)) for place, one in enumerate(sessions)))


def _sessions(venue: VenueDay, trading: Sequence[date], left_out: set[date], *, joined: bool) -> list[Session]:
    """Return the sessions of these days; if `joined`, what is traded on a day without one belongs to the next one."""
    found, opened = list[Session](), None
    for day in trading:
        usual = _whole_day(venue, day) if venue.never_ends else venue.usual(day)
        if day in left_out:
            opened = opened or usual.open
            continue
        reaches = opened is not None and day - opened.date() <= BEGINS_AHEAD
        found.append(replace(usual, open=opened) if joined and opened and reaches else usual)
        opened = None
    return found


def _whole_day(venue: VenueDay, day: date) -> Session:
    """Return a session that closes when that of the next day opens, also if the clocks change in between."""
    return Session(day, venue.begins(day), venue.begins(day + DAY))


def _shortened(session: Session, hours: int) -> Session:
    return replace(session, close=session.close - hours * HOUR)


def globex(first: date, last: date) -> Sequence[Session]:
    """Return sessions from 18:00 in New York on the evening before to 17:00, without weekends and Thanksgiving.

    What is traded on Thanksgiving belongs to the day after, which closes early.
    """
    venue = VenueDay("America/New_York", timedelta(hours=-6), timedelta(hours=23))
    holiday, after = date(2026, 11, 26), date(2026, 11, 27)
    days = [first + count * DAY for count in range((last - first).days + 1)]
    sessions = [venue.usual(day) for day in days if day.weekday() < SATURDAY and day != holiday]
    eve = venue.usual(holiday).open
    return [
        replace(one, open=eve, close=venue.at(after, time(13, 15))) if one.date == after else one for one in sessions
    ]
