"""Times for people: the venue's, or UTC with --utc. Documents are always in UTC.

`halt` imports this file, so it has only fast imports.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import TYPE_CHECKING

from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from tradebot.model.venue_day import VenueDay

SECOND, MINUTE, CLOCK = "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%H:%M:%S"
DAY_SECOND, DAY_MINUTE = "%m-%d %H:%M:%S", "%m-%d %H:%M"
WRITTEN = r"\b(\d{4}-\d\d-\d\d)([ T])(\d\d:\d\d)(:\d\d)?(?: UTC\b|Z\b)"
"""A date and time in UTC, as it is written in sentences of records and checks."""


YEARS = range(1970, 2200)
"""The years accepted in a time that a person types. Queries also read some days around it, so it has to stay clear of
the first and the last date that Python supports.
"""
CLOCK_IN_SLOT = r"\b((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)Z\b"
"""A time of day in UTC, as in the name of a slot outside the timetable."""


class _Reader:
    """The time zone and the day by which this command line shows times."""

    in_utc = False
    day: "VenueDay | None" = None
    """The day of the opened bot's venue; None until a bot is opened, which `halt` doesn't do."""


def show_utc(in_utc: bool) -> None:
    """From now on, show times in UTC or, if False, in the venue's time."""
    _Reader.in_utc = in_utc


def shows_utc() -> bool:
    """Return True if the user asked for times in UTC."""
    return _Reader.in_utc


def show_venue(day: "VenueDay") -> None:
    """Show times by a venue's clock from now on, unless they are shown in UTC."""
    _Reader.day = day


_own_day: ContextVar["VenueDay | None"] = ContextVar("_own_day", default=None)
"""The day of the bot that this thread reads, where a process shows several bots."""


@contextmanager
def local_venue_time(day: "VenueDay") -> Iterator[None]:
    """Show times by a venue's clock inside the block, and in this thread only."""
    token = _own_day.set(day)
    try:
        yield
    finally:
        _own_day.reset(token)


def _shown_day() -> "VenueDay | None":
    return _own_day.get() or _Reader.day


def venue_day() -> "VenueDay":
    """Return the day of the open bot's venue or, before a bot is opened, that of the embedded exchange."""
    from tradebot.venues.alpaca.capabilities import ALPACA

    return _shown_day() or ALPACA.day


def when(at: datetime, form: str = SECOND) -> str:
    """Return a moment with its time zone: 2026-11-20 14:31:07 UTC."""
    return f"{stamp(at, form)} {zone()}"


def stamp(at: datetime, form: str = SECOND) -> str:
    """Return a moment without its time zone, for a column whose heading names it."""
    return at.astimezone(UTC if _Reader.in_utc else _zone()).strftime(form)


def local(at: datetime) -> float:
    """Return a moment as seconds since 1970 by the reader's clock, for charts, which don't support time zones."""
    return at.astimezone(UTC if _Reader.in_utc else _zone()).replace(tzinfo=UTC).timestamp()


def zone() -> str:
    """Return the name of the time zone in which times are shown."""
    if _Reader.in_utc or _zone() is UTC:
        return "UTC"
    day = _shown_day()
    return day.label if day else "ET"


def moment(text: str) -> datetime:
    """Return the moment that a person typed; without a time zone, it is in the venue's.

    Raise OperatorError if it can't be read.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text[:40]!r} is not a date and time"
        raise OperatorError(message, "write it as '2026-11-16 11:30' or 2026-11-16T16:30Z") from None
    if at.year not in YEARS:
        raise OperatorError(f"{text[:40]!r} is outside the years {YEARS[0]} to {YEARS[-1]}", "check the year")
    return (at if at.tzinfo else at.replace(tzinfo=_zone())).astimezone(UTC)


def slot_for_reader(slot: str, at: datetime) -> str:
    """Convert the time in a slot's name (at 21:00:00Z) to the reader's time zone."""
    day = f"{at.astimezone(UTC):%Y-%m-%d}"
    return re.sub(CLOCK_IN_SLOT, lambda match: when(datetime.fromisoformat(f"{day}T{match[1]}Z"), CLOCK), slot)


def for_reader(text: str) -> str:
    """Convert each UTC date and time in a text to the reader's time zone."""
    return text if zone() == "UTC" else re.sub(WRITTEN, _rewritten, text)


def _rewritten(match: re.Match[str]) -> str:
    day, _, minute, second = match.groups()
    try:
        at = datetime.fromisoformat(f"{day}T{minute}{second or ''}+00:00")
        return when(at, SECOND if second else MINUTE)
    except (ValueError, OverflowError):
        # This is foreign text that only looks like a time.
        return match[0]


def _zone() -> tzinfo:
    day = _shown_day()
    return _zone_named(day.zone if day else "America/New_York")


@cache
def _zone_named(name: str) -> tzinfo:
    """Return a time zone, or UTC on a machine without time zones, so that a halt works there too."""
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        return UTC
