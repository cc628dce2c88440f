"""Keep the exchange's sessions in the ledger, and find those that aren't there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from tradebot.timetable.sessions import CALENDAR_KNOWN

if TYPE_CHECKING:
    from tradebot.adapters.ledger.ledger import SqliteLedger
    from tradebot.model.bar import Session
    from tradebot.ports.stores import Calendar

BEHIND = timedelta(days=60)
AHEAD = timedelta(days=60)
LEAST = timedelta(days=7)
SATURDAY = 5


def ensure(ledger: SqliteLedger, now: datetime, ahead: timedelta) -> None:
    """Store the sessions around `now` unless the ledger's calendar already reaches `ahead`."""
    reach, behind = now.date() + ahead, now.date() - CALENDAR_KNOWN
    if ledger.sessions(behind, behind + LEAST) and ledger.sessions(reach, reach + LEAST):
        return
    from tradebot.adapters.time.calendar import exchange_sessions

    ledger.put_sessions(exchange_sessions(now.date() - BEHIND, now.date() + AHEAD))


def sessions(
    held: Calendar, venue: Callable[[date, date], Sequence[Session]], first: date, last: date
) -> Sequence[Session]:
    """Return the sessions between two dates, inclusive: the stored ones, or the venue's if some may be missing.

    Two weekdays in a row without a session are taken for a hole: holidays come alone.
    """
    found = held.sessions(first, last)
    dates = {session.date for session in found}
    days = (first + timedelta(days=count) for count in range((last - first).days + 1))
    missing = [day not in dates for day in days if day.weekday() < SATURDAY]
    if any(missing[:1]) or any(missing[-1:]) or any(both == (True, True) for both in pairwise(missing)):
        return venue(first, last)
    return found
