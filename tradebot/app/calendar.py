"""Keep the exchange's sessions in the ledger as the broker has them, and find those that aren't there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from tradebot.errors import TemporaryError
from tradebot.model.event import EventKind
from tradebot.model.text import counted
from tradebot.timetable.sessions import (
    CALENDAR_KNOWN,
    NEAR_END_DAYS,
    Asked,
    compared,
    difference,
    hours,
    last_asked,
    last_morning,
    note_asked,
    note_difference,
)

if TYPE_CHECKING:
    from tradebot.model.bar import Session, VenueClock
    from tradebot.ports.stores import Calendar, Events, Ledger, Slots

BEHIND = timedelta(days=60)
AHEAD = timedelta(days=120)
LEAST = timedelta(days=45)
"""With fewer days ahead the calendar is extended. That is well before anyone is told that it ends."""
WEEK = timedelta(days=7)
SATURDAY = 5

Venue = Callable[[date, date], "Sequence[Session]"]


class Change(NamedTuple):
    """A day on which the broker's calendar isn't what was stored, or not what exchange_calendars has.

    `before` was stored and `after` is now; `said` is how the two calendars differed as far as was known, and `text` how
    they differ now, empty if they agree.
    """

    day: date
    before: Session | None
    after: Session | None
    said: str
    text: str


def ensure(ledger: Slots, now: datetime, ahead: timedelta) -> None:
    """Store the sessions around `now` that aren't stored, unless the ledger's calendar already reaches `ahead`."""
    reach, behind = now.date() + ahead, now.date() - CALENDAR_KNOWN
    if ledger.sessions(behind, behind + WEEK) and ledger.sessions(reach, reach + WEEK):
        return
    from tradebot.adapters.time.calendar import exchange_sessions

    first, last = now.date() - BEHIND, now.date() + AHEAD
    held = ledger.sessions(first, last)
    # What the broker has changed, or called off, among those that are stored stays as it is.
    new = [s for s in exchange_sessions(first, last) if not held or not held[0].date <= s.date <= held[-1].date]
    ledger.put_sessions(new)


def ask(ledger: Ledger, venue: Venue, clock: VenueClock, events: Events, by: str) -> str:
    """Ask the broker's calendar for the stored days to come, store its sessions, and return what it said.

    A session that it doesn't have any more is dropped only if exchange_calendars or the broker's clock says so too.
    What changed is told as an event, and so is, once a day, a calendar that ends soon. TemporaryError if the broker
    lists no session.
    """
    ensure(ledger, clock.now, LEAST)
    today = clock.now.date()
    stored = {session.date: session for session in ledger.sessions(today, today + AHEAD)}
    last = max(stored, default=today + WEEK)
    theirs = {session.date: session for session in venue(today, last)}
    if not theirs:
        raise TemporaryError(f"the broker's calendar lists no session from {today} to {last}", "tradebot doctor")
    changes = _changes(ledger, stored, theirs, clock)
    for change in changes:
        if change.text != change.said:
            note_difference(ledger, change.day, change.text, clock.now)
    told = [change for change in changes if change.after != change.before or change.text != change.said]
    ledger.put_sessions(
        [change.after for change in told if change.after], gone=[c.day for c in told if c.before and not c.after]
    )
    until, before = max(theirs), last_asked(ledger, clock.now)
    note_asked(ledger, Asked(clock.now, until if until < last else None), by)
    for change in told:
        events.emit(EventKind.CALENDAR_CHANGED.at(clock.now, {"date": str(change.day), "message": _said(change)}))
    first_today = before is None or before.at < last_morning(clock.now)
    if first_today and (until - today).days < NEAR_END_DAYS:
        message = f"it ends on {until}, in {counted((until - today).days, 'day')}: tradebot schedule check"
        events.emit(EventKind.CALENDAR_ENDS.at(clock.now, {"until": str(until), "message": message}))
    differing = sum(bool(change.text) for change in changes)
    agrees = f"{counted(differing, 'day')} differ from exchange_calendars" if differing else "it agrees"
    return f"asked the broker's calendar until {until}: {agrees}"


def _changes(
    ledger: Ledger, stored: Mapping[date, Session], theirs: Mapping[date, Session], clock: VenueClock
) -> Sequence[Change]:
    """Return the days on which the broker's calendar isn't what is stored, or isn't what exchange_calendars has.

    What is stored is from exchange_calendars unless a claim says otherwise, so that is rarely loaded. Sessions that are
    over stay as they are.
    """
    days = sorted(day for day in stored.keys() | theirs.keys() if day <= max(theirs))
    said = {day: difference(ledger, day) for day in days}
    differing = (day for day in days if stored.get(day) != theirs.get(day) or said[day])
    doubtful = [day for day in differing if not _is_over(day, stored, theirs, clock)]
    if not doubtful:
        return ()
    from tradebot.adapters.time.calendar import exchange_sessions

    listed = {session.date: session for session in exchange_sessions(days[0], days[-1])}
    kept = {day: session for day, session in stored.items() if day in listed and not _is_called_off(session, clock)}
    return [
        Change(
            day,
            stored.get(day),
            theirs.get(day) or kept.get(day),
            said[day],
            compared(theirs.get(day), listed.get(day)),
        )
        for day in doubtful
    ]


def _is_over(day: date, stored: Mapping[date, Session], theirs: Mapping[date, Session], clock: VenueClock) -> bool:
    known = (sessions.get(day) for sessions in (stored, theirs))
    return all(session.close <= clock.now for session in known if session)


def _is_called_off(session: Session, clock: VenueClock) -> bool:
    """Return True if the broker's clock says that a session isn't there: it is closed until after its open."""
    return not clock.is_open and session.open < clock.next_open


def _said(change: Change) -> str:
    what = f"{change.day:%a %Y-%m-%d} has {hours(change.after)} now, before it had {hours(change.before)}"
    if change.after == change.before:
        what = f"{change.day:%a %Y-%m-%d} still has {hours(change.after)}"
    if change.text:
        return f"{what}: {change.text}. Entries stay closed that day; exits go by the broker's clock"
    return f"{what}: exchange_calendars agrees"


def sessions(held: Calendar, venue: Venue, first: date, last: date) -> Sequence[Session]:
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
