"""Times for people: New York's, where the market is, or UTC with --utc. Documents are always in UTC.

`halt` goes through this file: cheap imports only.
"""

import re
from datetime import UTC, datetime, tzinfo
from functools import cache

from tradebot.errors import OperatorError

SECOND, MINUTE, CLOCK = "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%H:%M:%S"
DAY_SECOND, DAY_MINUTE = "%m-%d %H:%M:%S", "%m-%d %H:%M"
WRITTEN = r"\b(\d{4}-\d\d-\d\d)([ T])(\d\d:\d\d)(:\d\d)?(?: UTC\b|Z\b)"
"""A date and time in UTC, as it is written in sentences of records and checks."""


CLOCK_IN_SLOT = r"\b((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)Z\b"
"""A time of day in UTC, as in the name of a slot outside the timetable."""


class _Reader:
    """The options of this command line."""

    in_utc = False


def show_utc(in_utc: bool) -> None:
    """Show times in UTC from now on, or in New York's time again."""
    _Reader.in_utc = in_utc


def when(at: datetime, form: str = SECOND) -> str:
    """Return a moment with its zone: 2026-11-20 09:31:07 ET."""
    return f"{stamp(at, form)} {zone()}"


def stamp(at: datetime, form: str = SECOND) -> str:
    """Return a moment without its zone, for a column whose heading names it."""
    return at.astimezone(_zone()).strftime(form)


def zone() -> str:
    """Return the name of the zone in which times are shown."""
    return "UTC" if _zone() is UTC else "ET"


def moment(text: str) -> datetime:
    """Return the moment that a person typed, in New York's time unless it names a zone; OperatorError if unreadable."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text[:40]!r} is not a date and time"
        raise OperatorError(message, "write it as '2026-11-16 11:30' or 2026-11-16T16:30Z") from None
    return (at if at.tzinfo else at.replace(tzinfo=_new_york())).astimezone(UTC)


def slot_for_reader(slot: str, at: datetime) -> str:
    """Return a slot's name with a time of its day (at 21:00:00Z) converted to the reader's time zone."""
    return re.sub(CLOCK_IN_SLOT, lambda found: when(_on_day(at, found[1]), CLOCK), slot)


def _on_day(at: datetime, clock: str) -> datetime:
    return datetime.fromisoformat(f"{at.astimezone(UTC):%Y-%m-%d}T{clock}+00:00")


def for_reader(text: str) -> str:
    """Return a text with each date and time in UTC converted to the reader's time zone."""
    return text if _zone() is UTC else re.sub(WRITTEN, _rewritten, text)


def _rewritten(found: re.Match[str]) -> str:
    day, _, minute, second = found.groups()
    try:
        at = datetime.fromisoformat(f"{day}T{minute}{second or ''}+00:00")
        return when(at, SECOND if second else MINUTE)
    except (ValueError, OverflowError):
        # Foreign text that only looks like a time.
        return found[0]


def _zone() -> tzinfo:
    return UTC if _Reader.in_utc else _new_york()


@cache
def _new_york() -> tzinfo:
    """Return New York's time zone, or UTC on a machine without time zones, so that a halt works there too."""
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo("America/New_York")
    except (KeyError, OSError, ValueError):
        return UTC
