"""The slots of all jobs in a session, as offsets from its open: sessions of the same length share them."""

from bisect import bisect_left
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property

from msgspec import Struct

from tradebot.lab.driver.touching import MICROSECOND
from tradebot.model.bar import Session
from tradebot.model.record import Job
from tradebot.timetable.job_times import JobTimes
from tradebot.timetable.sessions import CHAIN, slots

LOOKS = frozenset({Job.EVALUATE_EXITS, Job.TRADE_ONCE})
"""The jobs whose passes look at the account's equity and at the prices of its positions."""


class Grid(Struct, frozen=True, dict=True):
    """When something is due after the open, in order, and which jobs that is, with the names of their slots.

    The jobs of one moment are in the order of the chain.
    """

    offsets: tuple[timedelta, ...]
    due: tuple[tuple[tuple[Job, str], ...], ...]

    @cached_property
    def places(self) -> Mapping[Job, tuple[int, ...]]:
        return {job: tuple(n for n, due in enumerate(self.due) if job in dict(due)) for job in CHAIN}

    @cached_property
    def count(self) -> int:
        return sum(map(len, self.due))

    def place(self, offset: timedelta) -> int:
        """Return the place of the first slot at or after an offset from the open."""
        return bisect_left(self.offsets, offset)

    def next_of(self, job: Job, place: int) -> int:
        """Return the place of the job's first slot at or after a place; the number of all places if there is none."""
        own = self.places[job]
        found = bisect_left(own, place)
        return own[found] if found < len(own) else len(self.offsets)

    def last_of(self, job: Job, place: int) -> int:
        """Return the place of the job's last slot before a place; -1 if there is none."""
        own = self.places[job]
        found = bisect_left(own, place)
        return own[found - 1] if found else -1

    @cached_property
    def exits_us(self) -> tuple[int, ...]:
        """Return when the passes of exits are due, in microseconds after the open."""
        return tuple(self.offsets[place] // MICROSECOND for place in self.places[Job.EVALUATE_EXITS])


def grid_of(timetable: Mapping[Job, JobTimes], session: Session) -> Grid:
    by_start: dict[datetime, list[tuple[Job, str]]] = {}
    for job in CHAIN:
        for slot in slots(job, timetable[job], session) if job in timetable else ():
            by_start.setdefault(slot.start, []).append((job, slot.name))
    starts = sorted(by_start)
    return Grid(tuple(start - session.open for start in starts), tuple(tuple(by_start[start]) for start in starts))
