"""The loop of `serve`: run what is due until told to stop. APScheduler only ticks; the ledger says what is due."""

import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_REMOVED, JobExecutionEvent
from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.interval import IntervalTrigger

from jobs.duty import ENTRIES, Duty
from jobs.timetable import Slot
from tradebot.errors import ExitCode, OperatorError, TemporaryError, TradebotError, one_line
from tradebot.model.event import Severity, SystemEvent
from tradebot.model.record import CycleRecord, Job
from tradebot.ports.stores import Events

TICK_S = 1.0
"""Real seconds between two ticks, and the longest that a signal waits to be seen."""
MAX_FAULTS = 3
"""How many bugs in a row end the process. Going on would only repeat them; a restart goes through recovery."""
TRY_AGAIN = timedelta(seconds=15)
TRACE_LINES = 12


class Kind(StrEnum):
    """The kind of a line that `serve` prints."""

    NOTE = "note"
    RAN = "ran"
    MISSED = "missed"
    FAILED = "failed"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Done:
    """How a verb ended, in one sentence."""

    said: str
    exit_code: ExitCode


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened, at trading time; `took_s` is in real seconds."""

    at: datetime
    kind: Kind
    job: Job | None
    slot: str | None
    said: str
    exit_code: ExitCode
    took_s: float | None = None


@dataclass(frozen=True, slots=True)
class Station:
    """What a runner works with: the verb of each job, its own name, and where records, events and lines go.

    `stopwatch` returns real seconds since an arbitrary start.
    """

    verbs: Mapping[Job, Callable[[], Done]]
    by: str
    mode: str
    record: Callable[[CycleRecord], None]
    events: Events
    tell: Callable[[Line], None]
    stopwatch: Callable[[], float]


class Pace(Protocol):
    """The source of trading time."""

    @property
    def finished(self) -> bool:
        """Return True if trading time has ended for good."""

    @property
    def believed(self) -> bool:
        """Return True if the date is certain enough to record slots as missed."""

    @property
    def now(self) -> datetime:
        """Return trading time without any I/O."""

    def moments(self) -> Iterator[datetime]:
        """Yield the trading times at which to check for due slots during one tick."""


class Runner:
    """Runs what is due at each tick, one pass after the other, in one thread."""

    def __init__(self, station: Station, duty: Duty, pace: Pace) -> None:
        self._station = station
        self._duty = duty
        self._pace = pace
        self._reconciled = False
        self._tried: dict[tuple[Job, str | None], datetime] = {}
        self._faults = 0
        self.stopping = False

    @property
    def over(self) -> bool:
        """Return True if there should be no further tick."""
        return self.stopping or self._pace.finished or self._faults >= MAX_FAULTS

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code of the process: an error only after too many bugs in a row."""
        return ExitCode.ERROR if self._faults >= MAX_FAULTS else ExitCode.DONE

    def begin(self) -> None:
        """Compare books and broker before anything else. OperatorError is raised while a person is still watching."""
        self._reconcile(self._pace.now, at_start=True)

    def tick(self) -> None:
        """Check for due slots: once with a real broker, at each moment of the tick in the sandbox."""
        for now in self._pace.moments():
            self._look(now)
            if self.over:
                return

    def _look(self, now: datetime) -> None:
        try:
            due = self._duty.look(now)
        except TemporaryError as busy:
            self._tell(Line(now, Kind.FAILED, None, None, busy.message, busy.code))
            return
        for slot in due.missed if self._pace.believed else ():
            self._miss(slot, now)
        if not self._reconciled:
            self._reconcile(now)
        for slot in due.run:
            if not self.over:
                self._fill(slot)

    def _reconcile(self, now: datetime, *, at_start: bool = False) -> None:
        """Compare books and broker whatever the timetable says; entries wait until this has succeeded."""
        if self._may_try(Job.RECONCILE, None, now):
            self._reconciled = self._run(Job.RECONCILE, None, now, at_start=at_start)

    def _fill(self, slot: Slot) -> None:
        """Run a slot's job, unless it has to wait: entries for the first comparison, any job after a failed attempt."""
        now = self._pace.now
        if slot.job is ENTRIES and (not self._reconciled or self._duty.is_late(slot, now)):
            return
        if self._may_try(slot.job, slot.name, now):
            self._run(slot.job, slot.name, now)

    def _may_try(self, job: Job, slot: str | None, now: datetime) -> bool:
        """Return False for a while after an attempt that left the slot unclaimed, because the broker didn't answer."""
        tried_at = self._tried.get((job, slot))
        return tried_at is None or now - tried_at >= TRY_AGAIN

    def _run(self, job: Job, slot: str | None, now: datetime, *, at_start: bool = False) -> bool:
        """Run a verb and report how it ended; a failing verb costs only its own pass."""
        began = self._station.stopwatch()
        # Keep one entry per job: the first attempt at a new slot replaces the entry of the old one.
        self._tried = {key: at for key, at in self._tried.items() if key[0] is not job} | {(job, slot): now}
        try:
            done = self._station.verbs[job]()
        except TradebotError as failed:
            if at_start and isinstance(failed, OperatorError):
                raise
            self._emit(now, "job_failed", Severity.WARN, job, failed.message)
            self._ended(now, Kind.FAILED, job, slot, Done(one_line(failed), failed.code), began)
            return False
        except Exception as fault:  # noqa: BLE001 - the boundary of a job: anything else is our own bug
            self._faults += 1
            self._emit(now, "job_fault", Severity.ERROR, job, _trace(fault))
            message = f"a bug in tradebot, {self._faults} in a row: {type(fault).__name__}: {fault}"
            self._ended(now, Kind.FAULT, job, slot, Done(message, ExitCode.ERROR), began)
            return False
        self._faults = 0
        self._ended(now, Kind.RAN, job, slot, done, began)
        return True

    def _miss(self, slot: Slot, now: datetime) -> None:
        record = self._duty.write_missed(slot, now, self._station.by, self._station.mode)
        if record is None:
            return
        self._station.record(record)
        late_s = int((now - slot.start).total_seconds())
        self._emit(now, "slot_missed", Severity.WARN, slot.job, f"{slot.name}, {late_s} s ago")
        message = f"missed: it was due {late_s} s ago, and missed entries are not made up later"
        self._tell(Line(now, Kind.MISSED, slot.job, slot.name, message, ExitCode.DONE))

    def _emit(self, now: datetime, kind: str, severity: Severity, job: Job, message: str) -> None:
        details = {"job": job.value, "message": message}
        self._station.events.emit(SystemEvent(now, "serve", kind, severity, None, details))

    def _ended(self, now: datetime, kind: Kind, job: Job, slot: str | None, done: Done, began: float) -> None:
        took_s = round(self._station.stopwatch() - began, 3)
        self._tell(Line(now, kind, job, slot, done.said, done.exit_code, took_s))

    def _tell(self, line: Line) -> None:
        self._station.tell(line)


def _trace(fault: Exception) -> str:
    return "".join(traceback.format_exception(fault)[-TRACE_LINES:])


def tick_until(tick: Callable[[], None], over: Callable[[], bool], every_s: float = TICK_S) -> None:
    """Call `tick` every `every_s` real seconds in this thread until `over` returns True.

    Ticks that fall due during a long tick are skipped. An exception in a tick is raised here.
    """
    logging.getLogger("apscheduler").addHandler(logging.NullHandler())
    scheduler = BlockingScheduler(timezone=UTC, executors={"default": DebugExecutor()})
    trigger = IntervalTrigger(seconds=every_s, timezone=UTC)
    raised: list[BaseException] = []

    def once() -> None:
        tick()
        if over():
            end()

    def end() -> None:
        """End the trigger: the scheduler then removes its only job, and the removal shuts it down."""
        trigger.end_date = trigger.start_date

    def failed(event: JobExecutionEvent) -> None:
        raised.append(event.exception)
        end()

    scheduler.add_listener(failed, EVENT_JOB_ERROR)
    scheduler.add_listener(lambda event: scheduler.shutdown(wait=False), EVENT_JOB_REMOVED)
    scheduler.add_job(once, trigger, coalesce=True, misfire_grace_time=None)
    scheduler.start()
    if raised:
        raise raised[0]
