"""`tradebot schedule`: show which jobs and strategies are due next, when, and which slots are already taken."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, islice
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.surface import Config, Json, Report, StateDir, finish, opened
from commands.shared.times import MINUTE, when
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.model.bar import Session
    from tradebot.model.slot import StrategySlot
    from tradebot.ports.strategy import Strategy
    from tradebot.timetable.slots import Slot

NEXT = 20
MOST = 2000
REACH = timedelta(days=30)
WHOLE_S = 6.5 * 3600


@dataclass(frozen=True, slots=True)
class Planned:
    """One slot of a job; `taken_by` is None until it is claimed."""

    job: str
    slot: str
    taken_by: str | None


@dataclass(frozen=True, slots=True)
class Moment:
    """Jobs that start at the same time, in the order in which they run."""

    at: datetime
    session: date
    half_day: bool
    jobs: tuple[Planned, ...]


@dataclass(frozen=True, slots=True)
class OwnSchedule:
    """A strategy with times of its own: the slot that is due, if it isn't done yet, and the next one.

    `unusable` says what is wrong with its times; then it is never asked.
    """

    strategy: str
    times: str
    due: "StrategySlot | None"
    next: "StrategySlot | None"
    unusable: str | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Jobs due from `since` (trading time) on; `timetable` is the configuration behind them.

    `strategies` are those with times of their own. The others are asked in every pass of entries.
    """

    since: datetime
    timetable: dict[str, str]
    grace_s: int
    moments: tuple[Moment, ...]
    strategies: tuple[OwnSchedule, ...]


def run(app: "App", count: int, day: str | None) -> Report:
    """Return the next moments at which something is due; raise OperatorError for an invalid date."""
    since = _day(day) if day else _now(app)
    timetable = app.settings.timetable
    data = Schedule(
        since=since,
        timetable={job.value: str(times) for job, times in timetable.items()},
        grace_s=app.settings.serve.grace_s,
        moments=tuple(islice(_moments(app, since, count), count)),
        strategies=tuple(_own_schedules(app, since)),
    )
    mode, tail = app.mode_name, app.account_tail
    return Report("schedule", data, lambda console: _render(console, data), mode=mode, account=tail)


def _now(app: "App") -> datetime:
    """Return trading time without asking a broker: the embedded exchange's time, otherwise this machine's."""
    from tradebot.model.trading import Mode

    return app.now() if app.mode is Mode.SANDBOX else datetime.now(UTC)


def _day(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise OperatorError(f"can't read {text[:20]!r} as a date", "write it as 2026-11-27") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _moments(app: "App", since: datetime, count: int) -> Iterator[Moment]:
    """Yield moments from as many sessions as needed; a timetable may be due only once per session."""
    for session in _Calendar(app).sessions(since.date(), since.date() + REACH + timedelta(days=count)):
        taken = {(claim.job, claim.slot): claim.by for claim in app.ledger_view.slot_claims(session.date)}
        for at, together in groupby(_slots(app, session), key=lambda slot: slot.start):
            if at >= since:
                half = (session.close - session.open).total_seconds() < WHOLE_S
                yield Moment(at, session.date, half, tuple(_planned(slot, taken) for slot in together))


def _slots(app: "App", session: "Session") -> "list[Slot]":
    from tradebot.timetable.slots import CHAIN, slots

    found = [slot for job in CHAIN for slot in slots(job, app.settings.timetable[job], session)]
    return sorted(found, key=lambda slot: slot.start)


@dataclass(frozen=True, slots=True)
class _Calendar:
    """The stored calendar if it covers the first `least` of what is asked for; the full one takes a second to load."""

    app: "App"
    least: timedelta = REACH / 2

    def sessions(self, start: date, end: date) -> "Sequence[Session]":
        """Return the sessions from `start` through `end`, or as many of them as are stored."""
        held = self.app.ledger_view.sessions(start, end)
        if held and held[0].date <= start + timedelta(days=4) and held[-1].date >= start + self.least:
            return held
        from tradebot.adapters.time.calendar import exchange_sessions

        return exchange_sessions(start, end)


def _own_schedules(app: "App", since: datetime) -> "Iterator[OwnSchedule]":
    """Yield the strategies that have times of their own; only a plug-in without times in the configuration is asked.

    If one isn't installed, none are shown: `strategy list` says what is wrong.
    """
    from tradebot.desk.own_slots import Claims, times_of
    from tradebot.model.record import Job
    from tradebot.timetable.own_clock import standing, usable

    entries, rules = app.settings.timetable[Job.TRADE_ONCE], app.rules
    strategies: Sequence[Strategy] = ()
    with suppress(OperatorError):
        strategies = app.strategies
    for strategy in strategies:
        text = times_of(strategy, rules)
        if not text:
            continue
        try:
            times = usable(text, entries)
        except ValueError as unusable:
            yield OwnSchedule(strategy.name, text, None, None, str(unusable))
            continue
        calendar = _Calendar(app, 2 * times.reach - timedelta(days=4))
        stands = standing(strategy.name, times, calendar, entries, since)
        due = stands.current if stands.current and not Claims(app.ledger_view).ended(stands.current) else None
        yield OwnSchedule(strategy.name, text, due, stands.next)


def _planned(slot: "Slot", taken: Mapping[tuple[str, str], str]) -> Planned:
    return Planned(slot.job, slot.name, taken.get((slot.job, slot.name)))


def _render(console: "Console", data: Schedule) -> None:
    from commands.shared.tables import Table, sentence, staying

    for session, moments in groupby(data.moments, key=lambda moment: (moment.session, moment.half_day)):
        day, half_day = session
        console.print(f"[bold]Session {day:%a %Y-%m-%d}{', a half day' if half_day else ''}[/bold]")
        table = Table("time", staying("slot"), sentence("jobs"), header=False)
        for moment in moments:
            jobs = " > ".join(f"{job.job}{' (taken)' if job.taken_by else ''}" for job in moment.jobs)
            table.row(f"  {when(moment.at, '%H:%M')}", moment.jobs[0].slot, jobs)
        console.print(table)
    if not data.moments:
        console.print("Nothing is due, because there is no coming session.")
    console.print("The times come from timetable: in the configuration:")
    table = Table("job", sentence("times"), header=False)
    for job, times in data.timetable.items():
        table.row(f"  {job}", times)
    console.print(table)
    _render_own(console, data.strategies)
    console.print(
        f"An entry more than {data.grace_s:,} s late is recorded as missed; "
        "the other jobs run once for the latest slot."
    )


def _render_own(console: "Console", strategies: "Sequence[OwnSchedule]") -> None:
    from commands.shared.tables import Table, sentence

    table = Table("strategy", sentence("times"), sentence("due"), header=False)
    for each in strategies:
        next_slot = f"next at {when(each.next.start, MINUTE)}" if each.next else "the next slot isn't known yet"
        due = f"due until {when(each.due.end, MINUTE)}; {next_slot}" if each.due else next_slot
        table.row(f"  {each.strategy}", each.times, each.unusable or due)
    if strategies:
        console.print("Strategies with times of their own are asked in the first pass of entries in each slot:")
        console.print(table)


def register(app: typer.Typer) -> None:
    """Register the verb."""

    @app.command("schedule", epilog="tradebot schedule\ntradebot schedule --next 20 --at 2026-11-27")
    def schedule(
        count: Annotated[int, typer.Option("--next", min=1, max=MOST, help="Number of runs to show.")] = NEXT,
        day: Annotated[str | None, typer.Option("--at", help="First date to show, such as 2026-11-27.")] = None,
        state_dir: StateDir = None,
        config: Config = None,
        as_json: Json = False,
    ) -> None:
        """Show which jobs run next, and when each strategy is due."""
        with opened(state_dir, config) as bot:
            report = run(bot, count, day)
        finish(report, as_json)
