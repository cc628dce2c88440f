"""Convert engine time, a whole number of microseconds since 1970 UTC, to and from text.

Whole numbers compare, hash and sort the same on every machine, and bars and rows can be found by bisection.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TO_MICROSECONDS = len("2025-03-03T14:30:00.000000")


def from_datetime(moment: datetime) -> int:
    """Convert an aware datetime to engine time."""
    return (moment - _EPOCH) // _MICROSECOND


def to_datetime(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


@lru_cache(maxsize=1024)
def rfc3339(us: int) -> str:
    """Return engine time as text such as 2025-03-03T14:30:00Z, with a fraction only when there is one."""
    return to_datetime(us).isoformat().replace("+00:00", "Z")


def nanoseconds(moment: datetime) -> str:
    """Format a moment with exactly nine digits of a second: 2025-03-03T14:30:00.000000000Z.

    Alpaca's own timestamps, such as those of orders, are in nanoseconds, and some clients read them by fixed columns.
    Engine time itself has only microseconds.
    """
    text = moment.isoformat(timespec="microseconds")
    return f"{text[:_TO_MICROSECONDS]}000{text[_TO_MICROSECONDS:]}".replace("+00:00", "Z")


@lru_cache(maxsize=1024)
def stamp(us: int) -> str:
    """Format engine time as an order's timestamp: UTC, with nine digits of a second."""
    return nanoseconds(to_datetime(us))


def stamp_ns(ns: int) -> str:
    """Format nanoseconds of engine time as a timestamp with full precision."""
    return f"{stamp(ns // 1000)[:-4]}{ns % 1000:03}Z"


def new_york(us: int) -> datetime:
    return to_datetime(us).astimezone(NEW_YORK)


@lru_cache(maxsize=64)
def new_york_date(us: int) -> str:
    """Return the ISO date in New York at an engine time."""
    return new_york(us).date().isoformat()


@lru_cache(maxsize=32_768)
def at_new_york(day: str, hour: int, minute: int = 0) -> int:
    """Return the engine time at which clocks in New York show this time on an ISO date."""
    return at_zone(NEW_YORK, day, hour, minute)


def at_zone(zone: ZoneInfo, day: str, hour: int, minute: int = 0) -> int:
    """Return the engine time at which clocks in a time zone show this time on an ISO date."""
    return from_datetime(datetime.combine(date.fromisoformat(day), time(hour, minute), tzinfo=zone))


def iso_date(text: str) -> str:
    """Parse a date such as 2025-03-03; raise ValueError for any other text."""
    return date.fromisoformat(text).isoformat()


def parse_time(text: str, naive: ZoneInfo | None = None) -> int:
    """Read an ISO time or date as engine time; without a time zone, it is in `naive` or, if that is None, in UTC.

    Raise ValueError for any other text.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=naive or UTC)
    return from_datetime(moment)
