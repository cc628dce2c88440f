"""Account for the slots that nobody ran, where no `serve` does it: verbs that cron starts come by all day."""

from datetime import datetime
from typing import TYPE_CHECKING

from tradebot.adapters.state import lock
from tradebot.model.trading import Mode

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
