"""Find what is due now: slots that have begun and are unclaimed, and missed slots."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from datetime import UTC, date, datetime, time, timedelta

from msgspec import Struct

from tradebot.model.bar import Session
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.trading import SlotClaim, as_missed
from tradebot.model.venue_day import VenueDay
from tradebot.ports.stores import Ledger
from tradebot.timetable.entries import TimetableEntry
from tradebot.timetable.sessions import BEGINS_AHEAD, CALENDAR_KNOWN, CHAIN, Slot

ENTRIES = Job.TRADE_ONCE
"""The job that opens positions. If it is late, its slot is missed; the other jobs may run late."""
ASLEEP_S = 60
"""There is a tick each second.

After a longer pause without work, in seconds, the machine slept or the process was stopped.
"""
COMPARE_EVERY = timedelta(minutes=1)
"""How often to check the stored calendar for changes while nothing is due."""
DAY = timedelta(days=1)
AFTER_CLOSE = timedelta(minutes=1)
"""How long after a session's close the broker is expected to have reported its last fills and expired orders."""

Claims = Mapping[tuple[str, date, str], SlotClaim]


class MissedSlot(Struct, frozen=True):
    """A missed slot, and why."""

    slot: Slot
    reason: Reason

    @property
    def key(self) -> tuple[str, date, str]:
        """Return the slot's key in the ledger."""
        return self.slot.key


class DueSlots(Struct, frozen=True):
    """What is due: the slots to run, in the order in which jobs follow each other, and the missed slots."""

    run: tuple[Slot, ...]
    missed: tuple[MissedSlot, ...]


class SlotTracker:
    """Tracks the slots that this process still has to run; the ledger says which are claimed.

    A claimed slot whose pass is `unfinished` is due again, unless it is for entries. The command takes the pass lock
    and then determines if the pass was interrupted.
    """

    def __init__(
        self,
        ledger: Ledger,
        lines: Sequence[TimetableEntry],
        grace_s: int,
        venue: VenueDay,
        new_day: Callable[[datetime], None],
        unfinished: Callable[[Slot, datetime], bool],
    ) -> None:
        self._ledger = ledger
        self._planned = SlotPlanner(ledger, lines, grace_s, venue)
        self._grace = timedelta(seconds=grace_s)
        self._new_day = new_day
        self._unfinished = unfinished
        jobs = [line.job for line in lines]
        self._order = {job: index for index, job in enumerate(sorted(jobs, key=_chain_index))}
        self._day: date | None = None
        self._ahead: list[Slot] = []
        self._failed: dict[tuple[str, date, str], Reason] = {}
        self._idle_since: datetime | None = None
        self._believed = True
        self._compared_at = datetime.min.replace(tzinfo=UTC)

    def look(self, now: datetime) -> DueSlots:
        """Return what is due at `now`. A slot to run is returned until it is claimed or has ended.

        If several slots of a job have passed, the job runs once, for the latest slot, unless that would be a late
        entry. A missed slot is returned until it is recorded.
        """
        if now.date() != self._day:
            self._begin_day(now)
        if self._failed:
            # If a clock was set back, what was tried while it was ahead is tried again.
            ahead = {slot.key for slot in self._ahead if slot.start > now}
            self._failed = {key: reason for key, reason in self._failed.items() if key not in ahead}
        begun = [slot for slot in self._ahead if slot.start <= now]
        if (begun or self._is_to_compare(now)) and self._planned.has_changed:
            self._begin_day(now)
            begun = [slot for slot in self._ahead if slot.start <= now]
        keys = {slot.key for slot in begun}
        past = [MissedSlot(*each) for each in self._planned.of_a_past_day(now) if each[0].key not in keys]
        if not begun:
            return DueSlots((), tuple(past))
        claims = self._claims(begun)
        latest = {slot.job: slot for slot in begun if self._planned.has(slot) and self._may_begin(slot, now)}
        to_run = [slot for slot in latest.values() if not self._is_taken(slot, claims, now)]
        remaining = [slot for slot in begun if slot.key not in claims and latest.get(slot.job) is not slot]
        self._ahead = [*remaining, *to_run, *(slot for slot in self._ahead if slot.start > now)]
        missed = (MissedSlot(slot, self._why(slot, latest, now)) for slot in remaining)
        return DueSlots(tuple(sorted(to_run, key=lambda slot: self._order[slot.job])), (*past, *missed))

    def rest(self, now: datetime, *, believed: bool = True) -> None:
        """Record that everything due by `now` has been run; `believed` is False if that time isn't reliable."""
        self._idle_since, self._believed = now, believed
        if not believed:
            # Exits may have run meanwhile without their slot: nobody could tell which slot it was.
            begun = (slot.key for slot in self._ahead if slot.start <= now)
            self._failed |= dict.fromkeys(begun, Reason.CLOCKS_DISAGREE)

    def note_failure(self, slot: Slot, reason: Reason) -> None:
        """Record why a slot couldn't be run this time. If the slot ends up missed, this is the reason."""
        self._failed[slot.key] = reason

    def is_late(self, slot: Slot, now: datetime) -> bool:
        """Return True if an entry in this slot would come after the grace period or the slot's end."""
        return now - slot.start > self._grace or now >= slot.end

    def may_wait(self, slot: Slot, now: datetime) -> bool:
        """Return True while an entry may wait for facts due at the same time: for half of the grace period."""
        return now - slot.start < self._grace / 2

    def latest(self, job: Job, now: datetime) -> Slot | None:
        """Return the job's slot that has begun and isn't known to be claimed, without querying the ledger."""
        begun = [slot for slot in self._ahead if slot.job == job and slot.start <= now < slot.end]
        return begun[-1] if begun else None

    def next_start(self, now: datetime) -> datetime | None:
        """Return when the next slot starts, up to the end of the next day; None if there are no more."""
        if now.date() != self._day:
            self._begin_day(now)
        return min((slot.start for slot in self._ahead if slot.start > now), default=None)

    def has_session_ended(self, since: datetime, now: datetime) -> bool:
        """Return True if a session ended after `since`, AFTER_CLOSE ago or earlier, and no other one is open now."""
        sessions = self._planned.sessions
        ended = any(since < session.close + AFTER_CLOSE <= now for session in sessions)
        return ended and not any(session.contains(now) for session in sessions)

    def write(self, missed: Iterable[MissedSlot], now: datetime, by: str) -> Sequence[MissedSlot]:
        """Claim all missed slots at once; return those that no other process had claimed."""
        won: list[MissedSlot] = []
        for reason in dict.fromkeys(each.reason for each in missed):
            of_it = {each.key: each for each in missed if each.reason is reason}
            claims = self._ledger.miss_slots(of_it, as_missed(by, reason), now)
            won += [each for each, claim in zip(of_it.values(), claims, strict=True) if claim.won]
        written = {each.slot for each in missed}
        self._ahead = [slot for slot in self._ahead if slot not in written]
        self._planned.wrote()
        return won

    def record(self, missed: MissedSlot, now: datetime, mode: str) -> CycleRecord | None:
        """Return the record of a missed entry slot, for `why-no-orders`; None for a slot of another job.

        A slot that began more than a day ago needs no record, because its claim already counts it.
        """
        slot = missed.slot
        if slot.job != ENTRIES or now - slot.start > DAY:
            return None
        late_s, grace_s = int((now - slot.start).total_seconds()), int(self._grace.total_seconds())
        decision = Decision(Gate.JOB, Verdict.FAIL, missed.reason, late_s, grace_s)
        identity = f"{slot.job}.{slot.session.isoformat()}.{slot.name}"
        return CycleRecord(identity, ENTRIES, slot.session, slot.name, now, mode, (), decision)

    def _is_to_compare(self, now: datetime) -> bool:
        """Return True once a minute: a changed calendar may have slots where there were none."""
        if timedelta(0) <= now - self._compared_at < COMPARE_EVERY:
            return False
        self._compared_at = now
        return True

    def _claims(self, slots: Iterable[Slot]) -> Claims:
        days = dict.fromkeys(slot.session for slot in slots)
        claims = (claim for day in days for claim in self._ledger.slot_claims(day))
        return {(claim.job, claim.session, claim.slot): claim for claim in claims}

    def _may_begin(self, slot: Slot, now: datetime) -> bool:
        return not self.is_late(slot, now) if slot.job == ENTRIES else now < slot.end

    def _is_taken(self, slot: Slot, claims: Claims, now: datetime) -> bool:
        claim = claims.get(slot.key)
        if claim is None:
            return False
        return slot.job == ENTRIES or claim.missed_reason is not None or not self._unfinished(slot, now)

    def _why(self, slot: Slot, latest: Mapping[str, Slot], now: datetime) -> Reason:
        if not self._planned.has(slot):
            return Reason.CLOSED_EARLY
        if slot.key in self._failed:
            return self._failed[slot.key]
        if self._idle_since is None:
            # This process wasn't there when it began. It is there now, but an entry is too late.
            return Reason.SLOT_MISSED if now < slot.end and slot.job not in latest else Reason.NOT_RUNNING
        # If the clock was wrong at the last look, how much later it is now says nothing.
        if self._believed and slot.start > self._idle_since and (now - self._idle_since).total_seconds() > ASLEEP_S:
            return Reason.ASLEEP
        later = latest.get(slot.job)
        return Reason.SLOT_SUPERSEDED if later and later.start > slot.start else Reason.SLOT_MISSED

    def _begin_day(self, now: datetime) -> None:
        """Read the slots around a new day, keeping those that are still to be run or written."""
        self._new_day(now)
        slots = {slot.key: slot for slot in (*self._ahead, *self._planned.around(now, self._idle_since))}
        self._ahead = sorted(slots.values(), key=lambda slot: slot.start)
        day = now.date() - 2 * DAY
        self._failed = {key: reason for key, reason in self._failed.items() if key[1] >= day}
        self._day = now.date()


def _chain_index(job: str) -> int:
    return CHAIN.index(Job(job)) if job in set(Job) else len(CHAIN)


FIRST_SEEN = date.min
"""The date under which the ledger stores since when an entry has had its times; no session has this date."""
MOST_DAYS = 400
"""How many past days are searched for missed slots. Older ones remain unrecorded."""


class SlotPlanner:
    """Reads the slots of some timetable entries from the stored calendar; `venue` says when a day begins.

    It skips slots that ended before the books were opened, or before their timetable entry got its times. A chore's
    slot may last for days, so it is skipped if it merely began before then.
    """

    def __init__(self, ledger: Ledger, lines: Sequence[TimetableEntry], grace_s: int, venue: VenueDay) -> None:
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
        """Return the slots that may still be due, and those that begin before the end of tomorrow.

        `idle_since` is when this process last checked, and None at its first check. Slots that began before then are
        left out.
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
        slots = [slot for slot in read if idle_since is None or slot.start > idle_since]
        self._past += reversed(list(self._unaccounted_days(now, idle_since)))
        return slots

    def of_a_past_day(self, now: datetime) -> Sequence[tuple[Slot, Reason]]:
        """Return the slots of the first past day that isn't settled, each with the reason why it was missed.

        Each call returns the slots of one day.
        """
        while self._past:
            day, reason = self._past[0]
            if slots := self._unclaimed_slots(day, now):
                return [(slot, reason) for slot in slots]
            self._past.pop(0)
        return ()

    def wrote(self) -> None:
        """Record that the missed slots last returned for a past day have been written, which settles that day."""
        self._past = self._past[1:]

    @property
    def sessions(self) -> Sequence[Session]:
        """Return the stored sessions around today, as they were when slots were last read."""
        return self._sessions

    @property
    def has_changed(self) -> bool:
        """Return True if the stored calendar has changed since the slots around today were read."""
        return self._ledger.sessions(*self._days) != self._sessions

    def has(self, slot: Slot) -> bool:
        """Return False if the slot's session has changed so that the slot no longer exists, otherwise True."""
        return slot.key in self._known or slot.session < self._days[0]

    def _slots(self, lines: Sequence[TimetableEntry], days: Sequence[date]) -> Iterator[Slot]:
        around = CALENDAR_KNOWN if any(line.names_sessions for line in lines) else DAY
        sessions = self._ledger.sessions(days[0] - around, days[-1] + around) if days else ()
        for line in lines:
            for day in days:
                slots = line.slots(day, _near(sessions, day, line), self._grace_s)
                since = self._since[line.job]
                yield from (slot for slot in slots if (slot.start if line.is_chore else slot.end) > since)

    def _unclaimed_slots(self, day: date, now: datetime) -> Sequence[Slot]:
        """Return the slots of a past day that are over and unclaimed."""
        taken = {(claim.job, claim.session, claim.slot) for claim in self._ledger.slot_claims(day)}
        return [slot for slot in self._over(day, now) if slot.key not in taken]

    def _over(self, day: date, now: datetime) -> Iterator[Slot]:
        """Yield the slots of a past day that can't begin any more."""
        return (slot for slot in self._slots(self._lines, [day]) if slot.end <= now and slot.key not in self._known)

    def _unaccounted_days(self, now: datetime, idle_since: datetime | None) -> Iterator[tuple[date, Reason]]:
        """Yield the past days with slots that may be unclaimed, the latest first, with the reason why they were missed.

        The first check of a process ends at a day whose slots are all claimed, later ones at the last check.
        """
        reason = Reason.NOT_RUNNING if idle_since is None else Reason.ASLEEP
        since = min(self._since.values(), default=now) if idle_since is None else idle_since
        day, last = now.date() - 2 * DAY, max(since.date(), now.date() - MOST_DAYS * DAY)
        while day >= last:
            # A day whose slots may all still begin says nothing about the days before it.
            if any(True for _ in self._over(day, now)):
                if idle_since is None and not self._unclaimed_slots(day, now):
                    return
                yield day, reason
            day -= DAY

    def _first_seen(self, line: TimetableEntry, now: datetime) -> datetime:
        """Return since when an entry has had its times, and record it if nobody has yet."""
        job, times = f"times of {line.job}", str(line.times)
        claims = [claim for claim in self._ledger.slot_claims(FIRST_SEEN) if claim.job == job and claim.at <= now]
        last = max(claims, key=lambda claim: claim.at, default=None)
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


def _near(sessions: Sequence[Session], day: date, line: TimetableEntry) -> Sequence[Session]:
    """Return the sessions that decide which slots a line has on a day: the day's own, or all of them."""
    return sessions if line.names_sessions else [session for session in sessions if session.date == day]
