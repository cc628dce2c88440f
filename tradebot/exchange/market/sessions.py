"""Provide a market's sessions, built once from the exchange calendar and kept with the exchange's state.

Building loads exchange_calendars (half a second). A running or restarted server reads the kept list instead, unless
someone asks for sessions beyond it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from tradebot.exchange.market.spec import MarketError
from tradebot.exchange.times import HOUR, at_new_york, parse_time, rfc3339

HISTORY_SESSIONS = 300
"""Sessions before the market's first: a year of daily rows, and another year to rank them against."""
FIRST_DAY, LAST_DAY = "1970-01-01", "2029-12-31"
"""The range of Alpaca's calendar, regardless of which days have prices."""
_ALWAYS_UNTIL = "2030-12-31"
_DATE = attrgetter("date")
_FOLLOWING_SESSIONS = 10
_LONGEST_PAUSE = timedelta(days=10)
_AFTER_LAST_DAY = 12 * HOUR
_BEFORE_FIRST_OPEN = HOUR // 2
_POST_MARKET = 4 * HOUR
_PRE_MARKET_HOUR = 4


class Session(NamedTuple):
    """One regular session: its ISO date in New York, and its open and close in engine time."""

    date: str
    open_us: int
    close_us: int

    @property
    def pre_us(self) -> int:
        """Return when pre-market trading begins: four in the morning, New York."""
        return at_new_york(self.date, _PRE_MARKET_HOUR)

    @property
    def post_us(self) -> int:
        """Return when after-hours trading ends: eight in the evening, or four hours after an early close."""
        return self.close_us + _POST_MARKET


class Calendar:
    """The market's sessions with those before and after them; finds the session for a moment."""

    def __init__(self, sessions: Sequence[Session], first: int, count: int) -> None:
        self.all = tuple(sessions)
        self.first = first
        self.market = self.all[first : first + count]
        self.played = self.all[: first + count]
        """The sessions up to the market's last."""
        self._opens = [session.open_us for session in self.all]
        self._closes = [session.close_us for session in self.all]
        self._market_opens = [session.open_us for session in self.market]
        self._pres = [session.pre_us for session in self.all]
        self._places = {session.date: place for place, session in enumerate(self.all)}
        self.index_of = {session.date: index for index, session in enumerate(self.market)}

    def place(self, day: str) -> int:
        return self._places[day]

    def session(self, index: int) -> Session:
        """Return a session by its index; a negative one counts back from the market's first, beyond those kept too."""
        if self.first + index >= 0:
            return self.all[self.first + index]
        full = full_calendar(self)
        return full.all[full.first + index]

    @property
    def start_us(self) -> int:
        """Return when an exchange begins: half an hour before the market's first open."""
        return self.market[0].open_us - _BEFORE_FIRST_OPEN

    @property
    def last_close_us(self) -> int:
        return self.market[-1].close_us

    @property
    def horizon_us(self) -> int:
        """Return the latest engine time: twelve hours after the end of the last session's day in New York."""
        next_day = date.fromisoformat(self.market[-1].date) + timedelta(days=1)
        return at_new_york(next_day.isoformat(), 0) + _AFTER_LAST_DAY

    def next_open(self, us: int) -> int:
        return self._opens[min(bisect_right(self._opens, us), len(self._opens) - 1)]

    def next_close(self, us: int) -> int:
        return self._closes[min(bisect_right(self._closes, us), len(self._closes) - 1)]

    def is_open(self, us: int) -> bool:
        place = bisect_right(self._closes, us)
        return place < len(self._opens) and self._opens[place] <= us

    def begun(self, us: int) -> int | None:
        """Return the market index of the last session that has opened, or None before the first."""
        index = bisect_right(self._market_opens, us) - 1
        return index if index >= 0 else None

    def shown(self, day: str | None, us: int) -> int | None:
        """Return the market index of a date's session, by default the last begun; None if it hasn't begun."""
        begun = self.begun(us)
        if day is None or begun is None:
            return begun
        index = self.index_of.get(day)
        return index if index is not None and index <= begun else None

    def reached(self, us: int) -> int:
        """Return the market index of the last session whose pre-market has begun, or -1 before the first."""
        return max(min(bisect_right(self._pres, us) - 1 - self.first, len(self.market) - 1), -1)

    def is_extended(self, us: int) -> bool:
        place = bisect_right(self._pres, us) - 1
        if place < 0:
            return False
        session = self.all[place]
        return us < session.open_us or session.close_us <= us < session.post_us

    def trading(self, us: int) -> Session:
        """Return the current session, or else the next one."""
        return self.all[min(bisect_right(self._closes, us), len(self.all) - 1)]

    def before(self, us: int) -> Session:
        """Return the session before the current or next one."""
        return self.all[max(min(bisect_right(self._closes, us), len(self.all) - 1) - 1, 0)]

    def to_rows(self) -> list[dict[str, str]]:
        """Return every session as {date, open, close}, as kept on disk."""
        return [{"date": s.date, "open": rfc3339(s.open_us), "close": rfc3339(s.close_us)} for s in self.all]


def calendar_from_rows(rows: Sequence[dict[str, str]], first: int, count: int) -> Calendar:
    sessions = [Session(r["date"], parse_time(r["open"]), parse_time(r["close"])) for r in rows]
    return Calendar(sessions, first, count)


def build_calendar(start: date, count: int) -> Calendar:
    """Return `count` NYSE sessions from `start` on, with history before them and a few after."""
    before = start - timedelta(days=HISTORY_SESSIONS * 3 // 2 + 30)
    after = start + timedelta(days=(count + _FOLLOWING_SESSIONS) * 3 // 2 + 30)
    sessions = _nyse(before.isoformat(), after.isoformat())
    first = sum(session.date < start.isoformat() for session in sessions)
    if first < HISTORY_SESSIONS or len(sessions) < first + count + 1:
        raise MarketError(
            f"the calendar doesn't reach {count} sessions from {start}", "choose another --start or fewer --sessions"
        )
    sessions_kept = sessions[first - HISTORY_SESSIONS : first + count + _FOLLOWING_SESSIONS]
    return Calendar(sessions_kept, HISTORY_SESSIONS, count)


@lru_cache(maxsize=4)
def full_calendar(calendar: Calendar) -> Calendar:
    """Extend a calendar with the surrounding NYSE sessions: all that Alpaca has, and one more for settlement."""
    own = calendar.all
    last = max(LAST_DAY, own[-1].date)
    known = _nyse(FIRST_DAY, (date.fromisoformat(last) + _LONGEST_PAUSE).isoformat())
    before = [session for session in known if session.date < own[0].date]
    after = [session for session in known if session.date > own[-1].date]
    settling = sum(session.date <= last for session in after)
    return Calendar((*before, *own, *after[: settling + 1]), len(before) + calendar.first, len(calendar.market))


@lru_cache(maxsize=1)
def every_session() -> frozenset[str]:
    """Return the ISO dates of all NYSE sessions that a market can have."""
    return frozenset(session.date for session in _nyse(FIRST_DAY, LAST_DAY))


def _nyse(first: str, last: str) -> tuple[Session, ...]:
    known = _nyse_until(max(last, _ALWAYS_UNTIL))
    return known[bisect_left(known, first, key=_DATE) : bisect_right(known, last, key=_DATE)]


@lru_cache(maxsize=2)
def _nyse_until(last: str) -> tuple[Session, ...]:
    """Return the NYSE sessions from FIRST_DAY on: the library takes as long for two years as for all of them."""
    from exchange_calendars import get_calendar

    schedule = get_calendar("XNYS", start=FIRST_DAY, end=last).schedule
    days = map(date.isoformat, schedule.index.date)
    opens, closes = (schedule[name].dt.as_unit("us").astype("int64").tolist() for name in ("open", "close"))
    return tuple(Session(*row) for row in zip(days, opens, closes, strict=True))
