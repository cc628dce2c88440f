"""Compute an exchange's calendar in advance, without asking a venue."""

from collections.abc import Sequence
from datetime import UTC, date
from functools import lru_cache

from tradebot.model.bar import Session

_USUAL = date(2000, 1, 1), date(2040, 12, 31)


@lru_cache(maxsize=8)
def is_listed(name: str) -> bool:
    """Return True if exchange_calendars has a calendar of this name."""
    import exchange_calendars

    return name in exchange_calendars.get_calendar_names()


@lru_cache(maxsize=8)
def exchange_sessions(start: date, end: date, name: str) -> Sequence[Session]:
    """Return the sessions of a calendar from `start` to `end`, inclusive; half days have their early close.

    A calendar that exchange_calendars doesn't have is empty.
    """
    import exchange_calendars

    if not is_listed(name):
        return ()
    # Working out all these years takes no longer than a month, and the library keeps what it was asked for last.
    calendar = exchange_calendars.get_calendar(name, start=min(start, _USUAL[0]), end=max(end, _USUAL[1]))
    schedule = calendar.schedule.loc[start.isoformat() : end.isoformat()]
    return tuple(
        Session(day.date(), opens.to_pydatetime().astimezone(UTC), closes.to_pydatetime().astimezone(UTC))
        for day, opens, closes in zip(schedule.index, schedule["open"], schedule["close"], strict=True)
    )
