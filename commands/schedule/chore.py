"""`tradebot schedule run CHORE`: run a chore whose slot is due, unless somebody has."""

from datetime import datetime, timedelta

from msgspec import Struct
from rich.console import Console

from commands.shared.light_helpers import clean, did_you_mean
from commands.shared.missed_slots import run_chore
from commands.shared.verb_options import Report, identity
from jobs.chores import is_unfinished
from jobs.due_slots import Duty
from tradebot.adapters.state.subprocess_runner import OneShots
from tradebot.app.wiring import App
from tradebot.errors import ExitCode, OperatorError, word
from tradebot.timetable.entries import TimetableEntry
from tradebot.timetable.sessions import Slot, session_date

DAYS = 8
"""How many days are searched for who ran the last slot."""


class ChoreRun(Struct, frozen=True):
    """How a chore ended, or why it wasn't run; `slot` is None if none is due."""

    chore: str
    slot: str | None
    said: str


def run(app: "App", name: str, by: str, config: str | None, *, again: bool = False) -> Report:
    """Run a chore in its slot and return its exit code. OperatorError for an unknown name.

    With `again`, it is run for its last slot, whatever became of that.
    It raises TradebotError if the chore failed, or if another process is running a chore.
    """
    line, now = _line(app, name), app.now()
    slot, code = _due(app, line, now) or (_last_slot(app, line) if again else None), ExitCode.DONE
    if slot is None:
        said = f"no slot is due now{_last(app, line, now)}; tradebot schedule shows the next one"
    else:
        ended = run_chore(app, by, OneShots(app.folder.path, config), lambda: False, slot, again=again)
        said, code = ended.said, ended.exit_code
    data = ChoreRun(name, slot.name if slot else None, said)
    return Report("schedule-run", data, _render, code, identity(app))


def _line(app: "App", name: str) -> "TimetableEntry":
    chores = {line.job: line for line in app.settings.timetable.chores}
    if name not in chores:
        meant = did_you_mean(name, tuple(chores))
        raise OperatorError(f"no chore is named {word(name)}", f"{meant} chores: {', '.join(chores)}".strip())
    return chores[name]


def _due(app: "App", line: "TimetableEntry", now: datetime) -> "Slot | None":
    """Return the latest slot of a chore that has begun, if it may still begin and nobody has run it."""
    known = app.ledger, [line], app.settings.serve.grace_s, app.day
    duty = Duty(*known, app.ensure_calendar, lambda slot, now: is_unfinished(app.ledger, slot))
    return next(iter(duty.look(now).run), None)


def _last_slot(app: "App", line: "TimetableEntry") -> "Slot | None":
    """Return the last slot of a chore that somebody ran or accounted for."""
    claim = app.ledger.last_claim(line.job)
    return Slot(line.job, claim.session, claim.slot.partition("#")[0], claim.at, claim.at) if claim else None


def _last(app: "App", line: "TimetableEntry", now: datetime) -> str:
    """Return who ran its last slot, if that was in the last days."""
    last_day = session_date(app.ledger, now, app.day)
    days = (last_day - timedelta(days=count) for count in range(DAYS))
    claims = [claim for day in days for claim in app.ledger.slot_claims(day) if claim.job == line.job]
    last = next((claim for claim in claims if not claim.missed_reason), None)
    return f": {last.slot} of {last.session} was run by {last.by}" if last else ""


def _render(out: "Console", data: ChoreRun) -> None:
    out.print(f"{data.chore}: {clean(data.said)}", markup=False)
