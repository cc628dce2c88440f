"""When each job is due: slots at offsets from the session's open or close, so that half days move by themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache

from tradebot.model.bar import Session
from tradebot.model.record import Job
from tradebot.timetable.job_times import JobTimes

CHAIN = (Job.FETCH_FLOW, Job.SCORE, Job.EVALUATE_EXITS, Job.TRADE_ONCE, Job.RECONCILE)
"""The order in which jobs that are due together run: facts first, exits before entries, the comparison last."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One due time of a job: `name` is its offset from the open or close; it may still be filled until before `end`."""

    job: Job
    session: date
    name: str
    start: datetime
    end: datetime


@lru_cache(maxsize=2 * len(Job))
def slots(job: Job, times: JobTimes, session: Session) -> tuple[Slot, ...]:
    """Return the job's slots of one session, in order."""
    dues = times.in_session(session)
    return tuple(Slot(job, session.date, due.name, due.start, due.end) for due in dues)


def slot_at(job: Job, times: JobTimes, session: Session, now: datetime) -> Slot | None:
    """Return the slot that contains `now`: the last that has begun, or None before the first and where it is over."""
    begun = [slot for slot in slots(job, times, session) if slot.start <= now]
    return begun[-1] if begun and now < begun[-1].end else None


def next_slot(job: Job, times: JobTimes, session: Session, now: datetime) -> Slot | None:
    """Return the job's first slot of the session that begins after `now`, or None where there is none left."""
    return next((slot for slot in slots(job, times, session) if slot.start > now), None)


def due_at(timetable: Mapping[Job, JobTimes], session: Session, now: datetime) -> list[Slot]:
    """Return the slots that begin exactly at `now`, in the order of the chain; for drivers that step by the minute."""
    found = (slot_at(job, timetable[job], session, now) for job in CHAIN)
    return [slot for slot in found if slot is not None and slot.start == now]
