"""Do the work of `serve` at each tick: run what is due according to the ledger, until `serve` is stopped.

With a real broker, exits, entries, fetching and upkeep are lanes with a thread each. In the sandbox, one thread runs
the lanes in a fixed order. While it waits for a reply, exits and entries still run when they are due.
"""

import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

from jobs.backoff import Backoff
from jobs.due_slots import DAY, ENTRIES, MissedSlot, SlotTracker
from jobs.runner_context import Done, LogKind, LogLine, RunnerContext
from tradebot.errors import (
    CannotWriteError,
    ClocksDisagreeError,
    ExitCode,
    OperatorError,
    TemporaryError,
    TradebotError,
    one_line,
)
from tradebot.model.event import EventKind
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import Job
from tradebot.model.sentences import span
from tradebot.model.serving import Pause
from tradebot.timetable.sessions import FETCHING, Slot

ALL_JOBS = "all"
"""The job name in events about missed slots of earlier days."""


def tell_missed(slot_tracker: SlotTracker, context: RunnerContext, missed: Sequence[MissedSlot], now: datetime) -> None:
    """Record missed slots, and emit one event for each job and reason."""
    together: dict[tuple[str | None, Reason], list[Slot]] = {}
    for each in slot_tracker.write(missed, now, context.by):
        record = slot_tracker.record(each, now, context.mode)
        if record is not None:
            context.record(record)
        job = each.slot.job if now - each.slot.start <= DAY else None
        together.setdefault((job, each.reason), []).append(each.slot)
    for (job, reason), slots in together.items():
        lost = " Missed entries aren't made up later." if job == ENTRIES else ""
        message = f"{_slots_text(slots, now)}: {reason}. {REASONS[reason].meaning}{lost}"
        details = {"job": job or ALL_JOBS, "message": message}
        context.events.emit(EventKind.SLOT_MISSED.at(now, details))
        context.tell(LogLine(now, LogKind.MISSED, job, slots[0].name if job else None, message, ExitCode.DONE))


def _slots_text(slots: Sequence[Slot], now: datetime) -> str:
    """Describe the missed slots: how late a single one is, or how many there were, and from when to when."""
    first, last = slots[0], slots[-1]
    if len(slots) == 1:
        return f"missed: it was due {span((now - first.start).total_seconds())} ago"
    until = f"{last.name}" if first.session == last.session else f"{last.session} {last.name}"
    day = f"{first.session} " if now - first.start > DAY else ""
    return f"missed {len(slots)} slots, {day}{first.name} to {until}"


__all__ = ["Done", "LogKind", "LogLine", "Runner", "RunnerContext"]

TICK_S = 1.0
"""Real seconds between two ticks, which is also the longest that a signal waits."""
MAX_FAULTS = 3
"""How many bugs in a row end the process. Continuing would only repeat them; a restart goes through recovery."""
TRY_AGAIN = timedelta(seconds=15)
AGAIN_APART, AGAIN_MOST, AGAIN_WITHIN = timedelta(seconds=5), 10, timedelta(minutes=10)
"""Limits on passes outside the slots, because venues limit requests: the shortest time between two of them, and the
most of them within a period.
"""
TRACE_LINES = 12
WILL_PASS = (TemporaryError, CannotWriteError)
"""Errors that end nothing: another process has locked the books for a moment, or the disk is full for now."""
EARLIER = datetime.min.replace(tzinfo=UTC)
JOBS = frozenset(Job)
CALENDAR = "calendar"
"""The name in lines and events for fetching the broker's calendar."""


class Pace(Protocol):
    """Where trading time comes from."""

    @property
    def is_finished(self) -> bool:
        """Return True if trading time has ended for good."""

    @property
    def is_trustworthy(self) -> bool:
        """Return True if the date is certain enough to record slots as missed."""

    @property
    def now(self) -> datetime:
        """Return trading time, without any I/O."""

    def moments(self) -> Iterator[datetime]:
        """Yield the trading times at which to check for due slots during one tick."""

    def rest(self) -> None:
        """Record that everything due has been run."""

    def pause(self) -> Pause | None:
        """Return the time since the last check, if it was much longer than a tick takes."""


class PollingLane(Protocol):
    """A lane that checks for due work."""

    @property
    def looked_at(self) -> datetime | None:
        """Return the trading time up to which due slots were checked; some may have failed or may wait."""


class ReconcilingLane(PollingLane, Protocol):
    """A lane that also compares books and broker."""

    @property
    def is_reconciled(self) -> bool:
        """Return True once a comparison has succeeded."""


class Runner:
    """Runs what is due at each tick, one pass after another, in one thread: one lane of `serve`, or all lanes.

    It runs the jobs of its slot tracker. `facts` and `exits` are the lanes that entries wait for, if these lanes have
    their own threads.
    """

    def __init__(
        self,
        context: RunnerContext,
        slot_tracker: SlotTracker,
        pace: Pace,
        *,
        reconciled: bool = False,
        facts: PollingLane | None = None,
        exits: ReconcilingLane | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._context = context
        self._slot_tracker = slot_tracker
        self._pace = pace
        self._facts = facts
        self._exits = exits
        self._backoff = backoff or Backoff(0, 0, context.events)
        self._tried: dict[tuple[str, str | None], datetime] = {}
        self._running: str | None = None
        self._faults = 0
        self._again: list[datetime] = []
        self._woke = self._told_at = EARLIER
        self.is_reconciled = reconciled
        self.looked_at: datetime | None = None
        """The trading time up to which due slots were checked; some may have failed or may wait."""
        self.stopping = False

    @property
    def over(self) -> bool:
        """Return True if the runner has ended, so that it shouldn't be ticked again."""
        return self.stopping or self._pace.is_finished or self._faults >= MAX_FAULTS

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code of the process: an error only after too many bugs in a row."""
        return ExitCode.ERROR if self._faults >= MAX_FAULTS else ExitCode.DONE

    def begin(self) -> None:
        """Compare books and broker before anything else. Unlike later comparisons, this raises an OperatorError."""
        self._reconcile(self._pace.now, at_start=True)

    def exits_due(self) -> bool:
        """Return True if a slot for exits has begun and hasn't been tried; another pass in this thread then yields."""
        return self._exits_due() is not None

    def run_exits(self) -> None:
        """Run the exits that are due, in the middle of another pass of this lane."""
        slot = self._exits_due()
        if slot is not None:
            self._run_slot(slot)

    def _exits_due(self) -> Slot | None:
        busy_elsewhere = self.over or self._running in FETCHING
        slot = None if busy_elsewhere else self._slot_tracker.latest(Job.EVALUATE_EXITS, self._pace.now)
        return None if slot is None or (slot.job, slot.name) in self._tried else slot

    def run_again(self, job: Job, verb: Callable[[], Done]) -> bool:
        """Run a job outside its slots; return False if it can't run now.

        It has to wait if it has just run, if it has run often recently, or if its service doesn't respond.
        """
        now = self._pace.now
        # A time in the future dates from before the broker's clock was set back.
        self._again = [at for at in self._again if timedelta(0) <= now - at < AGAIN_WITHIN]
        just_ran = bool(self._again) and now - self._again[-1] < AGAIN_APART
        if self.over or just_ran or len(self._again) >= AGAIN_MOST or not self._backoff.may_try(job, now):
            return False
        self._again.append(now)
        slot = next((slot for tried, slot in self._tried if tried == job), None)
        self._run(job, slot, now, verb)
        return True

    def meanwhile(self, moments: Iterator[datetime]) -> None:
        """Let time pass for as long as a request takes, in lock-step.

        `moments` advances time, and yields whenever a job is due. While facts are being fetched, any other work that is
        due runs. A pass that trades yields to exits instead, when it makes its next request.
        """
        fetching = self._running in FETCHING
        for now in moments:
            if fetching and not self.over:
                self._run_due_slots(now, except_jobs=FETCHING)

    def tick(self) -> None:
        """Run due jobs: now with a real broker, at each moment of the tick in the sandbox."""
        for now in self._pace.moments():
            self._compare_first_after_pause(now)
            self._ask_calendar_if_due(now)
            if self._run_due_slots(now):
                # Nothing is left to do now, so idle time counts from here: it explains missed slots and shows a pause.
                self._slot_tracker.rest(self._pace.now, believed=self._pace.is_trustworthy)
                self._pace.rest()
                self.looked_at = now
            if self.over:
                return

    def _compare_first_after_pause(self, now: datetime) -> None:
        """Require a new comparison of books and broker after a pause, for example if the machine slept."""
        # The broker's clock may have been set back since the machine woke.
        self._woke = min(self._woke, now)
        pause = self._pace.pause()
        if pause is None:
            return
        self._pace.rest()
        self.is_reconciled, self._woke = False, now
        if self._context.calendar is not None:
            self._context.calendar.woke()
        if Job.RECONCILE in self._context.verbs:
            self._context.events.emit(EventKind.SLEPT.at(now, {"message": str(pause)}))
            self._tell(LogLine(now, LogKind.NOTE, None, None, str(pause), ExitCode.DONE))

    def _ask_calendar_if_due(self, now: datetime) -> None:
        """Fetch the broker's calendar if this lane does that and it is due; plan slots again where it has changed."""
        calendar = self._context.calendar
        if calendar is None or not (self._pace.is_trustworthy and calendar.is_due()):
            return
        if self._may_try(CALENDAR, None, now):
            self._run(CALENDAR, None, now, calendar.ask)

    def _run_due_slots(self, now: datetime, except_jobs: Collection[Job] = ()) -> bool:
        """Report missed slots, then run those that are due; return False if the ledger couldn't say what is due.

        `except_jobs` are left out, because one of them is waiting for its reply right now.
        """
        try:
            due = self._slot_tracker.look(now)
        except WILL_PASS as failed:
            self._tell_rarely(now, failed)
            return False
        if due.missed and self._pace.is_trustworthy:
            with self._despite_passing_failures(now):
                tell_missed(self._slot_tracker, self._context, due.missed, now)
        if Job.RECONCILE in self._context.verbs:
            # No slot comes after the close, but fills of the last minute and expired orders do.
            ended = self.looked_at is not None and self._slot_tracker.has_session_ended(self.looked_at, now)
            self.is_reconciled = self.is_reconciled and not ended
            if not self.is_reconciled:
                self._reconcile(now)
        for slot in due.run:
            # While an answer took its time, the slot may have run or ended.
            ran_meanwhile = now <= self._tried.get((slot.job, slot.name), EARLIER) <= self._pace.now
            if slot.job not in except_jobs and not (self.over or ran_meanwhile) and self._pace.now < slot.end:
                with self._despite_passing_failures(now):
                    self._run_slot(slot)
        return True

    @contextmanager
    def _despite_passing_failures(self, now: datetime) -> Iterator[None]:
        """Skip the rest of this block if a file or the broker can't be reached at the moment; it is tried again."""
        try:
            yield
        except WILL_PASS as failed:
            self._tell_rarely(now, failed)

    def _tell_rarely(self, now: datetime, failed: TradebotError) -> None:
        if now - self._told_at >= TRY_AGAIN:
            self._told_at = now
            self._tell(LogLine(now, LogKind.FAILED, None, None, one_line(failed), failed.code))

    def _reconcile(self, now: datetime, *, at_start: bool = False) -> None:
        """Compare books and broker, whatever the timetable says; entries wait until this has succeeded."""
        if self._may_try(Job.RECONCILE, None, now):
            self.is_reconciled = self._run(
                Job.RECONCILE, None, now, self._context.verbs[Job.RECONCILE], at_start=at_start
            )

    def _run_slot(self, slot: Slot) -> None:
        """Run a slot's job, unless it has to wait: entries for the first comparison, any job after a failed attempt.

        Entries also wait for the facts and the exits that are due at the same time, for at most half of the grace
        period. A job that depends on a failed stage waits for it until its slot is over.
        """
        now = self._pace.now
        if slot.job == ENTRIES and self._slot_tracker.is_late(slot, now):
            return
        if slot.job == ENTRIES and not self._is_compared:
            self._slot_tracker.note_failure(slot, Reason.STAGE_FAILED)
            return
        if slot.job == ENTRIES and self._comes_after_others(slot) and self._slot_tracker.may_wait(slot, now):
            return
        if self._context.unmet(slot) is not None:
            self._slot_tracker.note_failure(slot, Reason.STAGE_FAILED)
            return
        if slot.job not in JOBS and (why := self._context.spares()):
            self._slot_tracker.note_failure(slot, why)
            return
        if self._may_try(slot.job, slot.name, now):
            verb = self._context.verbs[Job(slot.job)] if slot.job in JOBS else partial(self._context.chore, slot)
            if not self._run(slot.job, slot.name, now, verb):
                self._slot_tracker.note_failure(slot, Reason.PASS_FAILED)

    @property
    def _is_compared(self) -> bool:
        if self.is_reconciled or self._exits is None:
            return self.is_reconciled
        looked = self._exits.looked_at
        return self._exits.is_reconciled and (self._woke is EARLIER or (looked is not None and looked >= self._woke))

    def _comes_after_others(self, slot: Slot) -> bool:
        """Return True if facts or exits that are due at the start of a slot are still to come."""
        others = [lane for lane in (self._facts, self._exits) if lane is not None]
        to_come = any(lane.looked_at is None or lane.looked_at < slot.start for lane in others)
        return to_come or self._running in FETCHING

    def _may_try(self, job: str, slot: str | None, now: datetime) -> bool:
        """Return False for a while after an attempt that left the slot unclaimed, because the broker didn't answer."""
        tried_at = self._tried.get((job, slot))
        # An attempt in the future was made before the broker's clock was set back.
        just_tried = tried_at is not None and tried_at <= now < tried_at + TRY_AGAIN
        return not just_tried and self._backoff.may_try(job, now)

    def _run(
        self, job: str, slot: str | None, now: datetime, verb: Callable[[], Done], *, at_start: bool = False
    ) -> bool:
        """Run a verb and report how it ended; a failing verb costs only its own pass."""
        began, before = self._context.stopwatch(), self._running
        # Keep one entry per job: the first attempt at a new slot replaces the entry of the old one.
        self._tried = {key: at for key, at in self._tried.items() if key[0] != job} | {(job, slot): now}
        self._running = job
        try:
            done = verb()
        except TradebotError as failed:
            if at_start and isinstance(failed, OperatorError):
                raise
            if isinstance(failed, TemporaryError) and not isinstance(failed, ClocksDisagreeError):
                self._backoff.note_failure(job, now)
            self._emit(now, EventKind.JOB_FAILED, job, failed.message)
            self._log_end(now, LogKind.FAILED, job, slot, Done(one_line(failed), failed.code), began)
            return False
        except Exception as fault:  # noqa: BLE001 - the boundary of a job: anything else is our own bug
            self._faults += 1
            self._emit(now, EventKind.JOB_FAULT, job, "".join(traceback.format_exception(fault)[-TRACE_LINES:]))
            raised = {"exception": type(fault).__name__, "message": str(fault), "where": _where(fault)}
            self._context.events.emit(EventKind.EXCEPTION.at(now, {"job": str(job), **raised}))
            message = f"a bug in tradebot, {self._faults} in a row: {type(fault).__name__}: {fault}"
            self._log_end(now, LogKind.FAULT, job, slot, Done(message, ExitCode.ERROR), began)
            return False
        finally:
            self._running = before
        self._faults = 0
        self._backoff.note_answer(job, now)
        self._log_end(now, LogKind.RAN, job, slot, done, began)
        return True

    def _emit(self, now: datetime, kind: EventKind, job: str, message: str) -> None:
        details = {"job": str(job), "message": message}
        self._context.events.emit(kind.at(now, details))

    def _log_end(self, now: datetime, kind: LogKind, job: str, slot: str | None, done: Done, began: float) -> None:
        took_s = round(self._context.stopwatch() - began, 3)
        self._tell(LogLine(now, kind, job, slot, done.said, done.exit_code, took_s))

    def _tell(self, line: LogLine) -> None:
        self._context.tell(line)


def _where(fault: Exception) -> str:
    last = traceback.extract_tb(fault.__traceback__)[-1]
    return f"{last.filename}:{last.lineno} in {last.name}"
