"""`tradebot schedule`: show the next and the claimed slots; check the timetable; run a chore."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.completion import schedule_words
from commands.shared.declaration import VerbPurpose, verb
from commands.shared.verb_options import Config, Json, Report, StateDir, caller, finish, identity, open_bot
from tradebot.errors import OperatorError, word

if TYPE_CHECKING:
    from tradebot.app.wiring import App

NEXT = 20
MOST = 2000
CHECK, RUN = "check", "run"


def run(app: "App", count: int, since: datetime) -> Report:
    """Return the next times, from `since` on, at which a job is due."""
    from commands.schedule.rows import schedule_of, show

    data = schedule_of(app, count, since)
    return Report("schedule", data, show, bot_identity=identity(app))


def trading_time_offline(app: "App") -> datetime:
    """Return trading time without contacting a broker: the embedded exchange's time, otherwise this machine's."""
    from tradebot.model.trading import Mode

    return app.now() if app.mode is Mode.SANDBOX else datetime.now(UTC)


def _day(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise OperatorError(f"can't read {text[:20]!r} as a date", "write it as 2026-11-27") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _refuse_combinations(
    what: str | None, chore: str | None, count: int | None, day: str | None, *, again: bool
) -> None:
    if what not in (None, CHECK, RUN):
        raise OperatorError(
            f"schedule can't {word(what)}", "use tradebot schedule, schedule check or schedule run CHORE"
        )
    if (chore is not None) != (what == RUN):
        raise OperatorError("only schedule run takes the name of a chore", "tradebot schedule run audit")
    if again and what != RUN:
        raise OperatorError("--again belongs to schedule run", "tradebot schedule run audit --again")
    if what is not None and (count is not None or day is not None):
        raise OperatorError("--next and --at apply only to the list of what is due", "tradebot schedule --next 20")


@verb(
    "schedule",
    VerbPurpose.LOOK,
    200,
    {
        "schedule/1": ("commands.schedule.rows:Schedule",),
        "schedule-check/2": ("commands.schedule.check:ScheduleChecked",),
        "schedule-run/1": ("commands.schedule.check:ChoreRun",),
    },
    epilog="tradebot schedule\ntradebot schedule --next 20 --at 2026-11-27\n"
    "tradebot schedule check\ntradebot schedule run audit\ntradebot schedule run backup --again",
)
def schedule(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[check|run]", help="Check the timetable, or run a chore.", autocompletion=schedule_words
        ),
    ] = None,
    chore: Annotated[
        str | None,
        typer.Argument(metavar="[CHORE]", help="The chore to run.", autocompletion=schedule_words),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--next", min=1, max=MOST, help=f"Number of runs to show [{NEXT}].")
    ] = None,
    day: Annotated[str | None, typer.Option("--at", help="First date to show, such as 2026-11-27.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Run the chore for its last slot again, as after a failure.")
    ] = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show which jobs run next, and when each strategy is due.

    `check` finds entries of the timetable that can't work. `run CHORE` runs a chore if its slot is due and nobody has
    run it yet, so that cron and systemd can start chores too.
    """
    _refuse_combinations(what, chore, count, day, again=again)
    with open_bot(state_dir, config) as bot:
        if what == CHECK:
            from commands.schedule.check import run as run_check

            report = run_check(bot, trading_time_offline(bot))
        elif chore is not None:
            from commands.schedule.check import run_named_chore

            report = run_named_chore(bot, chore, caller(), config, again=again)
        else:
            report = run(bot, count or NEXT, _day(day) if day else trading_time_offline(bot))
    finish(report, as_json)
