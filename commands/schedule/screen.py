"""The screen of `tradebot schedule`."""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from rich.console import Console

from commands.schedule.rows import Moment, OwnSchedule, Planned, Schedule
from commands.shared.tables import Table, sentence, staying
from commands.shared.times import MINUTE, when

_DAY = attrgetter("session", "half_day", "has_session")


def show(console: "Console", data: "Schedule") -> None:
    """Print the moments by day with what is unusual about it, then the configuration behind them."""
    left = list(data.notes)
    for (day, half_day, has_session), moments in groupby(data.moments, key=_DAY):
        while left and left[0].day <= day:
            console.print(left.pop(0).said, style="yellow")
        what = f"Session {day:%a %Y-%m-%d}{', a half day' if half_day else ''}"
        console.print(f"[bold]{what if has_session else f'{day:%a %Y-%m-%d}, no session'}[/bold]")
        _moments(console, list(moments))
    if not data.moments:
        console.print("Nothing is due, because there is no coming session.")
    console.print("The times come from timetable: in the configuration:")
    table = Table("job", sentence("times"), header=False)
    for job, times in data.timetable.items():
        table.row(f"  {job}", times)
    console.print(table)
    _own(console, data.strategies)
    console.print(
        f"An entry more than {data.grace_s:,} s late is recorded as missed; "
        "the other jobs run once for the latest slot."
    )


def _moments(console: "Console", moments: "Sequence[Moment]") -> None:
    table = Table("time", staying("slot"), sentence("jobs"), header=False)
    for moment in moments:
        jobs = " > ".join(f"{job.job}{_taken(job)}" for job in moment.jobs)
        table.row(f"  {when(moment.at, '%H:%M')}", moment.jobs[0].slot, jobs)
    console.print(table)


def _taken(job: "Planned") -> str:
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
        console.print("Strategies with their own times are asked in the first pass of entries in each slot:")
        console.print(table)
