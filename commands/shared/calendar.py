"""Keep the stored calendar in step with the broker's, and check that two clocks agree before a date is recorded."""

from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import datetime
from functools import partial

from jobs.chores import Chores, Running
from jobs.due_slots import SlotTracker
from jobs.runner_context import Done
from tradebot.adapters.state import state_locks
from tradebot.app.calendar import ask
from tradebot.app.settings import Settings
from tradebot.app.wiring import App
from tradebot.errors import ClocksDisagreeError, ExitCode, TradebotError
from tradebot.gates.shared_gates import clocks_agree
from tradebot.model.bar import VenueClock
from tradebot.model.decision import Decision
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import Job
from tradebot.model.trading import Mode
from tradebot.timetable.entries import EntryNeed, TimetableEntry
from tradebot.timetable.sessions import Slot, is_due, session_of, slot_at

ASKING = frozenset({Job.RECONCILE, Job.TRADE_ONCE})
"""The passes that update the calendar if it is due. Exits follow the broker's clock, and never wait for its calendar.
"""


def keep_calendar(app: "App", job: Job, clock: "VenueClock", by: str) -> None:
    """Store the calendar before a pass, and update it from the broker if that is due.

    Raises TradebotError if an entry pass can't update it, because entries need a calendar that the broker confirms.
    """
    app.ensure_calendar(clock.now)
    if job in ASKING and is_due(app.ledger, clock, app.day):
        with nullcontext() if job is Job.TRADE_ONCE else suppress(TradebotError):
            _ask(app, clock, by)


def _ask(app: "App", clock: "VenueClock", by: str) -> str:
    return ask(app.ledger, app.settings.capabilities, app.reader.calendar, clock, app.events, by)


class BrokerCalendarKeeper:
    """Updates the stored calendar from the broker's, inside `serve`.

    The lane that it runs in uses its `now` as the source of trading time.
    """

    def __init__(self, app: "App", by: str) -> None:
        self._app = app
        self._by = by
        self._clock: VenueClock | None = None
        self._is_due = self._woke = False

    def now(self) -> datetime:
        """Return trading time, which is the venue's clock; `is_due` then compares that clock with the calendar."""
        self._clock = self._app.reader.clock()
        return self._clock.now

    def woke(self) -> None:
        """Record that the process slept for a while, so that the calendar is updated in any case."""
        self._is_due = self._woke = True

    def is_due(self) -> bool:
        """Return True if the calendar should be updated now; computed whenever the clock was read."""
        if self._clock is not None:
            self._is_due = self._woke or self._is_due or is_due(self._app.ledger, self._clock, self._app.day)
            self._clock = None
        return self._is_due

    def ask(self) -> Done:
        """Update the calendar and return the result. Raises TradebotError if the broker doesn't respond."""
        # If the broker doesn't answer now, its next clock reading makes this due again.
        self._is_due = False
        result = _ask(self._app, self._app.reader.clock(), self._by)
        self._woke = False
        return Done(result, ExitCode.DONE)


def require(clock: "VenueClock", second: "datetime | None", settings: "Settings") -> None:
    """Raise ClocksDisagreeError if the broker's clock differs too much from a second one."""
    agreement = clocks_agree(clock.ahead_s(second), settings.limits)
    if not agreement.passed:
        raise disagreement(agreement)


def disagreement(decision: "Decision") -> ClocksDisagreeError:
    """Return the error that says how far the clocks differ."""
    ahead_s = float(str(decision.observed))
    which = "ahead of" if ahead_s > 0 else "behind"
    return ClocksDisagreeError(
        f"{Reason.CLOCKS_DISAGREE}: the broker's clock is {abs(ahead_s):,.0f} s {which} the second clock; "
        f"at most {decision.limit} s is allowed",
        REASONS[Reason.CLOCKS_DISAGREE].remedy,
    )


def account_for_missed(app: "App", by: str, now: datetime) -> None:
    """Record why past slots weren't run, one past day at a time.

    A strategy in shadow has no slots of its own. In the sandbox, only `serve` can miss a slot, because time stands
    still without it. The caller holds the pass lock.
    """
    if (
        not app.timed
        or app.mode is Mode.SANDBOX
        or state_locks.holder(app.folder.path, state_locks.SERVE_LOCK) is not None
    ):
        return
    settings = app.settings
    # Nothing is run here, so it doesn't matter which passes were cut short, and the calendar is stored already.
    inputs = app.ledger, settings.timetable.lines, settings.serve.grace_s, settings.day
    slot_tracker = SlotTracker(*inputs, lambda now: None, lambda slot, now: False)
    over = [missed for missed in slot_tracker.look(now).missed if missed.slot.end <= now]
    for missed in slot_tracker.write(over, now, by) if over else ():
        record = slot_tracker.record(missed, now, app.mode_name)
        if record is not None:
            app.facts.record(record)


def entry_grace_s(app: "App") -> int | None:
    """Return how long after the start of its slot an entry is allowed; None in the sandbox, where time stands still."""
    return None if app.mode is Mode.SANDBOX else app.settings.serve.grace_s


def lacks_flow(app: "App", job: Job, now: datetime) -> bool:
    """Return True if a job at `now` needs the flow of its slot, but that slot's fetch didn't succeed."""
    if not any(line.job == job and EntryNeed.FLOW in line.needs for line in app.settings.timetable.lines):
        return False
    session = session_of(app.ledger, now, app.day)
    slot = slot_at(job, app.settings.timetable[job], session, now) if session else None
    return slot is not None and unmet_need(app, slot) is EntryNeed.FLOW


def run_chore(
    app: "App", by: str, run: "Running", stopping: Callable[[], bool], slot: Slot, *, again: bool = False
) -> "Done":
    """Run a chore for its slot, one chore at a time in this state folder; with `again`, even if it was run before.

    Raises TradebotError if the chore failed, if another process is running a chore, or if two clocks disagree about the
    time.
    """
    lines = {line.job: line for line in app.settings.timetable.chores}
    with state_locks.hold(app.folder.path, f"chore {slot.job}", wait_s=0.0, name=state_locks.CHORE_LOCK):
        clock = app.reader.clock()
        require(clock, app.second_time(), app.settings)
        chores = Chores(app.ledger, lines, app.events, by, run, stopping, partial(_nothing_to_do, app))
        return chores(slot, clock.now, again=again)


def _nothing_to_do(app: "App", line: TimetableEntry, slot: Slot) -> str:
    """Return why `parity` has nothing to compare for a slot's session: a new bot, for one, has no pass of it."""
    if line.verb != "parity" or str(slot.session) not in line.command(slot.session):
        return ""
    with suppress(TradebotError):
        return "" if app.passes.passes(slot.session) else "nothing to compare: the session has no recorded pass"
    return ""


def unmet_need(app: "App", slot: Slot) -> EntryNeed | None:
    """Return what a slot still waits for: the flow of its time or, for a chore, a reconcile; None if nothing."""
    line = next(line for line in app.settings.timetable.lines if line.job == slot.job)
    if EntryNeed.FLOW in line.needs and not _has_flow(app, slot):
        return EntryNeed.FLOW
    if line.is_chore and EntryNeed.RECONCILED in line.needs and not _is_reconciled(app, slot):
        return EntryNeed.RECONCILED
    return None


def _has_flow(app: "App", slot: Slot) -> bool:
    """Return True if the fetch that was due when the slot starts has succeeded, or if none was due."""
    session = session_of(app.ledger, slot.start, app.day)
    fetch = slot_at(Job.FETCH_FLOW, app.settings.timetable[Job.FETCH_FLOW], session, slot.start) if session else None
    if fetch is None or app.existing_facts is None:
        return fetch is None
    passes = app.existing_facts.cycles(job=Job.FETCH_FLOW, last=1)
    return any(each.at >= fetch.start and each.job_decision is None for each in passes)


def _is_reconciled(app: "App", slot: Slot) -> bool:
    mark = app.ledger.last_reconcile()
    session = session_of(app.ledger, slot.start, app.day)
    return mark is not None and (session is None or mark.at >= session.open)
