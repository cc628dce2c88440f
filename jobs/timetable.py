"""When each job is due: slots at offsets from the session's open, so that half days move by themselves."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from tradebot.model.bar import Session
from tradebot.model.record import Job
from tradebot.settings import JobTimes

CHAIN = (Job.FETCH_FLOW, Job.SCORE, Job.EVALUATE_EXITS, Job.TRADE_ONCE, Job.RECONCILE)
"""The order in which jobs that are due together run: facts first, exits before entries, the comparison last."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One due time of a job: `name` is its offset from the open, the same on half days and whole ones."""

    job: Job
    session: date
    name: str
    start: datetime


def slots(job: Job, times: JobTimes, session: Session) -> Iterator[Slot]:
    """Yield the job's slots of one session, in order."""
    start = session.open + timedelta(seconds=times.after_open_s)
    last = session.close - timedelta(seconds=times.before_close_s)
    while start < last:
        yield _slot(job, session, start)
        start += timedelta(seconds=times.every_s)


def slot_at(job: Job, times: JobTimes, session: Session, now: datetime) -> Slot | None:
    """Return the slot that contains `now`, or None before the job's first and after its last moment."""
    first = session.open + timedelta(seconds=times.after_open_s)
    last = session.close - timedelta(seconds=times.before_close_s)
    if not first <= now < last:
        return None
    number = (now - first) // timedelta(seconds=times.every_s)
    return _slot(job, session, first + number * timedelta(seconds=times.every_s))


def next_slot(job: Job, times: JobTimes, session: Session, now: datetime) -> Slot | None:
    """Return the job's first slot of the session that begins after `now`, or None where there is none left."""
    return next((slot for slot in slots(job, times, session) if slot.start > now), None)


def due_at(timetable: Mapping[Job, JobTimes], session: Session, now: datetime) -> list[Slot]:
    """Return the slots that begin exactly at `now`, in the order of the chain; for drivers that step by the minute."""
    found = (slot_at(job, timetable[job], session, now) for job in CHAIN)
    return [slot for slot in found if slot is not None and slot.start == now]


def _slot(job: Job, session: Session, start: datetime) -> Slot:
    minutes = int((start - session.open).total_seconds()) // 60
    return Slot(job, session.date, f"open+{minutes}m", start)
