"""Provide a market's sessions, built once from the exchange calendar and stored with the exchange's state.

Building them loads exchange_calendars, which takes half a second. A running or restarted server reads the stored list
instead, unless sessions beyond that list are requested.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from papervenue.market.hours import FIRST_DAY, HOURS, LAST_DAY, XNYS, Hours, Times
from papervenue.market.spec import MarketError
from papervenue.market.venue import Venue
from papervenue.times import HOUR, at_zone, parse_time, rfc3339, to_datetime

HISTORY_SESSIONS = 300
"""How many sessions before the market's first the calendar has: a year of daily rows, and a year against which the
newest of them are ranked.
"""
_FOLLOWING_SESSIONS = 10
_LONGEST_PAUSE = timedelta(days=10)
_AFTER_LAST_DAY = 12 * HOUR
_BEFORE_FIRST_OPEN = HOUR // 2


class Session(NamedTuple):
    """One regular session: its ISO date, its open and close in engine time, and its extended hours.

    `pre_us` is when trading before the open starts, and `post_us` when trading after the close ends. Without extended
    hours, they equal the open and the close.
    """

    date: str
    open_us: int
    close_us: int
    pre_us: int
    post_us: int


def session_of(times: Times, hours: Hours = XNYS) -> Session:
    """Return a session of a named calendar, given its times."""
    return Session(*times, *hours.around(times))


class Calendar:
    """The market's sessions and those before and after them; the calendar finds the session of a moment."""

    def __init__(self, sessions: Sequence[Session], first: int, count: int, hours: Hours = XNYS) -> None:
        self.hours = hours
        self.all = tuple(sessions)
        self.first = first
        self.market = self.all[first : first + count]
        self.played = self.all[: first + count]
        """The sessions up to the market's last."""
        self._opens = [session.open_us for session in self.all]
        self._closes = [session.close_us for session in self.all]
        self._market_opens = [session.open_us for session in self.market]
        self._pres = [session.pre_us for session in self.all]
        self._places = {session.date: index for index, session in enumerate(self.all)}
        self.index_of = {session.date: index for index, session in enumerate(self.market)}

    def position_of(self, day: str) -> int:
        return self._places[day]

    def session(self, index: int) -> Session:
        """Return a session by its index.

        A negative index counts back from the market's first session, even to sessions before the stored ones.
        """
        if self.first + index >= 0:
            return self.all[self.first + index]
        full = full_calendar(self)
        return full.all[full.first + index]

    @property
    def start_us(self) -> int:
        """Return when the exchange starts: half an hour before the market's first open.

        If the previous session is still open then, the exchange starts at that session's close.
        """
        opens_us = self.market[0].open_us
        closed_us = self.all[self.first - 1].close_us if self.first else 0
        return max(opens_us - _BEFORE_FIRST_OPEN, closed_us)

    @property
    def contiguous(self) -> bool:
        """Return True if each session begins at the moment when the previous one ends."""
        return self.all[0].close_us == self.all[1].open_us

    @property
    def last_close_us(self) -> int:
        return self.market[-1].close_us

    @property
    def horizon_us(self) -> int:
        """Return the latest engine time: twelve hours after the end of the last session's day."""
        next_day = date.fromisoformat(self.market[-1].date) + timedelta(days=1)
        return at_zone(self.hours.zone, next_day.isoformat(), 0) + _AFTER_LAST_DAY

    def local(self, us: int) -> datetime:
        """Return a moment in the calendar's time zone."""
        return to_datetime(us).astimezone(self.hours.zone)

    def today(self, us: int) -> Session | None:
        """Return the session that is open now or, if none is open, that of today's date; None if today has none."""
        day = self.trading(us).date if self.is_open(us) else self.local(us).date().isoformat()
        index = self.index_of.get(day)
        return None if index is None else self.market[index]

    def next_open(self, us: int) -> int:
        return self._opens[min(bisect_right(self._opens, us), len(self._opens) - 1)]

    def next_close(self, us: int) -> int:
        return self._closes[min(bisect_right(self._closes, us), len(self._closes) - 1)]

    def is_open(self, us: int) -> bool:
        index = bisect_right(self._closes, us)
        return index < len(self._opens) and self._opens[index] <= us

    def last_begun(self, us: int) -> int | None:
        """Return the market index of the last session that has opened, or None before the first."""
        index = bisect_right(self._market_opens, us) - 1
        return index if index >= 0 else None

    def published_index(self, day: str | None, us: int) -> int | None:
        """Return the market index of a date's session; None if it hasn't begun.

        Without a date, return the index of the last session that has begun.
        """
        begun = self.last_begun(us)
        if day is None or begun is None:
            return begun
        index = self.index_of.get(day)
        return index if index is not None and index <= begun else None

    def last_reached(self, us: int) -> int:
        """Return the market index of the last session whose pre-market has begun, or -1 before the first."""
        return max(min(bisect_right(self._pres, us) - 1 - self.first, len(self.market) - 1), -1)

    def is_extended(self, us: int) -> bool:
        index = bisect_right(self._pres, us) - 1
        if index < 0:
            return False
        session = self.all[index]
        return us < session.open_us or session.close_us <= us < session.post_us

    def trading(self, us: int) -> Session:
        """Return the current session or, between sessions, the next one."""
        return self.all[min(bisect_right(self._closes, us), len(self.all) - 1)]

    def before(self, us: int) -> Session:
        """Return the session before the current one or, between sessions, before the next one."""
        return self.all[max(min(bisect_right(self._closes, us), len(self.all) - 1) - 1, 0)]

    def to_rows(self) -> list[dict[str, str]]:
        """Return every session as {date, open, close}, the format of the file."""
        return [{"date": s.date, "open": rfc3339(s.open_us), "close": rfc3339(s.close_us)} for s in self.all]


def calendar_from_rows(rows: Iterable[dict[str, str]], first: int, count: int, name: str = XNYS.name) -> Calendar:
    times = ((row["date"], parse_time(row["open"]), parse_time(row["close"])) for row in rows)
    return Calendar([session_of(time, HOURS[name]) for time in times], first, count, HOURS[name])


def build_calendar(start: date, count: int, name: str = XNYS.name) -> Calendar:
    """Return `count` sessions of a named calendar from `start` on, and also earlier ones and a few later ones."""
    hours = HOURS[name]
    before = start - timedelta(days=HISTORY_SESSIONS * 3 // 2 + 30)
    after = start + timedelta(days=(count + _FOLLOWING_SESSIONS) * 3 // 2 + 30)
    times = hours.between(before.isoformat(), after.isoformat())
    first = sum(day < start.isoformat() for day, _, _ in times)
    if first < HISTORY_SESSIONS or len(times) < first + count + 1:
        raise MarketError(
            f"the calendar doesn't reach {count} sessions from {start}", "choose another --start or fewer --sessions"
        )
    period = times[first - HISTORY_SESSIONS : first + count + _FOLLOWING_SESSIONS]
    return Calendar([session_of(day, hours) for day in period], HISTORY_SESSIONS, count, hours)


def own_calendar(market: Calendar, name: str, closes: Mapping[str, str]) -> Calendar:
    """Return the sessions of a named calendar within a market's period; `closes` overrides the end on some dates.

    Raises MarketError if there are no sessions, or if a close isn't within its session or the pause after it.
    """
    first, last = market.market[0].date, market.market[-1].date
    usual = build_calendar(date.fromisoformat(first), len(market.market), name)
    count = sum(first <= session.date <= last for session in full_calendar(usual).all)
    if not count:
        raise MarketError(f"{name} has no session from {first} to {last}", "choose another start or more sessions")
    calendar = build_calendar(date.fromisoformat(first), count, name)
    sessions = [_end_early(session, closes.get(session.date)) for session in calendar.all]
    if any(session.open_us >= session.close_us for session in sessions) or any(
        session.close_us > following.open_us for session, following in pairwise(sessions)
    ):
        raise MarketError("a session must end after its open, and before the next one begins", "check the closes")
    return Calendar(sessions, calendar.first, count, calendar.hours)


def own_calendars(venue: Venue, market: Calendar) -> dict[str, Calendar]:
    """Return the calendars of the symbols with their own sessions; symbols with the same sessions share a calendar."""
    named, shared = {}, dict[tuple[object, ...], Calendar]()
    for instrument in venue.instruments:
        name = instrument.calendar or venue.calendar
        if instrument.closes or name != venue.calendar:
            kind = name, instrument.closes
            if kind not in shared:
                shared[kind] = own_calendar(market, name, dict(instrument.closes))
            named[instrument.symbol] = shared[kind]
    return named


def _end_early(session: Session, close: str | None) -> Session:
    if close is None:
        return session
    close_us = parse_time(close)
    return session._replace(close_us=close_us, post_us=session.post_us + close_us - session.close_us)


@lru_cache(maxsize=4)
def full_calendar(calendar: Calendar) -> Calendar:
    """Extend a calendar to all sessions in Alpaca's calendar, plus one more for settlement."""
    own, hours = calendar.all, calendar.hours
    last = max(LAST_DAY, own[-1].date)
    days = hours.between(FIRST_DAY, (date.fromisoformat(last) + _LONGEST_PAUSE).isoformat())
    before = [session_of(times, hours) for times in days if times[0] < own[0].date]
    after = [session_of(times, hours) for times in days if times[0] > own[-1].date]
    settling = sum(session.date <= last for session in after)
    sessions = (*before, *own, *after[: settling + 1])
    return Calendar(sessions, len(before) + calendar.first, len(calendar.market), hours)


@lru_cache(maxsize=1)
def every_session() -> frozenset[str]:
    """Return the ISO dates of all NYSE sessions that a market can have."""
    return frozenset(day for day, _, _ in XNYS.between(FIRST_DAY, LAST_DAY))
