"""Find the stored session that a moment belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.bar import Session, VenueClock
from tradebot.model.record import Job
from tradebot.model.retry_waits import wait_after
from tradebot.model.trading import SlotClaim
from tradebot.model.venue_day import VenueDay
from tradebot.ports.stores import Calendar, Ledger, Slots
from tradebot.timetable.job_times import JobTimes

CHAIN = (Job.FETCH_FLOW, Job.SCORE, Job.EVALUATE_EXITS, Job.TRADE_ONCE, Job.RECONCILE)
"""The order of jobs that are due at the same time: facts first, exits before entries, the comparison last."""
FETCHING = (Job.FETCH_FLOW, Job.SCORE)
"""The jobs of the fetching lane: they fetch and use facts, and send no orders."""


class Slot(Struct, frozen=True):
    """One due time of a job or a chore; it may run any time before `end`.

    The name of a job's slot is its offset from the open or close. For a chore that doesn't depend on sessions,
    `session` is a date.
    """

    job: str
    session: date
    name: str
    start: datetime
    end: datetime

    @property
    def key(self) -> tuple[str, date, str]:
        """Return the slot's key in the ledger: job, session and name."""
        return self.job, self.session, self.name


@lru_cache(maxsize=2 * len(Job))
def slots(job: Job, times: JobTimes, session: Session) -> tuple[Slot, ...]:
    dues = times.in_session(session)
    return tuple(Slot(job, session.date, due.name, due.start, due.end) for due in dues)


def slot_at(job: Job, times: JobTimes, session: Session, now: datetime) -> Slot | None:
    """Return the slot that contains `now`, or None before the first slot and after the end of the latest."""
    started = [slot for slot in slots(job, times, session) if slot.start <= now]
    return started[-1] if started and now < started[-1].end else None


def next_slot(job: Job, times: JobTimes, session: Session, now: datetime) -> Slot | None:
    """Return the job's first slot of the session that starts after `now`, or None if there are none left."""
    return next((slot for slot in slots(job, times, session) if slot.start > now), None)


def due_at(timetable: Mapping[Job, JobTimes], session: Session, now: datetime) -> list[Slot]:
    """Return the slots that start exactly at `now`, in the order in which jobs run (CHAIN).

    Drivers that step by the minute use this.
    """
    return [slot for job in CHAIN for slot in slots(job, timetable[job], session) if slot.start == now]


CALENDAR_REACH = timedelta(days=7)
CALENDAR_KNOWN = timedelta(days=41)
"""How far back the calendar must be known in order to find the first session of this month."""
BEGINS_AHEAD, ENDS_LATE = timedelta(days=5), timedelta(days=2)
"""The longest time before its date that a session may begin, and after its date that it may end, in UTC.

Some sessions begin the evening before, or days before if the trading of a holiday belongs to the next business day.
"""


def begun_by(calendar: Calendar, now: datetime, back: timedelta) -> Sequence[Session]:
    """Return the stored sessions that have opened by `now`, beginning with those about `back` days ago."""
    first, last = now.date() - max(back, ENDS_LATE), now.date() + BEGINS_AHEAD
    return [session for session in calendar.sessions(first, last) if session.open <= now]


def session_of(calendar: Calendar, now: datetime, day: VenueDay, name: str = "") -> Session | None:
    """Return the stored session that is open at `now`, or else the session on the venue's date.

    `name` selects another calendar than the venue's. Return None if neither session exists.
    """
    near = calendar.sessions(now.date() - ENDS_LATE, now.date() + BEGINS_AHEAD, name)
    current = next((session for session in near if session.contains(now)), None)
    if current is not None:
        return current
    today = day.date_of(now)
    return next((session for session in near if session.date == today), None)


def next_open(calendar: Calendar, now: datetime) -> datetime | None:
    """Return when the next session opens while none is open; None during a session or if no later one is stored."""
    ahead = _not_closed(calendar, now)
    return ahead.open if ahead and ahead.open > now else None


def _not_closed(calendar: Calendar, now: datetime) -> Session | None:
    """Return the session that is open at `now`, or else the next one; None if no later one is stored."""
    near = calendar.sessions(now.date() - ENDS_LATE, now.date() + CALENDAR_REACH)
    return next((session for session in near if session.close > now), None)


def session_date(calendar: Calendar, now: datetime, day: VenueDay) -> date:
    """Return the date for orders made at `now`: the date of the session, or else the venue's date."""
    session = session_of(calendar, now, day)
    return session.date if session else day.date_of(now)


def last_session(calendar: Calendar, now: datetime, day: VenueDay) -> date:
    """Return the date of the session that is open, or else of the last session. Flow is fetched for that date."""
    begun = begun_by(calendar, now, CALENDAR_REACH)
    return max((session.date for session in begun), default=day.date_of(now))


ASKED, ENDS, DIFFERS = "calendar asked", "calendar ends", "calendar differs"
AGREE = "they agree again"
MORNING = time(8, 0)
"""The venue's time from which the calendar is fetched once a day."""
AGAIN = timedelta(minutes=10)
"""The wait before the calendar is fetched again if the broker's clock contradicts the stored one."""
NEAR_END_DAYS = 30
"""With this many days left or fewer, people are notified that the calendar ends.

It is normally extended long before.
"""
DAY = timedelta(days=1)
FAR = timedelta(days=400)


class CalendarRequest(Struct, frozen=True):
    """When the broker's calendar was fetched, and its last day if it ended before the stored one did."""

    at: datetime
    ends: date | None = None


def last_calendar_fetch(ledger: Slots, now: datetime, within: timedelta = DAY) -> CalendarRequest | None:
    """Return when the calendar was last fetched; None if it wasn't.

    The search goes back to the day that was `within` before `now`.
    """
    for back in range(within.days + 1):
        of_day = ledger.slot_claims(now.date() - back * DAY)
        claims = [claim for claim in of_day if claim.job == ASKED and claim.at <= now]
        if claims:
            at = max(claim.at for claim in claims)
            ends = (claim.by for claim in of_day if claim.job == ENDS and claim.at == at)
            return CalendarRequest(at, next(map(date.fromisoformat, ends), None))
    return None


def claim_calendar_fetch(ledger: Slots, calendar_request: CalendarRequest, by: str) -> None:
    """Record in the ledger that the calendar was fetched."""
    day, moment = calendar_request.at.date(), f"{calendar_request.at:%H:%M:%S.%f}Z"
    ledger.claim_slot(ASKED, day, moment, by, calendar_request.at)
    if calendar_request.ends:
        ledger.claim_slot(ENDS, day, moment, calendar_request.ends.isoformat(), calendar_request.at)


def calendar_end(ledger: Ledger, now: datetime, day: VenueDay) -> date | None:
    """Return the last day that both the stored calendar and the broker's have; None if nothing is stored."""
    today = day.date_of(now)
    stored = ledger.sessions(today, today + FAR)
    calendar_request = last_calendar_fetch(ledger, now, CALENDAR_REACH)
    ends = [calendar_request.ends] if calendar_request and calendar_request.ends else []
    return min((stored[-1].date, *ends)) if stored else None


def is_due(ledger: Ledger, clock: VenueClock, day: VenueDay) -> bool:
    """Return True if the calendar should be fetched: it hasn't been since the last morning, or the broker's clock
    contradicts it and the last fetch was at least AGAIN ago.
    """
    last = last_calendar_fetch(ledger, clock.now)
    if last is None or last.at < last_morning(clock.now, day):
        return True
    return clock.now - last.at >= AGAIN and clock_contradicts(ledger, clock)


def last_morning(now: datetime, day: VenueDay) -> datetime:
    """Return the last moment at which a day's calendar was due to be fetched."""
    today = day.local(now).date()
    return next(at for each in (today, today - DAY) if (at := day.at(each, MORNING)) <= now)


def clock_contradicts(calendar: Calendar, clock: VenueClock) -> bool:
    """Return True if the broker's clock has an open or close that differs from the stored calendar's."""
    session = _not_closed(calendar, clock.now)
    if session is None or not session.contains(clock.now):
        return clock.is_open or (session is not None and clock.next_open != session.open)
    return not clock.is_open or clock.next_close != session.close


def difference(ledger: Slots, day: date) -> str:
    """Return how the broker's calendar and exchange_calendars differ on a day, with both hours; empty if they don't."""
    claims = [(claim.at, claim.by) for claim in ledger.slot_claims(day) if claim.job == DIFFERS]
    _, text = max(claims, default=(day, AGREE))
    return "" if text == AGREE else text


def note_difference(ledger: Slots, day: date, text: str, now: datetime) -> None:
    """Record how the two calendars differ on a day, from `now` on; an empty text means that they agree again."""
    note(ledger, DIFFERS, day, text or AGREE, now)


def note(ledger: Slots, what: str, day: date, text: str, now: datetime) -> None:
    ledger.claim_slot(what, day, f"{now:%Y-%m-%dT%H:%M:%S.%f}Z", text, now)


def compare_sessions(theirs: Session | None, listed: Session | None) -> str:
    """Return how the broker's session of a day differs from that of exchange_calendars; empty if it doesn't."""
    if theirs == listed:
        return ""
    return f"the broker's calendar has {hours(theirs)}, exchange_calendars {hours(listed)}"


def hours(session: Session | None) -> str:
    return f"{session.open:%H:%M} to {session.close:%H:%M} UTC" if session else "no session"


def differences(ledger: Ledger, first: date, last: date) -> Iterator[tuple[date, str]]:
    """Yield the days between two dates, inclusive, on which the calendars differ, each with the difference."""
    for day in (first + count * DAY for count in range((last - first).days + 1)):
        if text := difference(ledger, day):
            yield day, text


FAILED, COPIED, NOT_COPIED = "backup failed", "backup copied", "backup not copied"
ARCHIVED = "archive pushed"
"""The names of claims for a session's backup and for archived items.

They contain a space, so they can't clash with the names of timetable entries, which never do.
"""
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=10), timedelta(hours=4)
"""The first and the longest wait before the next try: copying large books takes seconds, and every pass would try again
otherwise.
"""


class FailedBackup(NamedTuple):
    """The last try of a session's backup, why it failed, and when the next one is due, all in trading time."""

    at: datetime
    why: str
    again_at: datetime

    def waits(self, now: datetime) -> bool:
        """Return True until the next try. If the broker's clock was set back since, the wait is over."""
        return self.at <= now < self.again_at


def failed_backup(ledger: Slots, session: date) -> FailedBackup | None:
    """Return how the last try of a session's backup failed; None if no try has failed."""
    tries = [claim for claim in ledger.slot_claims(session) if claim.job == FAILED]
    if not tries:
        return None
    last = max(tries, key=lambda claim: claim.at)
    return FailedBackup(last.at, last.by, last.at + wait_after(len(tries), FIRST_WAIT, LONGEST_WAIT))


def note_copied(ledger: Slots, why: str, now: datetime) -> None:
    """Record that a backup was just copied off the machine, or why it wasn't."""
    note(ledger, NOT_COPIED if why else COPIED, now.date(), why or COPIED, now)


def note_archived(ledger: Slots, name: str, now: datetime) -> None:
    """Record that the archive of this name was just copied off the machine."""
    note(ledger, ARCHIVED, now.date(), name, now)


def not_copied(last: SlotClaim | None, copied: SlotClaim | None) -> str:
    """Return why the last copy off the machine failed, given the last claims of each type; empty if it didn't."""
    return last.by if last and not (copied and copied.at > last.at) else ""
