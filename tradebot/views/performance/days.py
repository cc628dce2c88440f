"""A span of days in New York, both ends included."""

from datetime import UTC, date, datetime

from msgspec import Struct

from tradebot.model.kind import NEW_YORK

BEHIND_UTC_H = 5
"""By how many hours New York is behind UTC at most."""


def day_of(at: datetime) -> date:
    """Return the New York date of a moment."""
    # New York is four or five hours behind: later in the day, which is when there is trading, it has the date of UTC.
    return at.date() if at.tzinfo is UTC and at.hour >= BEHIND_UTC_H else at.astimezone(NEW_YORK).date()


class Days(Struct, frozen=True):
    """Days from `first` through `last`, as New York's date; None for a span without that end."""

    first: date | None = None
    last: date | None = None

    def has(self, at: datetime) -> bool:
        """Return True if a moment lies in these days."""
        if self.first is None and self.last is None:
            return True
        return self.includes(day_of(at))

    def includes(self, day: date) -> bool:
        """Return True if a day is one of these."""
        return not self.is_after(day) and (self.first is None or self.first <= day)

    def is_after(self, day: date) -> bool:
        """Return True if a day lies after the last of these."""
        return self.last is not None and day > self.last


EVER = Days()
"""All days."""
