"""Find the stored session that a moment belongs to."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from tradebot.model.bar import Session

if TYPE_CHECKING:
    from tradebot.ports.stores import Calendar

CALENDAR_REACH = timedelta(days=7)
CALENDAR_KNOWN = timedelta(days=41)
"""How far back the calendar must be known, so that the first session of this month is."""


def session_of(calendar: Calendar, now: datetime) -> Session | None:
    """Return the stored session open at `now`, else the one on the same day, or None on a day without a session."""
    near = calendar.sessions(now.date() - timedelta(days=1), now.date())
    return next((session for session in near if session.contains(now)), None) or next(
        (session for session in near if session.date == now.date()), None
    )


def next_open(calendar: Calendar, now: datetime) -> datetime | None:
    """Return when the next session opens while none is open; None during a session or if no later one is stored."""
    near = calendar.sessions(now.date() - timedelta(days=1), now.date() + CALENDAR_REACH)
    ahead = next((session for session in near if session.close > now), None)
    return ahead.open if ahead and ahead.open > now else None


def session_date(calendar: Calendar, now: datetime) -> date:
    """Return the date under which orders made at `now` are filed: that of the session, or else of the day."""
    session = session_of(calendar, now)
    return session.date if session else now.date()


def last_session(calendar: Calendar, now: datetime) -> date:
    """Return the date of the session that is open, or of the last one. Flow is fetched for that date."""
    begun = [s.date for s in calendar.sessions(now.date() - CALENDAR_REACH, now.date()) if s.open <= now]
    return max(begun, default=now.date())
