"""The lanes of `serve`: exits, entries, fetching and upkeep, each with a thread and a bot that is opened in it."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING

from commands.backup import of_ended_session
from commands.evaluate_exits import verb as evaluate_exits
from commands.fetch_flow import verb as fetch_flow
from commands.reconcile import verb as reconcile
from commands.score import verb as score
from commands.serve.screen import done
from commands.shared.passes import unfinished
from commands.trade_once import verb as trade_once
from jobs.backoff import Backoff
from jobs.duty import Duty
from jobs.runner import Done, Kind, Line, Pace, Runner, Station
from tradebot.adapters.time.pace import RealTime
from tradebot.errors import ExitCode, TemporaryError, TradebotError, one_line
from tradebot.model.record import Job
from tradebot.ports.world import Call, Progress
from tradebot.timetable.sessions import session_of
from tradebot.timetable.slots import FETCHING, Slot

if TYPE_CHECKING:
    from commands.shared.surface import Report
    from tradebot.app.wiring import App

TRY_AGAIN_S = 60.0
"""How often upkeep looks whether there is something to do, in real seconds."""
ENTERING = (Job.TRADE_ONCE,)
"""Strategies are asked for entries, which may take long, so exits have another thread."""
EXITS = tuple(job for job in Job if job not in (*FETCHING, *ENTERING))


@dataclass(frozen=True, slots=True)
class Shift:
    """What all lanes share: who started them, where lines go, and what a long fetch asks between two calls.

    `backoff` is what they find out about the broker and the flow source, and `stopping` says whether the passes at work
    should send no further order.
    """

    by: str
    tell: Callable[[Line], None]
    between_calls: Progress
    backoff: Backoff | None = None
    stopping: Callable[[], bool] = lambda: False

    def duty(self, app: "App", jobs: Collection[Job] = tuple(Job)) -> Duty:
        """Return the duty for these jobs."""
        settings = app.settings
        timetable = {job: times for job, times in settings.timetable.items() if job in jobs}
        return Duty(app.ledger, timetable, settings.serve.grace_s, app.ensure_calendar, partial(self._cut_short, app))

    def station(self, app: "App", jobs: Collection[Job] = tuple(Job)) -> Station:
        """Return what a runner of these jobs works with."""
        verbs = {job: verb for job, verb in self._verbs(app).items() if job in jobs}
        return Station(verbs, self.by, app.mode_name, app.facts.record, app.events, self.tell, time.monotonic)

    def _cut_short(self, app: "App", slot: Slot, now: datetime) -> bool:
        return unfinished(app, Call(slot.job, slot.session, slot.name, self.by), now)

    def _verbs(self, app: "App") -> Mapping[Job, Callable[[], Done]]:
        by = self.by
        runs: dict[Job, Callable[[], Report]] = {
            Job.FETCH_FLOW: lambda: fetch_flow.run(app, by=by, progress=self.between_calls),
            Job.SCORE: lambda: score.run(app, by=by),
            Job.EVALUATE_EXITS: lambda: evaluate_exits.run(app, by=by),
            Job.TRADE_ONCE: lambda: trade_once.run(app, by=by),
            Job.RECONCILE: lambda: reconcile.run(app, by=by),
        }
        return {job: lambda verb=verb: done(verb()) for job, verb in runs.items()}  # type: ignore[misc]


def exits_first(app: "App", runner: Runner) -> Runner:
    """Let the bot's passes give way to the exits that this runner has to run; return the runner."""
    app.turns.due, app.turns.run_due = runner.exits_due, runner.run_exits
    return runner


class JobLane:
    """Runs some of the jobs. `facts` and `exits` are the lanes that the entries of this one come after."""

    def __init__(
        self,
        bot: "App",
        shift: Shift,
        jobs: Collection[Job],
        *,
        reconciled: bool,
        facts: "JobLane | None" = None,
        exits: "JobLane | None" = None,
    ) -> None:
        self._bot = bot
        self._shift = shift
        self._jobs = jobs
        self._facts = facts
        self._exits = exits
        self._reconciled = reconciled
        self._runner: Runner | None = None

    @property
    def looked_at(self) -> datetime | None:
        """Return the trading time up to which everything that was due has been run."""
        return self._runner.looked_at if self._runner else None

    @property
    def reconciled(self) -> bool:
        """Return True once books and broker have been compared."""
        return self._runner.reconciled if self._runner else self._reconciled

    @property
    def over(self) -> bool:
        """Return True if there should be no further tick."""
        return self._runner is not None and self._runner.over

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code of the process: an error only after too many bugs in a row."""
        return self._runner.exit_code if self._runner else ExitCode.DONE

    def stop(self) -> None:
        """End after the current pass."""
        if self._runner:
            self._runner.stopping = True

    def tick(self) -> None:
        """Run what is due; the first tick opens the bot, once the broker says what time it is."""
        if self._runner is None:
            try:
                self._runner = self._opened()
            except TemporaryError as away:
                self._shift.tell(Line(datetime.now(UTC), Kind.FAILED, None, None, one_line(away), away.code))
                return
        self._runner.tick()

    def close(self) -> None:
        """Close the bot in the thread that opened it."""
        self._bot.close()

    def _opened(self) -> Runner:
        bot, shift = self._bot, self._shift
        pace: Pace = RealTime(bot.now, bot.settings.limits.max_clock_disagreement_s)
        duty, station = shift.duty(bot, self._jobs), shift.station(bot, self._jobs)
        after = {"facts": self._facts, "exits": self._exits}
        runner = Runner(station, duty, pace, reconciled=self._reconciled, backoff=shift.backoff, **after)
        bot.turns.ends = shift.stopping
        return exits_first(bot, runner)


class UpkeepLane:
    """Does after each session what isn't urgent: back up the books and delete old facts."""

    def __init__(self, bot: "App", shift: Shift) -> None:
        self._bot = bot
        self._shift = shift
        self._pace: RealTime | None = None
        self._done: date | None = None
        self._tried_s = -TRY_AGAIN_S

    def tick(self) -> None:
        """Do it once after the close; while a session is open or after a failure, try again later."""
        bot = self._bot
        if time.monotonic() - self._tried_s < TRY_AGAIN_S:
            return
        self._tried_s = time.monotonic()
        try:
            self._pace = self._pace or RealTime(bot.now)
            for now in self._pace.moments():
                session = session_of(bot.ledger, now)
                if now.date() == self._done or (session and now < session.close):
                    continue
                with bot.pass_lock("upkeep"):
                    of_ended_session(bot, now)
                self._done = now.date()
        except TradebotError as failed:
            self._shift.tell(
                Line(datetime.now(UTC), Kind.FAILED, None, None, f"upkeep: {one_line(failed)}", failed.code)
            )

    def close(self) -> None:
        """Close the bot in the thread that opened it."""
        self._bot.close()


def lanes(app: "App", shift: Shift, *, reconciled: bool) -> tuple[Mapping[str, JobLane], UpkeepLane]:
    """Return the lanes of a bot: those of the jobs by name, and upkeep."""
    exits = JobLane(app.twin(), shift, EXITS, reconciled=reconciled)
    fetching = JobLane(app.twin(), shift, FETCHING, reconciled=reconciled)
    entries = JobLane(app.twin(), shift, ENTERING, reconciled=reconciled, facts=fetching, exits=exits)
    return {"exits": exits, "entries": entries, "fetching": fetching}, UpkeepLane(app.twin(), shift)
