"""List the sessions of each named calendar: New York's, around the clock, and Globex's.

Loading exchange_calendars takes half a second, so only who asks for sessions that it knows waits for it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from operator import itemgetter
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo

from papervenue.market.globex import CHICAGO, groups
from papervenue.times import DAY, HOUR, NEW_YORK, at_new_york, at_zone, parse_time

FIRST_DAY, LAST_DAY = "1970-01-01", "2029-12-31"
"""The range of Alpaca's calendar, regardless of which days have prices."""
_ALWAYS_UNTIL = "2030-12-31"
_POST_MARKET = 4 * HOUR
_PRE_MARKET_HOUR = 4
_BREAK_BEGINS_HOUR = 16
_UTC = ZoneInfo("UTC")

Times = tuple[str, int, int]
"""A session's ISO date, and its open and close in engine time."""


class Hours(NamedTuple):
    """A named calendar: the zone of its days, its sessions between two ISO dates, and the trading around a session.

    `around` returns when trading begins before a session's open and ends after its close.
    """

    name: str
    zone: ZoneInfo
    between: Callable[[str, str], Sequence[Times]]
    around: Callable[[Times], tuple[int, int]]


def _new_york(first: str, last: str) -> Sequence[Times]:
    known = _known("XNYS", max(last, _ALWAYS_UNTIL))
    return known[bisect_left(known, first, key=itemgetter(0)) : bisect_right(known, last, key=itemgetter(0))]


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
    known = _known("CMES", max(last, _ALWAYS_UNTIL))
    rows = known[bisect_left(known, first, key=itemgetter(0)) : bisect_right(known, last, key=itemgetter(0))]
    breaks = (at_zone(CHICAGO, day, _BREAK_BEGINS_HOUR) for day, _, _ in rows)
    return [
        (day, open_us, min(close_us, break_us)) for (day, open_us, close_us), break_us in zip(rows, breaks, strict=True)
    ]


@lru_cache(maxsize=4)
def _known(name: str, last: str) -> tuple[Times, ...]:
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
            Hours("24/7", _UTC, _around_the_clock, itemgetter(1, 2)),
            Hours("CMES", CHICAGO, _globex, itemgetter(1, 2)),
            *(Hours(name, CHICAGO, between, itemgetter(1, 2)) for name, between in groups(_new_york).items()),
        )
    }
)
"""The named calendars: New York's sessions, days by UTC, and Globex's evenings to afternoons, also by product group."""
