"""Compute the exchange's calendar in advance, without asking a venue."""

from collections.abc import Sequence
from datetime import UTC, date
from functools import lru_cache

from tradebot.model.bar import Session

_USUAL = date(2000, 1, 1), date(2040, 12, 31)


@lru_cache(maxsize=8)
def exchange_sessions(start: date, end: date) -> Sequence[Session]:
    """Return the New York sessions from `start` to `end`, inclusive; half days have their early close."""
    import exchange_calendars

    # Working out all these years takes no longer than a month, and the library keeps what it was asked for last.
    calendar = exchange_calendars.get_calendar("XNYS", start=min(start, _USUAL[0]), end=max(end, _USUAL[1]))
    schedule = calendar.schedule.loc[start.isoformat() : end.isoformat()]
    return tuple(
        Session(day.date(), opens.to_pydatetime().astimezone(UTC), closes.to_pydatetime().astimezone(UTC))
        for day, opens, closes in zip(schedule.index, schedule["open"], schedule["close"], strict=True)
    )
