"""Run the lanes of `serve`: exits, entries, fetching and upkeep, each with a thread and a bot opened in it.

Upkeep runs the chores of the timetable, each in its own process, and updates the broker's calendar.

A SQLite connection belongs to one thread, so each lane opens its own bot. Only the holder of the pass lock sends
orders, so there is one writer at a time. It yields to exits that become due, just as separate processes do. An entry
pass waits at most half of `serve.grace_s` for a fetch or an exit pass of the same slot, then uses the facts that it
has. Exits never wait.

In lock-step with the embedded exchange there is one thread and a fixed order (fetching, scoring, exits, entries,
reconciling), so that the same seed gives the same log. When the fault `slow_answer` delays a response, that takes
engine time. The exchange reports that time in a header, which only the sandbox's wiring reads (`App.let_pass`).
"""

import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import partial

from msgspec import Struct
from rich.text import Text

from commands.evaluate_exits import run as evaluate_exits
from commands.fetch_flow import run as fetch_flow
from commands.fetch_flow.run import FlowFetched
from commands.reconcile import run as reconcile
from commands.reconcile.run import Compared
from commands.score import run as score
from commands.serve.streaming import OrderUpdateListener
from commands.shared.calendar import BrokerCalendarKeeper, run_chore, unmet_need
from commands.shared.pass_reports import PassData, is_pass_unfinished
from commands.shared.skipped_passes import NotRun
from commands.shared.times import DAY_SECOND, for_reader, when
from commands.shared.verb_options import Report
from commands.tail import TailedFiles
from commands.trade_once import run as trade_once
from jobs.backoff import Backoff
from jobs.chores import is_unfinished as cut_short
from jobs.due_slots import SlotTracker
from jobs.runner import Done, LogKind, LogLine, Pace, Runner, RunnerContext
from tradebot.adapters.state import resources
from tradebot.adapters.state.subprocess_runner import OneShots
from tradebot.adapters.time.clock import RealTime
from tradebot.app.wiring import App
from tradebot.errors import ExitCode, TemporaryError, one_line
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.sentences import noun_for, pluralize
from tradebot.model.struct_tools import replace
from tradebot.ports.world import Call, Progress
from tradebot.timetable.entries import Lane
from tradebot.timetable.sessions import Slot

STYLE = {
    LogKind.NOTE: "dim",
    LogKind.RAN: "",
    LogKind.MISSED: "yellow",
    LogKind.FAILED: "red",
    LogKind.FAULT: "bold red",
}
MOST_REASONS = 3


def pass_result(report: "Report") -> Done:
    """Return the result of a verb's pass in one sentence."""
    scored = report.verb == "score" and isinstance(report.data, PassData)
    return Done(_scores_text(report.data) if scored else _result_text(report.data), report.exit_code)


def _scores_text(data: PassData) -> str:
    return f"{len(data.rows)} scored, {pluralize(data.orders, 'candidate')}"


def _result_text(data: object) -> str:
    if isinstance(data, NotRun):
        return f"{data.reason}: {data.found}" if data.found else str(data.reason)
    if isinstance(data, PassData):
        return _pass(data)
    if isinstance(data, FlowFetched):
        failed = f", {pluralize(len(data.failures), 'call')} failed" if data.failures else ""
        return f"{pluralize(data.calls, 'call')}, {pluralize(data.new, 'new fact')}{failed}"
    assert isinstance(data, Compared), f"a pass reported {type(data).__name__}"
    first_findings = ", ".join(f"{finding.kind} {finding.subject}" for finding in data.findings)
    findings, positions = pluralize(len(data.findings), "finding"), pluralize(data.positions, "position")
    return f"{findings}: {first_findings}" if first_findings else f"no difference; {positions}"


def _pass(data: PassData) -> str:
    if data.not_run:
        return f"{data.not_run.reason}: {data.not_run.meaning}"
    lost = list(data.refused.items())
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in lost[:MOST_REASONS])
    remaining = len(lost) - MOST_REASONS
    more = f" and {remaining} more {noun_for(remaining, 'reason')}" if remaining > 0 else ""
    return (f"{pluralize(data.candidates, 'candidate')} = {data.orders} sent") + (
        f" + {reasons}{more}" if reasons else ""
    )


def row(line: "LogLine") -> "Text":
    """Return a line for people: trading time, slot, job, message, and duration."""
    at = when(line.at, DAY_SECOND)
    took = f"  [{line.took_s:.2f} s]" if line.took_s is not None else ""
    if line.job is None:
        return Text(f"{at}  {for_reader(line.said)}", STYLE[line.kind])
    return Text(f"{at}  {line.slot or '-':<10}{line.job:<16}{for_reader(line.said)}{took}", STYLE[line.kind])


class LaneContext(Struct, frozen=True):
    """What all lanes share: who started them, the output, and the callback between two calls of a long fetch.

    `ends` returns True once running passes should send no more orders. `backoff` tracks failures of the broker and the
    flow source.
    """

    by: str
    tell: Callable[[LogLine], None]
    between_calls: Progress
    config: str | None = None
    """The configuration file, as a person named it; chores are run with it too."""
    stopping: Callable[[], bool] = lambda: False
    """Returns whether a running chore should stop."""
    ends: Callable[[], bool] = lambda: False
    backoff: Backoff | None = None
    spares: Callable[[], Reason | None] = lambda: None
    """Returns why no chore should begin now; None if chores may begin."""

    def slot_tracker(self, app: "App", lanes: Collection[Lane] = tuple(Lane)) -> SlotTracker:
        """Return the tracker of slots for the timetable's entries of these lanes."""
        settings = app.settings
        lines = settings.timetable.of(lanes)
        inputs = app.ledger, lines, settings.serve.grace_s, settings.day
        return SlotTracker(*inputs, partial(_begin_day, app), partial(self._cut_short, app))

    def runner_context(self, app: "App", lanes: Collection[Lane] = tuple(Lane)) -> RunnerContext:
        """Return the dependencies of a runner of these lanes."""
        jobs = {line.job for line in app.settings.timetable.of(lanes)}
        verbs = {job: verb for job, verb in self._verbs(app).items() if job in jobs}
        return RunnerContext(
            verbs,
            self.by,
            app.mode_name,
            app.facts.record,
            app.events,
            self.tell,
            time.monotonic,
            partial(run_chore, app, self.by, OneShots(app.folder.path, self.config), self.stopping),
            partial(unmet_need, app),
            spares=self.spares,
        )

    def _cut_short(self, app: "App", slot: Slot, now: datetime) -> bool:
        if slot.job not in set(Job):
            return cut_short(app.ledger, slot)
        return is_pass_unfinished(app, Call(Job(slot.job), slot.session, slot.name, self.by), now)

    def exits_again(self, app: "App") -> Callable[[], Done]:
        """Return a function that runs an exit pass outside the timetable."""
        return lambda: pass_result(evaluate_exits.run(app, by=self.by, force_slot=True))

    def _verbs(self, app: "App") -> Mapping[Job, Callable[[], Done]]:
        by = self.by
        runs: dict[Job, Callable[[], Report]] = {
            Job.FETCH_FLOW: lambda: fetch_flow.run(app, by=by, progress=self.between_calls),
            Job.SCORE: lambda: score.run(app, by=by),
            Job.EVALUATE_EXITS: lambda: evaluate_exits.run(app, by=by),
            Job.TRADE_ONCE: lambda: trade_once.run(app, by=by),
            Job.RECONCILE: lambda: reconcile.run(app, by=by),
        }
        return {job: lambda verb=verb: pass_result(verb()) for job, verb in runs.items()}  # type: ignore[misc]


def _begin_day(app: "App", now: datetime) -> None:
    """Drop what was cached on earlier days, and load the sessions around the new day."""
    app.ledger.forget()
    app.facts.forget()
    resources.give_back_memory()
    app.ensure_calendar(now)


def exits_first(app: "App", runner: Runner) -> Runner:
    """Make the bot's passes yield to this runner's exits when they are due; return the runner."""
    app.turns.due, app.turns.run_due = runner.exits_due, runner.run_exits
    return runner


class JobLane:
    """Runs the timetable's entries of one lane. Its entries wait for the lanes `facts` and `exits`."""

    def __init__(
        self,
        bot: "App",
        context: LaneContext,
        lane: Lane,
        *,
        reconciled: bool,
        facts: "JobLane | None" = None,
        exits: "JobLane | None" = None,
    ) -> None:
        self._bot = bot
        self._context = context
        self._lane = lane
        self._facts = facts
        self._exits = exits
        self._reconciled = reconciled
        self._runner: Runner | None = None
        self._retry_open_at_s = 0.0
        self._update_listener: OrderUpdateListener | None = None
        self._tails = TailedFiles(bot) if lane is Lane.UPKEEP else None

    @property
    def looked_at(self) -> datetime | None:
        """Return the trading time up to which due jobs were checked; some of them may have failed or still wait."""
        return self._runner.looked_at if self._runner else None

    @property
    def is_reconciled(self) -> bool:
        """Return True once books and broker have been compared."""
        return self._runner.is_reconciled if self._runner else self._reconciled

    @property
    def over(self) -> bool:
        """Return True if the lane has ended, so that it shouldn't be ticked again."""
        return self._runner is not None and self._runner.over

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code of the process; it is an error only after too many bugs in a row."""
        return self._runner.exit_code if self._runner else ExitCode.DONE

    def stop(self) -> None:
        """End the lane after the current pass."""
        if self._runner:
            self._runner.stopping = True

    def tick(self) -> None:
        """Run due jobs; the first tick builds the runner, once the broker's time is available."""
        if self._runner is None:
            if time.monotonic() < self._retry_open_at_s:
                return
            try:
                self._runner = self._open_runner()
            except TemporaryError as error:
                self._retry_open_at_s = time.monotonic() + self._bot.settings.serve.retry_s
                self._context.tell(LogLine(datetime.now(UTC), LogKind.FAILED, None, None, one_line(error), error.code))
                return
        self._runner.tick()
        if self._update_listener:
            self._update_listener.tick()
        if self._tails:
            self._tails.tick()

    def close(self) -> None:
        """Close the bot in the thread that opened it."""
        if self._update_listener:
            self._update_listener.close()
        self._bot.close()

    def _open_runner(self) -> Runner:
        bot, context = self._bot, self._context
        keeper = BrokerCalendarKeeper(bot, context.by) if self._lane is Lane.UPKEEP else None
        pace: Pace = RealTime(keeper.now if keeper else bot.now, bot.settings.limits.max_clock_disagreement_s)
        slot_tracker = context.slot_tracker(bot, [self._lane])
        runner_context = replace(context.runner_context(bot, [self._lane]), calendar=keeper)
        after = {"facts": self._facts, "exits": self._exits}
        runner = Runner(
            runner_context, slot_tracker, pace, reconciled=self._reconciled, backoff=context.backoff, **after
        )
        bot.turns.ends = context.ends
        if self._lane is Lane.EXITS and bot.driver.bell:
            again = partial(runner.run_again, Job.EVALUATE_EXITS, context.exits_again(bot))
            self._update_listener = OrderUpdateListener(bot.driver.bell(bot.connection), again, context.tell)
        return exits_first(bot, runner)


def lanes(app: "App", context: LaneContext, *, reconciled: bool) -> Mapping[str, JobLane]:
    """Return the lanes of a bot by name."""
    exits = JobLane(app.twin(), context, Lane.EXITS, reconciled=reconciled)
    fetching = JobLane(app.twin(), context, Lane.FETCHING, reconciled=reconciled)
    entries = JobLane(app.twin(), context, Lane.ENTRIES, reconciled=reconciled, facts=fetching, exits=exits)
    upkeep = JobLane(app.twin(), context, Lane.UPKEEP, reconciled=reconciled)
    return {"exits": exits, "entries": entries, "fetching": fetching, "upkeep": upkeep}
