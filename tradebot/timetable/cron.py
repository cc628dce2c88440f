"""Times written as cron does, by the venue's clock: `30 18 * * Mon-Fri`. Weekdays have names only."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from msgspec import Struct

from tradebot.model.venue_day import VenueDay

WEEKDAYS: Mapping[str, int] = {
    name: place for place, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))
}
MONTHS: Mapping[str, int] = {
    name: place
    for place, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
EXPECTED = "'cron \"30 18 * * Mon-Fri\"': minute, hour, day of the month, month, weekday"
_ITEM = re.compile(r"(?:(?P<all>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d{1,4}))?")
_LEAP_YEARS = timedelta(days=8 * 366)
"""The longest time between two 29ths of February."""


class Cron(Struct, frozen=True):
    """The minutes, hours, days, months and weekdays (Monday is 0) at which something is due, by the venue's clock.

    As cron does it, a day counts if either the day of the month or the weekday fits, where both are restricted.
    """

    venue: VenueDay
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int] | None
    months: frozenset[int]
    weekdays: frozenset[int] | None

    def starts(self, day: date) -> Iterator[tuple[str, datetime]]:
        """Yield the name and the moment of each time on one day, in order, as `VenueDay.at` counts them."""
        if not self._holds(day):
            return
        for hour in self.hours:
            for minute in self.minutes:
                yield f"{hour:02}:{minute:02} {self.venue.label}", self.venue.at(day, time(hour, minute))

    def _holds(self, day: date) -> bool:
        fits = [day.day in self.days] if self.days is not None else []
        fits += [day.weekday() in self.weekdays] if self.weekdays is not None else []
        return day.month in self.months and (any(fits) or not fits)


@lru_cache(maxsize=64)
def parse(text: str, venue: VenueDay) -> Cron:
    """Parse the five fields; raise ValueError saying what is expected, or that they never hold."""
    fields = text.split()
    if len(fields) != 5:
        raise ValueError(f"{text!r} has {len(fields)} fields, not 5; use {EXPECTED}")
    minute, hour, day, month, weekday = fields
    if any(character.isdigit() for character in weekday.partition("/")[0]):
        raise ValueError(
            f"{text!r}: write weekdays by name, such as Mon-Fri: schedulers number them differently, so 1 is Monday "
            "for some and Tuesday for others"
        )
    found = Cron(
        venue,
        tuple(sorted(_field(minute, 0, 59, {}, text))),
        tuple(sorted(_field(hour, 0, 23, {}, text))),
        None if day == "*" else _field(day, 1, 31, {}, text),
        _field(month, 1, 12, MONTHS, text),
        None if weekday == "*" else _field(weekday, 0, 6, WEEKDAYS, text),
    )
    if not any(found._holds(each) for each in _dates()):
        raise ValueError(f"{text!r} is never due: no month has such a day")
    return found


@lru_cache(maxsize=1)
def _dates() -> tuple[date, ...]:
    first = date(2026, 1, 1)
    return tuple(first + timedelta(days=count) for count in range(_LEAP_YEARS.days))


def _field(text: str, low: int, high: int, names: Mapping[str, int], whole: str) -> frozenset[int]:
    found: set[int] = set()
    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise _no_field(item, whole)
        first = low if match["all"] else _number(match["first"], names, item, whole)
        last = high if match["all"] or (match["step"] and not match["last"]) else first
        last = _number(match["last"], names, item, whole) if match["last"] else last
        if not low <= first <= last <= high or match["step"] == "0":
            raise ValueError(f"{whole!r}: {item!r} is not within {low} to {high}")
        found |= set(range(first, last + 1, int(match["step"] or 1)))
    return frozenset(found)


def _number(text: str, names: Mapping[str, int], item: str, whole: str) -> int:
    if text.isdecimal():
        return int(text)
    if text.lower() not in names:
        raise _no_field(item, whole)
    return names[text.lower()]


def _no_field(item: str, whole: str) -> ValueError:
    return ValueError(f"{whole!r}: {item!r} is not a field of cron; use {EXPECTED}")
