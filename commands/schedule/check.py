"""`tradebot schedule check`: find problems in the timetable that loading the configuration doesn't detect."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import typer
from msgspec import Struct
from rich.console import Console

from commands.app import program
from commands.shared.calendar import run_chore
from commands.shared.evidence import evidence_of
from commands.shared.help import leaves
from commands.shared.light_helpers import clean, did_you_mean
from commands.shared.verb_options import Report, identity
from jobs.chores import is_unfinished
from jobs.due_slots import SlotTracker
from tradebot.adapters.state.subprocess_runner import OneShots
from tradebot.app.calendar import list_sessions
from tradebot.app.wiring import App
from tradebot.errors import ExitCode, OperatorError, word
from tradebot.judging.judgment import Judgment
from tradebot.judging.pass_health import judge_subject
from tradebot.model.bar import Session
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.timetable.entries import PROVIDERS, SKIP, EntryNeed, Timetable, TimetableEntry
from tradebot.timetable.sessions import Slot, session_date

DAYS = 365
"""How far ahead slots are checked: every half day, holiday and clock change occurs once a year."""


class Problem(Struct, frozen=True):
    """A problem with a timetable line, and its fix."""

    line: str
    problem: str
    fix: str


class ScheduleChecked(Struct, frozen=True):
    """The problems found, and how many timetable lines, slots and upcoming sessions were checked.

    `calendar` judges how far the stored calendar reaches, as `health` shows it.
    """

    problems: tuple[Problem, ...]
    lines: int
    slots: int
    sessions: int
    calendar: "Judgment | None" = None


def run(app: "App", now: "datetime") -> Report:
    """Check the timetable over the next year; exit 2 if it has problems."""
    first, last = app.day.date_of(now) - timedelta(days=41), app.day.date_of(now) + timedelta(days=DAYS)
    sessions = list_sessions(app.settings.capabilities, first, last) or app.ledger_view.sessions(first, last)
    data = check_schedule(app.settings.timetable, [*sessions], app.settings.serve.grace_s)
    data = replace(data, calendar=judge_subject("calendar", evidence_of(app, now)))
    code = ExitCode.USAGE if data.problems else ExitCode.DONE
    return Report("schedule-check", data, _render, code, identity(app))


def check_schedule(timetable: Timetable, sessions: "Sequence[Session]", grace_s: int) -> ScheduleChecked:
    """Check all timetable lines over these sessions."""
    slots = {line.job: _slots(line, sessions, grace_s) for line in timetable.lines}
    problems = [problem for line in timetable.lines for problem in _problems(line, timetable, slots)]
    return ScheduleChecked(tuple(problems), len(slots), sum(map(len, slots.values())), len(sessions))


def _slots(line: TimetableEntry, sessions: "Sequence[Session]", grace_s: int) -> "list[Slot]":
    first, last = sessions[0].date, sessions[-1].date
    days = (first + timedelta(days=count) for count in range((last - first).days + 1))
    by_day = {session.date: (session,) for session in sessions}
    near = (sessions if line.names_sessions else by_day.get(day, ()) for day in days)
    starts = (first + timedelta(days=count) for count in range((last - first).days + 1))
    return [slot for day, around in zip(starts, near, strict=True) for slot in line.slots(day, around, grace_s)]


def _problems(line: TimetableEntry, timetable: Timetable, slots: "dict[str, list[Slot]]") -> Iterator[Problem]:
    own = slots[line.job]
    if not own:
        yield Problem(line.job, f"it is never due in the coming year ({line.times})", "give it other times")
        return
    if line.is_chore:
        yield from _wrong_words(line, own[0])
        yield from _too_long(line, own)
        yield from _kept_waiting(line, timetable, slots)
    for need in sorted(line.needs):
        yield from _not_provided(line, need, slots)


def _wrong_words(line: TimetableEntry, slot: "Slot") -> Iterator[Problem]:
    """Yield a problem if the program can't read a chore's command line; nothing is run."""
    words, typed_words = line.command(slot.session), len(line.verb.split())
    try:
        dict(leaves(program(line.verb)))[line.verb].make_context(line.verb, list(words[typed_words:]))
    except typer.TyperException as wrong:
        yield Problem(line.job, f"tradebot {' '.join(words)}: {wrong.format_message()}", f"tradebot {line.verb} --help")


def _too_long(line: TimetableEntry, slots: "Sequence[Slot]") -> Iterator[Problem]:
    gaps = [(int((later.start - earlier.start).total_seconds()), earlier) for earlier, later in pairwise(slots)]
    least_s, slot = min(gaps, default=(0, None), key=lambda gap: gap[0])
    if slot is not None and line.limit_s is not None and line.limit_s >= least_s:
        yield Problem(
            line.job,
            f"its limit of {line.limit_s} s isn't below the {least_s} s from {slot.name} on {slot.session} to the next",
            "lower its limit, or schedule it less often",
        )


def _kept_waiting(line: TimetableEntry, timetable: Timetable, slots: "dict[str, list[Slot]]") -> Iterator[Problem]:
    """Yield a problem if a chore that skips when late may have to wait for the previous chore: one runs at a time."""
    if line.late is not SKIP:
        return
    others = [other for other in timetable.chores if other.job != line.job and other.limit_s]
    for other in others:
        starts = {slot.start for slot in slots[other.job]}
        reach = timedelta(seconds=other.limit_s or 0)
        if any(slot.start - reach < start <= slot.start for slot in slots[line.job][-50:] for start in starts):
            yield Problem(
                line.job,
                f"when it is due, {other.job} may still run for up to {other.limit_s} s, and it skips slots that it "
                "can't start in time",
                f"write late: once until 1h, or move it away from {other.job}",
            )


def _not_provided(line: TimetableEntry, need: EntryNeed, slots: "dict[str, list[Slot]]") -> Iterator[Problem]:
    provider = PROVIDERS[need].value
    first = min((slot.start for slot in slots.get(provider, ())), default=None)
    days = {slot.session: slot.start for slot in reversed(slots.get(provider, ()))}
    without = [slot for slot in slots[line.job] if line.is_chore and days.get(slot.session, slot.end) > slot.start]
    if first is None or without:
        at = f" before its slot {without[0].name} of {without[0].session}" if without else ""
        yield Problem(
            line.job,
            f"it needs {need}, which {provider} doesn't provide{at}",
            f"schedule it after {provider}, or remove its needs",
        )


def _render_end(out: "Console", data: ScheduleChecked) -> None:
    # Without any calendar nothing is known yet: the first pass stores it.
    if data.calendar is not None and data.calendar.count and data.calendar.next:
        out.print(f"calendar {data.calendar.state}: {data.calendar.found}", style="yellow", markup=False)
        out.print(f"    next: {data.calendar.next}", markup=False)


def _render(out: "Console", data: ScheduleChecked) -> None:
    looked = (
        f"{pluralize(data.lines, 'line')}, {pluralize(data.slots, 'slot')} in {pluralize(data.sessions, 'session')}"
    )
    _render_end(out, data)
    if not data.problems:
        out.print(f"The timetable works: checked {looked}.")
        return
    out.print(f"{pluralize(len(data.problems), 'problem')} in the timetable ({looked}):")
    for problem in data.problems:
        out.print(f"  timetable.{problem.line}: {problem.problem}", markup=False)
        out.print(f"    next: {problem.fix}", markup=False)


CHORE_DAYS = 8
"""How many days are searched for who ran the last slot."""


class ChoreRun(Struct, frozen=True):
    """How a chore ended, or why it wasn't run; `slot` is None if none is due."""

    chore: str
    slot: str | None
    said: str


def run_named_chore(app: "App", name: str, by: str, config: str | None, *, again: bool = False) -> Report:
    """Run a chore if its slot is due, and report how it ended. Raise OperatorError for an unknown name.

    With `again`, run it for its last slot even if it ran for that slot before. Raise TradebotError if the chore failed,
    or if another process is running a chore.
    """
    line, now = _line(app, name), app.now()
    slot, code = _due(app, line, now) or (_last_slot(app, line) if again else None), ExitCode.DONE
    if slot is None:
        result = f"no slot is due now{_last(app, line, now)}; tradebot schedule shows the next one"
    else:
        ended = run_chore(app, by, OneShots(app.folder.path, config), lambda: False, slot, again=again)
        result, code = ended.said, ended.exit_code
    data = ChoreRun(name, slot.name if slot else None, result)
    return Report("schedule-run", data, _render_chore, code, identity(app))


def _line(app: "App", name: str) -> "TimetableEntry":
    chores = {line.job: line for line in app.settings.timetable.chores}
    if name not in chores:
        meant = did_you_mean(name, tuple(chores))
        raise OperatorError(f"no chore is named {word(name)}", f"{meant} chores: {', '.join(chores)}".strip())
    return chores[name]


def _due(app: "App", line: "TimetableEntry", now: datetime) -> "Slot | None":
    """Return the latest slot of a chore that has begun, if it may still start and nobody has run it."""
    inputs = app.ledger, [line], app.settings.serve.grace_s, app.day
    slot_tracker = SlotTracker(*inputs, app.ensure_calendar, lambda slot, now: is_unfinished(app.ledger, slot))
    return next(iter(slot_tracker.look(now).run), None)


def _last_slot(app: "App", line: "TimetableEntry") -> "Slot | None":
    """Return the last slot of a chore that somebody ran or accounted for."""
    claim = app.ledger.last_claim(line.job)
    return Slot(line.job, claim.session, claim.slot.partition("#")[0], claim.at, claim.at) if claim else None


def _last(app: "App", line: "TimetableEntry", now: datetime) -> str:
    """Return who ran a chore's last slot, as the end of a sentence; empty if that wasn't within CHORE_DAYS days."""
    last_day = session_date(app.ledger, now, app.day)
    days = (last_day - timedelta(days=count) for count in range(CHORE_DAYS))
    claims = [claim for day in days for claim in app.ledger.slot_claims(day) if claim.job == line.job]
    last = next((claim for claim in claims if not claim.missed_reason), None)
    return f": {last.slot} of {last.session} was run by {last.by}" if last else ""


def _render_chore(out: "Console", data: ChoreRun) -> None:
    out.print(f"{data.chore}: {clean(data.said)}", markup=False)
