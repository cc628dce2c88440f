"""How fresh a piece of evidence is, and for how long newer evidence has been due."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tradebot.judging.evidence import Evidence
from tradebot.model.record import Job

NEVER = datetime.min.replace(tzinfo=UTC)


class Freshness(NamedTuple):
    """When evidence was made, its age, how long newer evidence has been due, and how long that may be; seconds."""

    at: datetime | None
    age_s: float | None
    late_s: float | None
    budget_s: int | None

    @property
    def overdue(self) -> bool:
        """Return True if newer evidence has been due for longer than it may be."""
        return self.late_s is not None and self.budget_s is not None and self.late_s > self.budget_s


UNKNOWABLE = Freshness(None, None, None, None)


def late_s(at: datetime, due: Sequence[datetime], now: datetime) -> float:
    """Return the seconds since the first slot after `at` began; 0 if none has begun. `due` is in order."""
    place = bisect_right(due, at)
    return max((now - due[place]).total_seconds(), 0.0) if place < len(due) else 0.0


def by_slots(evidence: Evidence, at: datetime | None, job: Job) -> Freshness:
    """Return the freshness of what each pass of a job renews; it doesn't grow old while no slot begins."""
    budget_s = evidence.budgets.slot_s[job]
    if evidence.now is None:
        return Freshness(at, None, None, budget_s)
    age_s = max((evidence.now - at).total_seconds(), 0.0) if at else None
    return Freshness(at, age_s, late_s(at or NEVER, evidence.due.get(job, ()), evidence.now), budget_s)


def due_by(evidence: Evidence, job: Job) -> datetime | None:
    """Return when the first evidence that a job makes has to be there; None if no slot of it is known."""
    first = next(iter(evidence.due.get(job, ())), evidence.coming.get(job))
    return first + timedelta(seconds=evidence.budgets.slot_s[job]) if first else None


def by_clock(evidence: Evidence, at: datetime, budget_s: int | None = None) -> Freshness:
    """Return the freshness of what is renewed all the time, by this machine's clock."""
    age_s = max((evidence.at - at).total_seconds(), 0.0)
    return Freshness(at, age_s, age_s, budget_s)


def just_now(evidence: Evidence) -> Freshness:
    """Return the freshness of what was read to answer this very question."""
    return Freshness(evidence.at, 0.0, 0.0, None)
