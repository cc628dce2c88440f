"""Read when the venue says that a contract trades, and when most of that is."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tradebot.model.bar import Session
from tradebot.model.hours import Hours

CLOSED = "CLOSED"
_SPAN = re.compile(r"(?P<begins>\d{4})-(?:(?P<day>\d{8}):)?(?P<ends>\d{4})")
_ZONES: Mapping[str, str] = MappingProxyType({"CST": "America/Chicago", "EST": "America/New_York", "GMT": "Etc/UTC"})
"""Zones by the letters that older servers send in place of their names."""


class Span(NamedTuple):
    """A time in which the venue trades a contract, in UTC."""

    opens: datetime
    closes: datetime


def hours_of(trading: str, liquid: str, zone: str, now: datetime) -> Hours:
    """Return the hours in a contract's details, which tell of the days from now on; raise ValueError if unreadable.

    A session belongs to the date on which it closes. What is told ends with the last session, or with the last day
    that is closed.
    """
    where = _zone(zone)
    spans = spans_of(trading, zone)
    if not spans:
        raise ValueError("no hours")
    told_until = (day + timedelta(days=1) for day, words in _days(trading) if words == CLOSED)
    until = max((spans[-1].closes, *(_at(day, "0000", where) for day in told_until)))
    found = (tuple(Session(_date(one, where), *one) for one in part) for part in (spans, spans_of(liquid, zone)))
    return Hours(min(now, spans[0].opens), until, *found)


def _date(span: Span, zone: ZoneInfo) -> date:
    return (span.closes - timedelta(microseconds=1)).astimezone(zone).date()


def spans_of(text: str, zone: str) -> Sequence[Span]:
    """Return the spans in a text of a contract's details, oldest first; raise ValueError if it can't be read.

    Days are parted by `;`, as 20261126:1700-20261127:1215 or 20261128:CLOSED. Older servers write
    20261126:0830-1500,1530-1600, where an end before its begin is on the next day.
    """
    where, found, days = _zone(zone), list[Span](), tuple(_days(text))
    for begins_on, spans in days:
        if spans != CLOSED:
            # Only the first span of a day goes without its date.
            found += [_span(one.removeprefix(f"{begins_on:%Y%m%d}:"), begins_on, where) for one in spans.split(",")]
    if not days:
        raise ValueError("no hours")
    return sorted(found)


def _days(text: str) -> Iterator[tuple[date, str]]:
    for row in filter(None, text.split(";")):
        day, _, spans = row.partition(":")
        yield datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).date(), spans


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
