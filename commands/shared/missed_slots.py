"""What verbs that cron starts do as `serve` does it: account for slots that nobody ran, and wait for a failed stage."""

from collections.abc import Callable
from datetime import datetime

from commands.shared.calendar import require
from jobs.chores import Chores, Running
from jobs.due_slots import Duty
from jobs.runner_context import Done
from tradebot.adapters.state import state_locks
from tradebot.app.wiring import App
from tradebot.model.record import Job
from tradebot.model.trading import Mode
from tradebot.timetable.entries import EntryNeed
from tradebot.timetable.sessions import Slot, session_of, slot_at


def account_for_missed(app: "App", by: str, now: datetime) -> None:
    """Write why nobody ran the slots that are over, of one past day at a time.

    One in shadow has no slots of its own. In the sandbox, only `serve` can be late: without it, time stands still. The
    caller holds the pass lock.
    """
    if (
        not app.timed
        or app.mode is Mode.SANDBOX
        or state_locks.holder(app.folder.path, state_locks.SERVE_LOCK) is not None
    ):
        return
    settings = app.settings
    # It runs nothing, so it doesn't matter which passes were cut short, and the calendar is stored already.
    known = app.ledger, settings.timetable.lines, settings.serve.grace_s, settings.day
    duty = Duty(*known, lambda now: None, lambda slot, now: False)
    over = [missed for missed in duty.look(now).missed if missed.slot.end <= now]
    for missed in duty.write(over, now, by) if over else ():
        record = duty.record(missed, now, app.mode_name)
        if record is not None:
            app.facts.record(record)


def entry_grace_s(app: "App") -> int | None:
    """Return how long after its slot began an entry may come; None in the sandbox, where time stands still."""
    return None if app.mode is Mode.SANDBOX else app.settings.serve.grace_s


def lacks_flow(app: "App", job: Job, now: datetime) -> bool:
    """Return True if a job's line needs the flow of its slot at `now`, and the fetch of that slot hasn't ended well."""
    if not any(line.job == job and EntryNeed.FLOW in line.needs for line in app.settings.timetable.lines):
        return False
    session = session_of(app.ledger, now, app.day)
    slot = slot_at(job, app.settings.timetable[job], session, now) if session else None
    return slot is not None and unmet(app, slot) is EntryNeed.FLOW


def run_chore(
    app: "App", by: str, run: "Running", stopping: Callable[[], bool], slot: Slot, *, again: bool = False
) -> "Done":
    """Run the slot of a chore, one chore at a time on this state folder; `again` runs it whoever has.

    Raises TradebotError if it failed, if another process is running a chore, or if two clocks disagree about the time.
    """
    lines = {line.job: line for line in app.settings.timetable.chores}
    with state_locks.hold(app.folder.path, f"chore {slot.job}", wait_s=0.0, name=state_locks.CHORE_LOCK):
        clock = app.reader.clock()
        require(clock, app.second_time(), app.settings)
        return Chores(app.ledger, lines, app.events, by, run, stopping)(slot, clock.now, again=again)


def unmet(app: "App", slot: Slot) -> EntryNeed | None:
    """Return what a line needs and doesn't have for this slot: facts of its moment, or for a chore a comparison."""
    line = next(line for line in app.settings.timetable.lines if line.job == slot.job)
    if EntryNeed.FLOW in line.needs and not _has_flow(app, slot):
        return EntryNeed.FLOW
    if line.is_chore and EntryNeed.RECONCILED in line.needs and not _is_reconciled(app, slot):
        return EntryNeed.RECONCILED
    return None


def _has_flow(app: "App", slot: Slot) -> bool:
    """Return True if the last fetch due by then ended well; before the first fetch of a session, there is none."""
    session = session_of(app.ledger, slot.start, app.day)
    fetch = slot_at(Job.FETCH_FLOW, app.settings.timetable[Job.FETCH_FLOW], session, slot.start) if session else None
    if fetch is None or app.recorded is None:
        return fetch is None
    passes = app.recorded.cycles(job=Job.FETCH_FLOW, last=1)
    return any(each.at >= fetch.start and each.job_decision is None for each in passes)


def _is_reconciled(app: "App", slot: Slot) -> bool:
    mark = app.ledger.last_reconcile()
    session = session_of(app.ledger, slot.start, app.day)
    return mark is not None and (session is None or mark.at >= session.open)
