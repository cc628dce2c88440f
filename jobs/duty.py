"""Find out what is due now: slots that have started and that nobody has claimed yet."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.ports.stores import Ledger
from tradebot.timetable.job_times import JobTimes
from tradebot.timetable.sessions import session_of
from tradebot.timetable.slots import CHAIN, Slot, slots

ENTRIES = Job.TRADE_ONCE
"""The job that opens positions. If it is late, its slot is missed; the other jobs may run late."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is due: the slots to run, in the order of the chain, and the entry slots that are too late to run."""

    run: tuple[Slot, ...]
    missed: tuple[Slot, ...]


class Duty:
    """Tracks the session's slots that this process still has to run; the ledger says which of them are taken.

    A claimed slot whose pass is `unfinished` is due again, except for entries. The verb, which holds the pass lock,
    finds out whether the pass was cut short or is still running.
    """

    def __init__(
        self,
        ledger: Ledger,
        timetable: Mapping[Job, JobTimes],
        grace_s: int,
        new_day: Callable[[datetime], None],
        unfinished: Callable[[Slot, datetime], bool],
    ) -> None:
        self._ledger = ledger
        self._timetable = timetable
        self._grace = timedelta(seconds=grace_s)
        self._new_day = new_day
        self._unfinished = unfinished
        self._day: date | None = None
        self._ahead: list[Slot] = []

    def look(self, now: datetime) -> Due:
        """Return what is due at `now`. A slot to run is returned until it is taken or over, a missed slot only once.

        If several slots have passed, those for entries are missed; any other job runs once, for its latest slot.
        """
        if now.date() != self._day:
            self._begin_day(now)
        begun = [slot for slot in self._ahead if slot.start <= now]
        if not begun:
            return Due((), ())
        claimed = {(claim.job, claim.slot) for claim in self._ledger.slot_claims(begun[0].session)}
        missed = tuple(
            slot
            for slot in begun
            if slot.job is ENTRIES and (slot.job, slot.name) not in claimed and self.is_late(slot, now)
        )
        latest = {slot.job: slot for slot in begun if now < slot.end and slot not in missed}
        to_run = [slot for slot in latest.values() if not self._is_taken(slot, claimed, now)]
        self._ahead = [*to_run, *(slot for slot in self._ahead if slot.start > now)]
        return Due(tuple(sorted(to_run, key=lambda slot: CHAIN.index(slot.job))), missed)

    def _is_taken(self, slot: Slot, claimed: Set[tuple[str, str]], now: datetime) -> bool:
        if (slot.job, slot.name) not in claimed:
            return False
        return slot.job is ENTRIES or not self._unfinished(slot, now)

    def is_late(self, slot: Slot, now: datetime) -> bool:
        """Return True if an entry in this slot would come after the grace period or the slot's end."""
        return now - slot.start > self._grace or now >= slot.end

    def may_wait(self, slot: Slot, now: datetime) -> bool:
        """Return True while an entry may wait for the facts of its own minute: for half of the grace period."""
        return now - slot.start < self._grace / 2

    def latest(self, job: Job, now: datetime) -> Slot | None:
        """Return the job's slot that has begun and isn't known to be taken, without asking the ledger."""
        begun = [slot for slot in self._ahead if slot.job is job and slot.start <= now < slot.end]
        return begun[-1] if begun else None

    def next_start(self, now: datetime) -> datetime | None:
        """Return when the next slot of the day starts, or None if there are no more."""
        if now.date() != self._day:
            self._begin_day(now)
        return min((slot.start for slot in self._ahead if slot.start > now), default=None)

    def write_missed(self, slot: Slot, now: datetime, by: str, mode: str) -> CycleRecord | None:
        """Claim a missed slot and return its record, or None if someone has claimed it after all."""
        claim = self._ledger.claim_slot(slot.job, slot.session, slot.name, f"{by}, as missed", now)
        if not claim.won:
            return None
        late_s, grace_s = int((now - slot.start).total_seconds()), int(self._grace.total_seconds())
        decision = Decision(Gate.JOB, Verdict.FAIL, Reason.SLOT_MISSED, late_s, grace_s)
        identity = f"{slot.job}.{slot.session.isoformat()}.{slot.name}"
        return CycleRecord(identity, slot.job, slot.session, slot.name, now, mode, (), decision)

    def _begin_day(self, now: datetime) -> None:
        """Read the session of a new day, ignoring slots that ended before the books were opened."""
        self._new_day(now)
        session, opened_at = session_of(self._ledger, now), self._ledger.books_opened_at()
        jobs = [job for job in CHAIN if job in self._timetable] if session else []
        all_slots = [slot for job in jobs for slot in slots(job, self._timetable[job], session)] if session else []
        self._ahead = sorted(
            (slot for slot in all_slots if opened_at is None or slot.end > opened_at), key=lambda slot: slot.start
        )
        self._day = now.date()
