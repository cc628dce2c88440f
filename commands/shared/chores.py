"""Run a chore of the timetable, for `serve` and `schedule run`; and what a line needs before it runs."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tradebot.adapters.state import lock
from tradebot.model.record import Job
from tradebot.timetable.lines import Need
from tradebot.timetable.sessions import session_of
from tradebot.timetable.slots import Slot, slot_at

if TYPE_CHECKING:
    from jobs.chores import Running
    from jobs.station import Done
    from tradebot.app.wiring import App


def run_chore(
    app: "App", by: str, run: "Running", stopping: Callable[[], bool], slot: Slot, *, again: bool = False
) -> "Done":
    """Run the slot of a chore, one chore at a time on this state folder; `again` runs it whoever has.

    Raises TradebotError if it failed, if another process is running a chore, or if two clocks disagree about the time.
    """
    from commands.shared.clocks import require
    from jobs.chores import Chores

    lines = {line.job: line for line in app.settings.timetable.chores}
    with lock.hold(app.folder.path, f"chore {slot.job}", wait_s=0.0, name=lock.CHORE_LOCK):
        clock = app.reader.clock()
        require(clock, app.second_time(), app.settings)
        return Chores(app.ledger, lines, app.events, by, run, stopping)(slot, clock.now, again=again)


def unmet(app: "App", slot: Slot) -> Need | None:
    """Return what a line needs and doesn't have for this slot: facts of its moment, or for a chore a comparison."""
    line = next(line for line in app.settings.timetable.lines if line.job == slot.job)
    if Need.FLOW in line.needs and not _has_flow(app, slot):
        return Need.FLOW
    if line.is_chore and Need.RECONCILED in line.needs and not _is_reconciled(app, slot):
        return Need.RECONCILED
    return None


def _has_flow(app: "App", slot: Slot) -> bool:
    """Return True if the last fetch due by then ended well; before the first fetch of a session, there is none."""
    session = session_of(app.ledger, slot.start)
    fetch = slot_at(Job.FETCH_FLOW, app.settings.timetable[Job.FETCH_FLOW], session, slot.start) if session else None
    if fetch is None or app.recorded is None:
        return fetch is None
    passes = app.recorded.cycles(job=Job.FETCH_FLOW, last=1)
    return any(each.at >= fetch.start and each.job_decision is None for each in passes)


def _is_reconciled(app: "App", slot: Slot) -> bool:
    mark = app.ledger.last_reconcile()
    session = session_of(app.ledger, slot.start)
    return mark is not None and (session is None or mark.at >= session.open)
