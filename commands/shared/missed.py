"""What verbs that cron starts do as `serve` does it: account for slots that nobody ran, and wait for a failed stage."""

from datetime import datetime
from typing import TYPE_CHECKING

from tradebot.adapters.state import lock
from tradebot.model.record import Job
from tradebot.model.trading import Mode
from tradebot.timetable.lines import Need

if TYPE_CHECKING:
    from tradebot.app.wiring import App


def account_for_missed(app: "App", by: str, now: datetime) -> None:
    """Write why nobody ran the slots that are over, of one past day at a time.

    In the sandbox, only `serve` can be late: without it, time stands still. The caller holds the pass lock.
    """
    if app.mode is Mode.SANDBOX or lock.holder(app.folder.path, lock.SERVE_LOCK) is not None:
        return
    from jobs.duty import Duty

    settings = app.settings
    # It runs nothing, so it doesn't matter which passes were cut short, and the calendar is stored already.
    duty = Duty(app.ledger, settings.timetable.lines, settings.serve.grace_s, lambda now: None, lambda slot, now: False)
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
    from commands.shared.chores import unmet
    from tradebot.timetable.sessions import session_of
    from tradebot.timetable.slots import slot_at

    if not any(line.job == job and Need.FLOW in line.needs for line in app.settings.timetable.lines):
        return False
    session = session_of(app.ledger, now)
    slot = slot_at(job, app.settings.timetable[job], session, now) if session else None
    return slot is not None and unmet(app, slot) is Need.FLOW
