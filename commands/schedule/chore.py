"""`tradebot schedule run CHORE`: run a chore whose slot is due, unless somebody has."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from commands.shared.plain import clean, did_you_mean
from commands.shared.surface import Report
from tradebot.errors import ExitCode, OperatorError, word
from tradebot.timetable.sessions import CALENDAR_KNOWN

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.timetable.lines import Line
    from tradebot.timetable.slots import Slot


@dataclass(frozen=True, slots=True)
class ChoreRun:
    """How a chore ended, or why it wasn't run; `slot` is None if none is due."""

    chore: str
    slot: str | None
    said: str


def run(app: "App", name: str, by: str, config: str | None) -> Report:
    """Run a chore in its slot and return its exit code. OperatorError for an unknown name.

    It raises TradebotError if the chore failed, or if another process is running a chore.
    """
    from commands.shared.chores import run_chore
    from tradebot.adapters.state.one_shots import OneShots

    line, at = _line(app, name), app.now()
    app.ensure_calendar(at)
    slot, code = _due(app, line, at), ExitCode.DONE
    said = "no slot is due now; tradebot schedule shows the next one"
    if slot is not None:
        ended = run_chore(app, by, OneShots(app.folder.path, config), lambda: False, slot)
        said, code = ended.said, ended.exit_code
    data = ChoreRun(name, slot.name if slot else None, said)
    return Report("schedule-run", data, lambda out: _render(out, data), code, app.mode_name, app.account_tail)


def _line(app: "App", name: str) -> "Line":
    chores = {line.job: line for line in app.settings.timetable.chores}
    if name not in chores:
        meant = did_you_mean(name, tuple(chores))
        raise OperatorError(f"no chore is named {word(name)}", f"{meant} chores: {', '.join(chores)}".strip())
    return chores[name]


def _due(app: "App", line: "Line", now: datetime) -> "Slot | None":
    """Return the latest slot of a chore that has begun, if it may still begin."""
    first, last = (now - line.reach).date() - timedelta(days=1), now.date() + timedelta(days=1)
    sessions = app.ledger.sessions(first - CALENDAR_KNOWN, last + CALENDAR_KNOWN)
    days = (first + timedelta(days=count) for count in range((last - first).days + 1))
    slots = [slot for day in days for slot in line.slots(day, sessions, app.settings.serve.grace_s)]
    begun = [slot for slot in slots if slot.start <= now]
    return begun[-1] if begun and now < begun[-1].end else None


def _render(out: "Console", data: ChoreRun) -> None:
    out.print(f"{data.chore}: {clean(data.said)}", markup=False)
