"""Parse a period as typed: days at the venue (--from, --to), recorded passes (--since), or a duration."""

import re
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.shared.light_helpers import clean
from tradebot.errors import OperatorError, word

if TYPE_CHECKING:
    from tradebot.views.trades.days import DateRange

From = Annotated[str | None, typer.Option("--from", metavar="DATE", help="The first day [the first recorded].")]
Since = Annotated[str | None, typer.Option("--since", help="Time to cover: 90s, 30m, 2h, 1d or session.")]
To = Annotated[str | None, typer.Option("--to", metavar="DATE", help="The last day [the last recorded].")]


def days_of(first: str | None, last: str | None) -> "DateRange":
    """Return the days that the options name; raise OperatorError for an unreadable date or an empty range."""
    from tradebot.views.trades.days import DateRange

    days = DateRange(_date("--from", first), _date("--to", last))
    if days.first and days.last and days.first > days.last:
        raise OperatorError(
            f"--from {days.first} is after --to {days.last}", f"write --from {days.last} --to {days.first}"
        )
    return days


def _date(option: str, text: str | None) -> date | None:
    day = None if text is None else day_in(text)
    if text is not None and day is None:
        raise OperatorError(f"{option} {word(text)} is not a date", f"write {option} 2026-11-16")
    return day


def day_in(text: str) -> date | None:
    """Return the date that a person typed, such as 2026-11-16 or 20261116; None if it is invalid."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


UNITS: Mapping[str, int] = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class PassSpan(Struct, frozen=True):
    """A choice of passes: the last few, or all within `since_s` seconds of the last one or in its session."""

    last: int = 1
    since_s: int | None = None
    session: bool = False


def span_of(last: int | None, since: str | None) -> PassSpan:
    """Return the period that the options name; raise OperatorError if they conflict or can't be parsed."""
    if last is not None and since is not None:
        raise OperatorError("--last and --since can't be combined", "tradebot why-no-orders --since session")
    if since is None:
        return PassSpan(last=1 if last is None else last)
    if since == "session":
        return PassSpan(session=True)
    match = re.fullmatch(r"(\d{1,5})([smhd])", since)
    if match is None:
        raise OperatorError(f"can't read {clean(since)[:20]!r} as a time span", "write 90s, 30m, 2h, 1d or session")
    if not int(match[1]):
        raise OperatorError(f"--since {since} covers no time", "write 90s, 30m, 2h, 1d or session")
    return PassSpan(since_s=int(match[1]) * UNITS[match[2]])


_WRITTEN = re.compile(r"(\d{1,7}(?!d)|\d{1,5}(?=d))([smhd])", re.ASCII)
"""A duration: a number and its unit. It is at most 273 years in days, so that adding it never leaves the calendar."""


def seconds_in(text: str) -> int | None:
    """Return the seconds in a duration such as 90s, 5m, 2h or 2d; None if the text isn't a positive duration."""
    match = _WRITTEN.fullmatch(text)
    return int(match[1]) * UNITS[match[2]] or None if match else None
