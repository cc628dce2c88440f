"""Store the broker's sessions of each calendar in the ledger, and find missing ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from tradebot.errors import TemporaryError
from tradebot.model.bar import Session, VenueClock
from tradebot.model.event import EventKind
from tradebot.model.sentences import noun_for, pluralize
from tradebot.model.venue import Capabilities
from tradebot.model.venue_day import VenueDay
from tradebot.ports.stores import Calendar, Events, Ledger, Slots
from tradebot.timetable.sessions import (
    CALENDAR_KNOWN,
    NEAR_END_DAYS,
    CalendarRequest,
    claim_calendar_fetch,
    compare_sessions,
    difference,
    hours,
    last_calendar_fetch,
    last_morning,
    note_difference,
)

BEHIND = timedelta(days=60)
AHEAD = timedelta(days=120)
LEAST = timedelta(days=45)
"""With fewer days ahead the calendar is extended, well before anyone is notified that it ends."""
WEEK = timedelta(days=7)
SATURDAY = 5

OWN = ""
"""The name under which the venue's own calendar is stored."""
Venue = Callable[[date, date], "Sequence[Session]"]
Read = Callable[[date, date, str], "Sequence[Session]"]
"""Fetches the broker's sessions of a calendar between two dates, inclusive; none if it doesn't list the calendar."""


class CalendarChange(NamedTuple):
    """A day on which the broker's calendar differs from the stored one, or from exchange_calendars.

    `before` is the stored session and `after` the current one. `text` describes how the broker's calendar now differs
    from exchange_calendars; it is empty if they agree. `said` is the last such text on record. `in_both` is False if
    exchange_calendars lacks the calendar.
    """

    day: date
    before: Session | None
    after: Session | None
    said: str
    text: str
    in_both: bool


def ensure_sessions(
    ledger: Slots, venue: Capabilities, read: Read, now: datetime, ahead: timedelta, others: Collection[str] = ()
) -> None:
    """Store the missing sessions around `now`, unless the stored calendars already reach `ahead`.

    This covers the venue's own calendar, the `others`, and the calendars already stored. Sessions come from
    exchange_calendars, or from the broker if exchange_calendars lacks the calendar; after a failure, the next call
    tries again.
    """
    today = venue.day.local(now).date()
    stored = [ledger.calendars(day, day + WEEK) for day in (today - CALENDAR_KNOWN, today + ahead)]
    for name in dict.fromkeys((OWN, *others, *stored[0], *stored[1])):
        if not all(day.get(name) for day in stored):
            with suppress(TemporaryError):
                _extend(ledger, venue, read, name, today)


def _extend(ledger: Slots, venue: Capabilities, read: Read, name: str, today: date) -> None:
    first, last = today - BEHIND, today + AHEAD
    stored_sessions, listed = ledger.sessions(first, last, name), list_sessions(venue, first, last, name)
    if listed is None:
        # A broker may return only the next days, which are fetched each morning.
        is_known = any(today <= session.date <= today + WEEK for session in stored_sessions)
        listed = () if is_known else read(first, last, name)
    # Stored sessions that the broker has changed or called off stay as they are.
    new = [
        s for s in listed if not stored_sessions or not stored_sessions[0].date <= s.date <= stored_sessions[-1].date
    ]
    ledger.put_sessions(new, calendar=name)


def list_sessions(venue: Capabilities, first: date, last: date, name: str = OWN) -> Sequence[Session] | None:
    """Return a calendar's sessions between two dates, inclusive, from exchange_calendars; None if it lacks the
    calendar.
    """
    from tradebot.adapters.time.calendar import exchange_sessions, is_listed

    full = name or venue.calendar
    return exchange_sessions(first, last, full) if is_listed(full) else None


def with_stored_sessions(calendar: Calendar, day: VenueDay) -> VenueDay:
    """Return the venue's day, adjusted for stored sessions that start on another date."""
    return day.knowing(calendar.sessions(date.min, date.max)) if day.crosses_midnight else day


def ask(ledger: Ledger, venue: Capabilities, read: Read, clock: VenueClock, events: Events, by: str) -> str:
    """Fetch the broker's calendars for the stored days ahead, store their sessions, and return a summary.

    A session missing at the broker is removed only if exchange_calendars or the broker's clock confirms it. Changes are
    recorded as events; a calendar that ends soon is recorded once a day. Raise TemporaryError if the broker lists no
    sessions or overlapping ones.
    """
    ensure_sessions(ledger, venue, read, clock.now, LEAST)
    today = venue.day.local(clock.now).date()
    stored = {session.date: session for session in ledger.sessions(today, today + AHEAD)}
    # The broker may return only the next days.
    is_long = max(stored, default=today) >= today + LEAST
    last = max(stored) if is_long else today + AHEAD
    theirs = {session.date: session for session in read(today, last, OWN)}
    if not theirs:
        raise TemporaryError(f"the broker's calendar lists no session from {today} to {last}", "tradebot doctor")
    _require_apart(theirs)
    changes = _changes(ledger, venue, stored, theirs, clock)
    for change in changes:
        if change.text != change.said:
            note_difference(ledger, change.day, change.text, clock.now)
    main = [change for change in changes if change.after != change.before or change.text != change.said]
    ledger.put_sessions(
        [change.after for change in main if change.after], gone=[c.day for c in main if c.before and not c.after]
    )
    until, before = max(theirs), last_calendar_fetch(ledger, clock.now)
    claim_calendar_fetch(ledger, CalendarRequest(clock.now, until if is_long and until < last else None), by)
    # Days that only the broker has, and that weren't known before, are not changes.
    changed = [_change_details(change, venue) for change in main if change.in_both or change.before]
    for details in (*changed, *_ask_for_others(ledger, read, clock, today)):
        events.emit(EventKind.CALENDAR_CHANGED.at(clock.now, details))
    first_today = before is None or before.at < last_morning(clock.now, venue.day)
    if is_long and first_today and (until - today).days < NEAR_END_DAYS:
        message = f"it ends on {until}, in {pluralize((until - today).days, 'day')}: tradebot schedule check"
        events.emit(EventKind.CALENDAR_ENDS.at(clock.now, {"until": str(until), "message": message}))
    differing = sum(bool(change.text) for change in changes)
    days = f"{pluralize(differing, 'day')} {noun_for(differing, 'differs', 'differ')}"
    agrees = f"{days} from exchange_calendars" if differing else "it agrees"
    return f"fetched the broker's calendar until {until}: {agrees}"


def _ask_for_others(ledger: Slots, read: Read, clock: VenueClock, today: date) -> Iterator[Mapping[str, str]]:
    """Store the broker's sessions of calendars that instruments have instead of the venue's own; yield the changes.

    A calendar that the broker doesn't list stays as stored.
    """
    for name, sessions in ledger.calendars(today, today + AHEAD).items():
        theirs = {session.date: session for session in read(today, today + AHEAD, name)} if name else {}
        if not theirs:
            continue
        _require_apart(theirs)
        stored = {session.date: session for session in sessions if session.date <= max(theirs)}
        days = sorted(day for day in stored.keys() | theirs.keys() if stored.get(day) != theirs.get(day))
        changed = [day for day in days if not _is_over(day, stored, theirs, clock)]
        gone = [day for day in changed if day not in theirs]
        ledger.put_sessions([theirs[day] for day in changed if day in theirs], gone, name)
        for day in (day for day in changed if day in stored):
            what = f"now has {hours(theirs.get(day))} instead of {hours(stored[day])}"
            yield {"date": str(day), "message": f"{name}: {day:%a %Y-%m-%d} {what}"}


def _require_apart(theirs: Mapping[date, Session]) -> None:
    """Raise TemporaryError if two sessions overlap, because a moment must belong to one session."""
    for earlier, later in pairwise([theirs[day] for day in sorted(theirs)]):
        if later.open < earlier.close:
            message = f"the broker's sessions of {earlier.date} and {later.date} overlap"
            raise TemporaryError(message, "tradebot doctor")


def _changes(
    ledger: Ledger,
    venue: Capabilities,
    stored: Mapping[date, Session],
    theirs: Mapping[date, Session],
    clock: VenueClock,
) -> Sequence[CalendarChange]:
    """Return the days on which the broker's calendar differs from the stored one or from exchange_calendars.

    A calendar that exchange_calendars doesn't have isn't compared with it. Stored sessions are from exchange_calendars
    unless a claim says otherwise, so it is rarely loaded. Past sessions stay as they are.
    """
    days = sorted(day for day in stored.keys() | theirs.keys() if day <= max(theirs))
    recorded = {day: difference(ledger, day) for day in days}
    differing = (day for day in days if stored.get(day) != theirs.get(day) or recorded[day])
    doubtful = [day for day in differing if not _is_over(day, stored, theirs, clock)]
    if not doubtful:
        return ()
    listed = list_sessions(venue, days[0], days[-1])
    usual = {session.date: session for session in listed or ()}
    confirmed = {day: session for day, session in stored.items() if day in usual and not _is_called_off(session, clock)}
    return [
        CalendarChange(
            day,
            stored.get(day),
            theirs.get(day) or confirmed.get(day),
            recorded[day],
            "" if listed is None else compare_sessions(theirs.get(day), usual.get(day)),
            listed is not None,
        )
        for day in doubtful
    ]


def _is_over(day: date, stored: Mapping[date, Session], theirs: Mapping[date, Session], clock: VenueClock) -> bool:
    pair = (sessions.get(day) for sessions in (stored, theirs))
    return all(session.close <= clock.now for session in pair if session)


def _is_called_off(session: Session, clock: VenueClock) -> bool:
    """Return True if the broker's clock shows that a session was called off: it stays closed past its open."""
    return not clock.is_open and session.open < clock.next_open


def _change_details(change: CalendarChange, venue: Capabilities) -> Mapping[str, str]:
    """Return the event details of a change."""
    what = f"{change.day:%a %Y-%m-%d} now has {hours(change.after)} instead of {hours(change.before)}"
    if change.after == change.before:
        what = f"{change.day:%a %Y-%m-%d} still has {hours(change.after)}"
    if change.text:
        then = (
            "The broker's hours apply"
            if venue.hours_win
            else "Entries stay blocked that day; exits follow the broker's clock"
        )
        what = f"{what}: {change.text}. {then}"
    elif change.in_both:
        what = f"{what}: exchange_calendars agrees"
    return {"date": str(change.day), "message": what}


def sessions(calendar: Calendar, venue: Venue, first: date, last: date) -> Sequence[Session]:
    """Return the sessions between two dates, inclusive: the stored sessions, or the venue's if some may be missing.

    Two consecutive weekdays without a session count as a gap, because holidays rarely come in pairs.
    """
    sessions = calendar.sessions(first, last)
    dates = {session.date for session in sessions}
    days = (first + timedelta(days=count) for count in range((last - first).days + 1))
    missing = [day not in dates for day in days if day.weekday() < SATURDAY]
    if any(missing[:1]) or any(missing[-1:]) or any(both == (True, True) for both in pairwise(missing)):
        return venue(first, last)
    return sessions


def sessions_at_rest(calendar: Calendar, venue: Capabilities, first: date, last: date) -> Sequence[Session]:
    """Return the sessions between two dates, inclusive: the stored sessions, or those of exchange_calendars if some may
    be missing.
    """
    return sessions(calendar, lambda *days: list_sessions(venue, *days) or calendar.sessions(*days), first, last)
