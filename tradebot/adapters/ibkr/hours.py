"""Read when the venue says a contract trades, and compare that with its calendar."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tradebot.model.bar import Session

CLOSED = "CLOSED"
_SPAN = re.compile(r"(?P<begins>\d{4})-(?:(?P<day>\d{8}):)?(?P<ends>\d{4})")
_ZONES: Mapping[str, str] = MappingProxyType({"CST": "America/Chicago", "EST": "America/New_York", "GMT": "Etc/UTC"})
"""Zones by the letters that older servers send in place of their names."""


class Span(NamedTuple):
    """A time in which the venue trades a contract, in UTC."""

    opens: datetime
    closes: datetime

    def __str__(self) -> str:
        return f"{self.opens:%Y-%m-%dT%H:%MZ} to {self.closes:%Y-%m-%dT%H:%MZ}"


def spans_of(text: str, zone: str) -> Sequence[Span]:
    """Return the hours in a contract's details, oldest first; raise ValueError if any of them can't be read.

    Days are parted by `;`, as 20261126:1700-20261127:1215 or 20261128:CLOSED. Older servers write
    20261126:0830-1500,1530-1600, where an end before its begin is on the next day.
    """
    where, found = _zone(zone), list[Span]()
    for row in filter(None, text.split(";")):
        day, _, spans = row.partition(":")
        begins_on = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).date()
        if spans == CLOSED:
            continue
        # Only the first span of a day goes without its date.
        found += [_span(one.removeprefix(f"{day}:"), begins_on, where) for one in spans.split(",")]
    if not found:
        raise ValueError("no hours")
    return sorted(found)


def _zone(name: str) -> ZoneInfo:
    first = name.split(maxsplit=1)[0] if name.strip() else ""
    try:
        return ZoneInfo(_ZONES.get(first, first))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"unknown time zone {first[:30]!r}") from error


def _span(text: str, day: date, zone: ZoneInfo) -> Span:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} are no hours")
    opens = _at(day, found["begins"], zone)
    ends_on = datetime.strptime(found["day"], "%Y%m%d").replace(tzinfo=UTC).date() if found["day"] else day
    closes = _at(ends_on, found["ends"], zone)
    if closes <= opens and not found["day"]:
        closes = _at(day + timedelta(days=1), found["ends"], zone)
    if closes <= opens:
        raise ValueError(f"{text[:40]!r} end before they begin")
    return Span(opens, closes)


def _at(day: date, clock: str, zone: ZoneInfo) -> datetime:
    at = datetime.strptime(clock, "%H%M").replace(tzinfo=UTC).time()
    return datetime.combine(day, at, zone).astimezone(UTC)


def hours_differ(text: str, zone: str, sessions: Sequence[Session], now: datetime, last: date) -> str:
    """Return how the venue's hours differ from a calendar's session of this moment, or else the next one.

    Empty if they don't, and for the session in which the contract ends: that may be before the calendar's close.
    """
    session = next((one for one in sessions if one.close > now), None)
    if session is None:
        return "the calendar lists no session"
    if session.date >= last:
        return ""
    try:
        span = next((one for one in spans_of(text, zone) if one.closes > now), None)
    except ValueError as error:
        return f"trading hours can't be read: {error}"
    ours = Span(session.open, session.close)
    return "" if span == ours else f"trades {span or 'at no known time'}, not {ours}"
