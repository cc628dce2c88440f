"""Compute the exchange's calendar in advance, without asking a venue."""

from collections.abc import Sequence
from datetime import UTC, date, timedelta
from functools import lru_cache

from tradebot.model.bar import Session

_MARGIN = timedelta(days=10)


@lru_cache(maxsize=8)
def exchange_sessions(start: date, end: date) -> Sequence[Session]:
    """Return the New York sessions from `start` to `end`, inclusive; half days have their early close.

    By default the library's calendar ends a year from today, so both bounds are passed, with a margin because the
    library refuses bounds that contain no session.
    """
    import exchange_calendars

    calendar = exchange_calendars.get_calendar("XNYS", start=start - _MARGIN, end=end + _MARGIN)
    schedule = calendar.schedule.loc[start.isoformat() : end.isoformat()]
    return tuple(
        Session(day.date(), opens.to_pydatetime().astimezone(UTC), closes.to_pydatetime().astimezone(UTC))
        for day, opens, closes in zip(schedule.index, schedule["open"], schedule["close"], strict=True)
    )
