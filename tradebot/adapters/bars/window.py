"""Say which bars had ended at a moment, and which of them can't change any more. No input or output."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from math import ceil
from typing import NamedTuple

from tradebot.adapters.bars.store import DAYS, MINUTES
from tradebot.model.bar import Session
from tradebot.model.series import width_of
from tradebot.model.venue_day import VenueDay
from tradebot.model.view import BarNeed
from tradebot.timetable.sessions import BEGINS_AHEAD

MINUTE_S = 60
LATE_S = 900
"""A minute that is missing is asked for again until it is this old: trades may be reported late."""
DAY_GROWS = timedelta(hours=4, minutes=15)
"""How long after a session's close its daily bar still gains volume from trading after hours."""
REACHES = (1, 2, 4)
"""How much farther back to look for the bars of symbols that don't trade all the time."""
_MARGIN = timedelta(days=10)
_DAYS_A_SESSION = 1.5
Sessions = Callable[[date, date], Sequence[Session]]
"""Returns the exchange's sessions between two dates, inclusive, oldest first."""


class Window(NamedTuple):
    """The bars of a stored timeframe that start from `first_s` on and before `end_s`: all of them had ended.

    Those that start before `final_s` don't change any more. `last` is when the newest one ended, and `until` is the
    moment that all this is said of. `hours` are the regular sessions of minutes. Times are seconds since 1970 UTC.
    """

    timeframe: str
    first_s: int
    end_s: int
    final_s: int
    last: datetime
    until: datetime
    hours: Sequence[Session] = ()

    def minutes_after(self, start_s: int) -> int:
        """Return how many minutes of the newest session start from `start_s` on and before the end."""
        return (self.end_s - max(start_s, _seconds(self.hours[-1].open))) // MINUTE_S


def window_of(need: BarNeed, known: datetime, reach: int, sessions: Sessions, venue: VenueDay) -> Window | None:
    """Return the window that has `reach` times as many bars as are needed, if there is a trade in each.

    None if no session of minutes has begun.
    """
    depth, width, today = need.depth * reach, width_of(need.timeframe), venue.date_of(known)
    if width is None:
        return days_from(today - depth * timedelta(_DAYS_A_SESSION) - _MARGIN, known, sessions, venue)
    count = ceil(depth / ceil(venue.lasts / width))
    last = today + BEGINS_AHEAD if venue.crosses_midnight else today
    hours = sessions(today - count * timedelta(_DAYS_A_SESSION) - _MARGIN, last)
    begun = [session for session in hours if session.open < known]
    # The newest session may only have begun, so that one more is needed.
    return minute_window(begun[-count - 1 :], known)


def days_from(first: date, known: datetime, sessions: Sessions, venue: VenueDay) -> Window:
    today = sessions(venue.date_of(known), venue.date_of(known))
    return day_window(first, known, today[-1] if today else None, venue)


def day_window(first: date, until: datetime, session: Session | None, venue: VenueDay) -> Window:
    """Return the window of daily bars from a date on; `session` is that of the day of `until`, if it has one."""
    today, first_s = venue.date_of(until), venue.begins_s(first)
    today_s, yesterday_s = venue.begins_s(today), venue.begins_s(today - timedelta(days=1))
    if session is None or session.close > until:
        # Around the clock, the last trades of a day may be reported after it.
        late = venue.never_ends and until < moment(today_s + LATE_S)
        return Window(DAYS, first_s, today_s, yesterday_s if late else today_s, moment(yesterday_s), until)
    end_s, grows = venue.begins_s(today + timedelta(days=1)), until < session.close + DAY_GROWS
    return Window(DAYS, first_s, end_s, today_s if grows else end_s, session.close, until)


def minute_window(hours: Sequence[Session], until: datetime) -> Window | None:
    """Return the window of minutes in these sessions, oldest first; None if none of them had a minute by `until`."""
    known_s = _seconds(until) // MINUTE_S * MINUTE_S
    begun = [session for session in hours if _seconds(session.open) < known_s]
    if not begun:
        return None
    first, last = begun[0], begun[-1]
    end_s = min(known_s, _seconds(last.close))
    final_s = end_s if known_s >= end_s + LATE_S else max(known_s - LATE_S, _seconds(last.open))
    return Window(MINUTES, _seconds(first.open), end_s, final_s, moment(end_s), until, begun)


def uncovered(asked: Sequence[tuple[int, int]], first_s: int, end_s: int) -> tuple[int, int] | None:
    """Return the shortest span that contains all that isn't covered: first and, exclusive, end; None if all is.

    `asked` are spans with inclusive ends, oldest first, that neither overlap nor touch.
    """
    for start, last in asked:
        if start <= first_s <= last:
            first_s = last + 1
            break
    for start, last in asked:
        if start < end_s <= last + 1:
            end_s = start
            break
    return (first_s, end_s) if first_s < end_s else None


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def moment(second: int) -> datetime:
    """Return a second since 1970 as a time in UTC."""
    return datetime.fromtimestamp(second, UTC)
