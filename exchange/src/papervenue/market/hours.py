"""List the sessions of each named calendar: New York, 24/7, and Globex.

Loading exchange_calendars takes half a second, so it is loaded only for sessions that need it.

CME Globex has separate sessions for each product group: equity indices, metals and currencies. A session begins at
17:00 Chicago time on the evening before its date, and ends at 16:00, or earlier around holidays. The holidays are those
of New York's calendar; the table here lists Globex's hours on them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache, partial
from operator import itemgetter
from types import MappingProxyType
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from papervenue.times import DAY, HOUR, NEW_YORK, at_new_york, at_zone, parse_time, to_datetime

CHICAGO = ZoneInfo("America/Chicago")

AROUND_THE_CLOCK = "24/7"

EQUITY, METALS, CURRENCY = "globex_equity", "globex_metals", "globex_currency"

_OPENS_HOUR, _CLOSES = 17, (16, 0)

_CLOSED = (0, 0)

_HOLIDAY, _GOOD_FRIDAY, _AFTER_THANKSGIVING, _EVE, _JULY = "holiday", "good friday", "friday", "eve", "july"

_ENDS: Mapping[str, Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        EQUITY: {
            _HOLIDAY: (12, 0),
            _GOOD_FRIDAY: (8, 15),
            _AFTER_THANKSGIVING: (12, 15),
            _EVE: (12, 15),
            _JULY: (12, 15),
        },
        METALS: {_HOLIDAY: (13, 30), _GOOD_FRIDAY: _CLOSED, _AFTER_THANKSGIVING: (12, 45), _EVE: (12, 45)},
        CURRENCY: {_GOOD_FRIDAY: (10, 15), _AFTER_THANKSGIVING: (12, 15), _EVE: (12, 15)},
    }
)

"""When a group's session ends on a special day, in Chicago."""

_UNUSUAL: Mapping[tuple[str, str], tuple[int, int]] = MappingProxyType(
    {
        (METALS, "2026-06-19"): (12, 0),
        (METALS, "2026-07-03"): (12, 0),
        (METALS, "2026-11-27"): (13, 45),
        (METALS, "2027-09-06"): (12, 0),
    }
)

"""Session ends that differ from the usual one on such a day."""

_HOLIDAY_ENDS = frozenset({(8, 15), (10, 15), (12, 0), (13, 30)})

"""When sessions of holidays end; no other shortened session ends then."""

_FULL_DAY_HOUR = 16

_FIRST_DAY, _KNOWN_UNTIL = "1970-01-01", "2030-12-31"

_MONDAY, _SATURDAY = 0, 5

Times = tuple[str, int, int]


class _Session(Protocol):
    @property
    def date(self) -> str: ...
    @property
    def close_us(self) -> int: ...


NewYork = Callable[[str, str], Sequence[Times]]


def sessions(group: str, new_york: NewYork, first: str, last: str) -> Sequence[Times]:
    """Return a group's sessions between two ISO dates, given those of New York."""
    days = _known_sessions(group, new_york, max(last, _KNOWN_UNTIL))
    return days[bisect_left(days, first, key=itemgetter(0)) : bisect_right(days, last, key=itemgetter(0))]


@lru_cache(maxsize=8)
def _known_sessions(group: str, new_york: NewYork, last: str) -> Sequence[Times]:
    """Return a group's sessions from 1970 on: each symbol of a market asks for them."""
    begin, end = date.fromisoformat(_FIRST_DAY), date.fromisoformat(last)
    closes = {day: to_datetime(close_us).astimezone(NEW_YORK).hour for day, _, close_us in new_york(_FIRST_DAY, last)}
    sessions = []
    for number in range((end - begin).days + 1):
        day = begin + timedelta(days=number)
        ends = _ends(group, day, closes.get(day.isoformat())) if day.weekday() < _SATURDAY else _CLOSED
        if ends != _CLOSED:
            opens_us = at_zone(CHICAGO, (day - timedelta(days=1)).isoformat(), _OPENS_HOUR)
            sessions.append((day.isoformat(), opens_us, at_zone(CHICAGO, day.isoformat(), *ends)))
    return sessions


def _ends(group: str, day: date, closes_hour: int | None) -> tuple[int, int]:
    """Return when a session ends, given when New York closes on that day, if it opens."""
    kind = _special(day) if closes_hour is None else _short(day) if closes_hour < _FULL_DAY_HOUR else ""
    if kind is None:
        return _CLOSED
    return _UNUSUAL.get((group, day.isoformat())) or _ENDS[group].get(kind, _CLOSES)


def _special(day: date) -> str | None:
    """Return the kind of holiday in New York, or None for Christmas and New Year, when nothing trades."""
    if day.month in (12, 1) and (day.month, day.day) not in _OTHER_JANUARY:
        return None
    if day.month in (3, 4):
        return _GOOD_FRIDAY
    return _HOLIDAY if day.weekday() == _MONDAY or day.month in (6, 7, 11) else ""


_OTHER_JANUARY = frozenset((1, day) for day in range(3, 32))

"""Days of January whose holiday isn't New Year."""


def _short(day: date) -> str:
    return {7: _JULY, 11: _AFTER_THANKSGIVING, 12: _EVE}.get(day.month, "")


def trade_date(session: _Session, following: _Session) -> str:
    """Return a session's trade date; a holiday's short session has the trade date of the next session."""
    ended = to_datetime(session.close_us).astimezone(CHICAGO)
    return following.date if (ended.hour, ended.minute) in _HOLIDAY_ENDS else session.date


def groups(new_york: NewYork) -> Mapping[str, Callable[[str, str], Sequence[Times]]]:
    """Return, for each group, a function that lists its sessions."""
    return {name: partial(sessions, name, new_york) for name in _ENDS}


FIRST_DAY, LAST_DAY = "1970-01-01", "2029-12-31"

"""The range of Alpaca's calendar, regardless of which days have prices."""

_ALWAYS_UNTIL = "2030-12-31"

_POST_MARKET = 4 * HOUR

_PRE_MARKET_HOUR = 4

_BREAK_BEGINS_HOUR = 16

_UTC = ZoneInfo("UTC")


class Hours(NamedTuple):
    """A named trading calendar. `between` lists its sessions between two ISO dates.

    `around` returns when trading before a session's open begins, and when trading after its close ends.
    """

    name: str
    zone: ZoneInfo
    between: Callable[[str, str], Sequence[Times]]
    around: Callable[[Times], tuple[int, int]]


def _new_york(first: str, last: str) -> Sequence[Times]:
    days = _library_sessions("XNYS", max(last, _ALWAYS_UNTIL))
    return days[bisect_left(days, first, key=itemgetter(0)) : bisect_right(days, last, key=itemgetter(0))]


def _pre_and_post_market(times: Times) -> tuple[int, int]:
    """Return four in the morning in New York, and eight in the evening or four hours after an early close."""
    day, _, close_us = times
    return at_new_york(day, _PRE_MARKET_HOUR), close_us + _POST_MARKET


def _around_the_clock(first: str, last: str) -> Sequence[Times]:
    days, begin_us = (date.fromisoformat(last) - date.fromisoformat(first)).days + 1, parse_time(first)
    starts = ((date.fromisoformat(first) + timedelta(days=n), begin_us + n * DAY) for n in range(days))
    return [(day.isoformat(), us, us + DAY) for day, us in starts]


def _globex(first: str, last: str) -> Sequence[Times]:
    """Return Globex's sessions with the break, which the library leaves out: they end at 16:00 in Chicago."""
    days = _library_sessions("CMES", max(last, _ALWAYS_UNTIL))
    rows = days[bisect_left(days, first, key=itemgetter(0)) : bisect_right(days, last, key=itemgetter(0))]
    breaks = (at_zone(CHICAGO, day, _BREAK_BEGINS_HOUR) for day, _, _ in rows)
    return [
        (day, open_us, min(close_us, break_us)) for (day, open_us, close_us), break_us in zip(rows, breaks, strict=True)
    ]


@lru_cache(maxsize=4)
def _library_sessions(name: str, last: str) -> tuple[Times, ...]:
    """Return a calendar's sessions from FIRST_DAY on: the library takes as long for two years as for all of them."""
    from exchange_calendars import get_calendar

    schedule = get_calendar(name, start=FIRST_DAY, end=last).schedule
    days = map(date.isoformat, schedule.index.date)
    opens, closes = (schedule[column].dt.as_unit("us").astype("int64").tolist() for column in ("open", "close"))
    return tuple(zip(days, opens, closes, strict=True))


XNYS = Hours("XNYS", NEW_YORK, _new_york, _pre_and_post_market)

HOURS: Mapping[str, Hours] = MappingProxyType(
    {
        hours.name: hours
        for hours in (
            XNYS,
            Hours(AROUND_THE_CLOCK, _UTC, _around_the_clock, itemgetter(1, 2)),
            Hours("CMES", CHICAGO, _globex, itemgetter(1, 2)),
            *(Hours(name, CHICAGO, between, itemgetter(1, 2)) for name, between in groups(_new_york).items()),
        )
    }
)

"""The named calendars: New York's sessions, days by UTC, and Globex's evenings to afternoons, also by product group."""
