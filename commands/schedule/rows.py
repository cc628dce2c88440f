"""The data of `tradebot schedule`: the next jobs, chores and strategies, and which slots are already claimed."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from itertools import groupby, islice
from operator import attrgetter

from msgspec import Struct
from rich.console import Console

from commands.shared.tables import Table, last_folded_column, sentence
from commands.shared.times import MINUTE, when
from tradebot.app.calendar import list_sessions
from tradebot.app.wiring import App
from tradebot.desk.strategy_slots import Claims, schedule_text
from tradebot.errors import OperatorError
from tradebot.model.bar import Session, StrategySlot
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.trading import SlotClaim
from tradebot.ports.strategy import Strategy
from tradebot.timetable.entries import TimetableEntry
from tradebot.timetable.sessions import BEGINS_AHEAD, CHAIN, Slot, differences
from tradebot.timetable.strategy_times import clock_state, usable
from tradebot.views.schedule_notes import Note, is_half, notes

REACH = timedelta(days=30)
BEHIND = timedelta(days=41)
"""How far back sessions are needed to determine a session's number in its month."""


class ScheduledSlot(Struct, frozen=True):
    """One slot of a job or a chore; `taken_by` is None until a process claims it.

    `missed` says why the slot wasn't run.
    """

    job: str
    slot: str
    taken_by: str | None
    missed: Reason | None = None


class StartTime(Struct, frozen=True):
    """Jobs and chores that start at the same time, in the order in which they run; `session` is their day."""

    at: datetime
    session: date
    half_day: bool
    jobs: tuple[ScheduledSlot, ...]
    has_session: bool = True


class OwnSchedule(Struct, frozen=True):
    """A strategy with its own times: its next slot, and the slot that is due but not done yet, if any.

    `unusable` says what is wrong with its times if they keep it from ever running.
    """

    strategy: str
    times: str
    due: "StrategySlot | None"
    next: "StrategySlot | None"
    unusable: str | None = None


class Schedule(Struct, frozen=True):
    """The schedule from `since` on, in trading time; `timetable` is the configuration behind it.

    `strategies` are those with their own times; all others run in every entry pass. `notes` explain half days, holidays
    and clock changes among the days shown.
    """

    since: datetime
    timetable: dict[str, str]
    grace_s: int
    moments: tuple[StartTime, ...]
    strategies: tuple[OwnSchedule, ...]
    notes: tuple[Note, ...] = ()


def schedule_of(app: "App", count: int, since: datetime) -> Schedule:
    """Return the next times, from `since` on, at which a job is due, and notes on unusual days."""
    timetable = app.settings.timetable
    moments = tuple(islice(_moments(app, since, count), count))
    return Schedule(
        since=since,
        timetable={line.job: _times(line) for line in timetable.lines},
        grace_s=app.settings.serve.grace_s,
        moments=moments,
        strategies=tuple(_own_schedules(app, since)),
        notes=tuple(_notes(app, since, moments)),
    )


def _times(line: "TimetableEntry") -> str:
    return f"{line.times}: {' '.join((line.verb, *line.options))}" if line.is_chore else str(line.times)


def _notes(app: "App", since: datetime, moments: Sequence[StartTime]) -> Sequence[Note]:
    if not moments:
        return ()
    first, last = min(app.day.date_of(since), moments[0].session), moments[-1].session
    differing, sessions = dict(differences(app.ledger_view, first, last)), _Calendar(app).sessions(first, last)
    return notes(first, last, sessions, app.settings.timetable.lines, app.day, differing)


def _moments(app: "App", since: datetime, count: int) -> Iterator[StartTime]:
    """Yield moments from as many days as needed, in order; a timetable may be due only once per session.

    A session may begin days before its date, so the moments of a day are held back until they can't be preceded.
    """
    waiting = list[StartTime]()
    for day, moments in _by_day(app, since, count):
        sure = app.day.begins(day - BEGINS_AHEAD)
        waiting = sorted((*waiting, *moments), key=lambda moment: (moment.at, moment.session))
        count_sure = bisect_left(waiting, sure, key=lambda moment: moment.at)
        yield from waiting[:count_sure]
        waiting = waiting[count_sure:]
    yield from waiting


def _by_day(app: "App", since: datetime, count: int) -> Iterator[tuple[date, Sequence[StartTime]]]:
    """Yield each day with its moments."""
    first, last = since.date() - timedelta(days=1), since.date() + REACH + timedelta(days=count)
    sessions = _Calendar(app).sessions(first, last)
    behind = _Calendar(app).sessions(first - BEHIND, first) if _names_sessions(app) else ()
    by_day = {session.date: session for session in sessions}
    for day in (first + timedelta(days=number) for number in range((last - first).days)):
        slots = _slots(app, day, by_day.get(day), (*behind, *sessions))
        coming = [slot for slot in slots if slot.start >= since]
        taken = {(claim.job, claim.slot): claim for claim in app.ledger_view.slot_claims(day)} if coming else {}
        half, session = day in by_day and is_half(by_day[day], app.day), day in by_day
        together = groupby(coming, key=lambda slot: slot.start)
        yield (
            day,
            [
                StartTime(at, day, half, tuple([_scheduled_slot(slot, taken) for slot in of]), session)
                for at, of in together
            ],
        )


def _names_sessions(app: "App") -> bool:
    return any(line.names_sessions for line in app.settings.timetable.lines)


def _slots(app: "App", day: date, session: "Session | None", sessions: "Sequence[Session]") -> "list[Slot]":
    lines = {line.job: line for line in app.settings.timetable.lines}
    order = [*CHAIN, *(job for job in lines if job not in set(CHAIN))]
    own = (session,) if session else ()
    slots = [
        slot
        for job in order
        if job in lines
        for slot in lines[job].slots(day, sessions if lines[job].names_sessions else own, app.settings.serve.grace_s)
    ]
    return sorted(slots, key=lambda slot: slot.start)


class _Calendar(Struct, frozen=True):
    """The stored calendar if it covers the first `least` requested days; the full one takes a second to load."""

    app: "App"
    least: timedelta = REACH / 2

    def sessions(self, start: date, end: date, calendar: str = "") -> "Sequence[Session]":
        """Return the venue's sessions from `start` through `end`, as far as they are stored."""
        sessions = self.app.ledger_view.sessions(start, end)
        if sessions and sessions[0].date <= start + timedelta(days=4) and sessions[-1].date >= start + self.least:
            return sessions
        return list_sessions(self.app.settings.capabilities, start, end) or sessions


def _own_schedules(app: "App", since: datetime) -> "Iterator[OwnSchedule]":
    """Yield the strategies that have their own times; only a plug-in without configured times is started to find out.

    If one isn't installed, none are shown: `strategy list` says what is wrong.
    """
    entries, rules = app.settings.timetable[Job.TRADE_ONCE], app.rules
    strategies: Sequence[Strategy] = ()
    with suppress(OperatorError):
        strategies = app.strategies
    for strategy in strategies:
        text = schedule_text(strategy, rules)
        if not text:
            continue
        try:
            times = usable(text, entries, app.day)
        except ValueError as unusable:
            yield OwnSchedule(strategy.name, text, None, None, str(unusable))
            continue
        calendar = _Calendar(app, 2 * times.reach - timedelta(days=4))
        stands = clock_state(strategy.name, times, calendar, entries, since)
        due = stands.current if stands.current and not Claims(app.ledger_view).ended(stands.current) else None
        yield OwnSchedule(strategy.name, text, due, stands.next)


def _scheduled_slot(slot: "Slot", taken: "Mapping[tuple[str, str], SlotClaim]") -> ScheduledSlot:
    claim = taken.get((slot.job, slot.name))
    return (
        ScheduledSlot(slot.job, slot.name, claim.by, claim.missed_reason)
        if claim
        else ScheduledSlot(slot.job, slot.name, None)
    )


_DAY = attrgetter("session", "half_day", "has_session")


def show(console: "Console", data: "Schedule") -> None:
    """Print the moments by day with notes on unusual days, then the configuration behind them."""
    show_moments(console, data)
    console.print("The times come from timetable: in the configuration:")
    table = Table("job", sentence("times"), header=False)
    for job, times in data.timetable.items():
        table.row(f"  {job}", times)
    console.print(table)
    _own(console, data.strategies)
    console.print(
        f"An entry pass more than {data.grace_s:,} s late is recorded as missed. Other late jobs run once, for their "
        "latest slot."
    )


def show_moments(console: "Console", data: "Schedule") -> None:
    """Print the moments by day with notes on unusual days."""
    remaining = list(data.notes)
    for (day, half_day, has_session), moments in groupby(data.moments, key=_DAY):
        while remaining and remaining[0].day <= day:
            console.print(remaining.pop(0).said, style="yellow")
        what = f"Session {day:%a %Y-%m-%d}{', a half day' if half_day else ''}"
        console.print(f"[bold]{what if has_session else f'{day:%a %Y-%m-%d}, no session'}[/bold]")
        _due_times(console, list(moments))
    if not data.moments:
        console.print("Nothing is due, because there is no coming session.")


def _due_times(console: "Console", moments: "Sequence[StartTime]") -> None:
    table = Table("time", last_folded_column("slot"), sentence("jobs"), header=False)
    for moment in moments:
        jobs = " > ".join(f"{job.job}{_taken_text(job)}" for job in moment.jobs)
        table.row(f"  {when(moment.at, '%H:%M')}", moment.jobs[0].slot, jobs)
    console.print(table)


def _taken_text(job: "ScheduledSlot") -> str:
    if job.missed is not None:
        return f" (missed: {job.missed})"
    return " (taken)" if job.taken_by else ""


def _own(console: "Console", strategies: "Sequence[OwnSchedule]") -> None:
    table = Table("strategy", sentence("times"), sentence("due"), header=False)
    for each in strategies:
        next_slot = f"next at {when(each.next.start, MINUTE)}" if each.next else "the next slot isn't known yet"
        due = f"due until {when(each.due.end, MINUTE)}; {next_slot}" if each.due else next_slot
        table.row(f"  {each.strategy}", each.times, each.unusable or due)
    if strategies:
        console.print("Strategies with their own times run in the first entry pass of each slot:")
        console.print(table)
