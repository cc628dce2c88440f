"""The slots of the lines around a day, and those of past days that nobody has accounted for."""

from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import UTC, date, datetime, time, timedelta

from tradebot.model.bar import Session
from tradebot.model.reasons import Reason
from tradebot.model.venue_day import VenueDay
from tradebot.ports.stores import Ledger
from tradebot.timetable.entries import Line
from tradebot.timetable.sessions import BEGINS_AHEAD, CALENDAR_KNOWN, Slot

FIRST_SEEN = date.min
"""The date under which the ledger keeps since when a line has its times; a session never has it."""
MOST_DAYS = 400
"""How many past days are looked through for slots that nobody ran. Older ones stay without a row."""
DAY = timedelta(days=1)


class Planned:
    """Reads the slots of some lines from the stored calendar; `venue` says when a day begins.

    A slot that was over before the books were opened, or before its line had its times, is nobody's. So is a chore's
    that began before, because some of them may begin for days.
    """

    def __init__(self, ledger: Ledger, lines: Sequence[Line], grace_s: int, venue: VenueDay) -> None:
        self._ledger = ledger
        self._venue = venue
        self._lines = lines
        self._grace_s = grace_s
        self._since: Mapping[str, datetime] = {}
        self._past: list[tuple[date, Reason]] = []
        self._known: Set[tuple[str, date, str]] = frozenset()
        self._days = date.min, date.min
        self._sessions: Sequence[Session] = ()

    def around(self, now: datetime, idle_since: datetime | None) -> Sequence[Slot]:
        """Return the slots that may still be due, and those that begin until the end of tomorrow.

        `idle_since` is when this process last looked, None at its first look; slots that began before are left out.
        """
        # What was noted under a clock that was ahead is noted again.
        if not self._since or max(self._since.values()) > now:
            self._since = {line.job: since for line in self._lines for since in (self._first_seen(line, now),)}
        first, last, until = now.date() - DAY, now.date() + DAY, datetime.combine(now.date() + 2 * DAY, time(), UTC)
        # A session may begin days before its date, and one that begins tomorrow counts too.
        self._days = first, last + BEGINS_AHEAD
        self._sessions = self._ledger.sessions(*self._days)
        read = [
            slot
            for line in self._lines
            for slot in self._slots([line], _range(min(first, now.date() - line.reach - DAY), self._days[1]))
            if (slot.end > now or slot.session >= first) and (slot.session <= last or slot.start < until)
        ]
        self._known = {slot.key for slot in read}
        found = [slot for slot in read if idle_since is None or slot.start > idle_since]
        self._past += reversed(list(self._unaccounted(now, idle_since)))
        return found

    def of_a_past_day(self, now: datetime) -> Sequence[tuple[Slot, Reason]]:
        """Return the slots of the first past day that isn't accounted for, with the reason; one day at a time."""
        while self._past:
            day, reason = self._past[0]
            if found := self._left_open(day, now):
                return [(slot, reason) for slot in found]
            self._past.pop(0)
        return ()

    def wrote(self) -> None:
        """Note that what was missed has been written: the past day that was returned is accounted for."""
        self._past = self._past[1:]

    @property
    def changed(self) -> bool:
        """Return True if the stored calendar has changed since the slots around today were read."""
        return self._ledger.sessions(*self._days) != self._sessions

    def has(self, slot: Slot) -> bool:
        """Return True unless the slot's session was changed so that the slot doesn't come any more."""
        return slot.key in self._known or slot.session < self._days[0]

    def _slots(self, lines: Sequence[Line], days: Sequence[date]) -> Iterator[Slot]:
        around = CALENDAR_KNOWN if any(line.names_sessions for line in lines) else DAY
        sessions = self._ledger.sessions(days[0] - around, days[-1] + around) if days else ()
        for line in lines:
            for day in days:
                slots = line.slots(day, _near(sessions, day, line), self._grace_s)
                since = self._since[line.job]
                yield from (slot for slot in slots if (slot.start if line.is_chore else slot.end) > since)

    def _left_open(self, day: date, now: datetime) -> Sequence[Slot]:
        """Return the slots of a past day that are over and that nobody has claimed."""
        taken = {(claim.job, claim.session, claim.slot) for claim in self._ledger.slot_claims(day)}
        return [slot for slot in self._over(day, now) if slot.key not in taken]

    def _over(self, day: date, now: datetime) -> Iterator[Slot]:
        """Yield the slots of a past day that can't begin any more."""
        return (slot for slot in self._slots(self._lines, [day]) if slot.end <= now and slot.key not in self._known)

    def _unaccounted(self, now: datetime, idle_since: datetime | None) -> Iterator[tuple[date, Reason]]:
        """Yield the past days with slots that nobody claimed, the latest first, back to a day without any."""
        reason = Reason.NOT_RUNNING if idle_since is None else Reason.ASLEEP
        since = min(self._since.values(), default=now) if idle_since is None else idle_since
        day, last = now.date() - 2 * DAY, max(since.date(), now.date() - MOST_DAYS * DAY)
        while day >= last:
            # A day whose slots may all still begin says nothing about the days before it.
            if any(True for _ in self._over(day, now)):
                if idle_since is None and not self._left_open(day, now):
                    return
                yield day, reason
            day -= DAY

    def _first_seen(self, line: Line, now: datetime) -> datetime:
        """Return since when a line has its times, and write it down if nobody has yet."""
        job, times = f"times of {line.job}", str(line.times)
        seen = [claim for claim in self._ledger.slot_claims(FIRST_SEEN) if claim.job == job and claim.at <= now]
        last = max(seen, key=lambda claim: claim.at, default=None)
        if last is not None and last.slot.partition(" ")[2] == times:
            return last.at
        # A line seen for the first time had its times all day, a chore since yesterday: it may be run a day late. One
        # that was changed has them from now on.
        today = self._venue.local(now).date()
        midnight = self._venue.begins(today - DAY if line.is_chore else today)
        opened = self._ledger.books_opened_at()
        since = now if last else max(midnight, opened) if opened else midnight
        self._ledger.claim_slot(job, FIRST_SEEN, f"{now:%Y-%m-%dT%H:%M:%S.%fZ} {times}", "the timetable", since)
        return since


def _range(first: date, last: date) -> Sequence[date]:
    return [first + count * DAY for count in range((last - first).days + 1)]


def _near(sessions: Sequence[Session], day: date, line: Line) -> Sequence[Session]:
    """Return the sessions that decide which slots a line has on a day: the day's own, or all of them."""
    return sessions if line.names_sessions else [session for session in sessions if session.date == day]
