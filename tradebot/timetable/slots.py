"""The slots of each job: offsets from the session's open or close, so that they shift on half days."""

from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache

from msgspec import Struct

from tradebot.model.bar import Session
from tradebot.model.record import Job
from tradebot.timetable.job_times import JobTimes

CHAIN = (Job.FETCH_FLOW, Job.SCORE, Job.EVALUATE_EXITS, Job.TRADE_ONCE, Job.RECONCILE)
"""The order of jobs that are due at the same time: facts first, exits before entries, the comparison last."""
FETCHING = (Job.FETCH_FLOW, Job.SCORE)
"""The jobs of the fetching lane: they ask for facts and use them, and send nothing."""


class Slot(Struct, frozen=True):
    """One due time of a job or a chore; it may run any time before `end`.

    The name of a job's slot is its offset from the open or close. `session` is the day of a chore without sessions.
    """

    job: str
    session: date
    name: str
    start: datetime
    end: datetime

    @property
    def key(self) -> tuple[str, date, str]:
        """Return what identifies the slot in the ledger: job, session and name."""
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
    """Return the slots that start exactly at `now`, in the order of the chain, for drivers that step by the minute."""
    current = (slot_at(job, timetable[job], session, now) for job in CHAIN)
    return [slot for slot in current if slot is not None and slot.start == now]
