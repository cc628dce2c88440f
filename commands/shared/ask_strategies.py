"""Run the strategies before the pass lock is taken, so that a slow one doesn't delay exits.

They run on the facts known at that time, unless the slot is taken or the session is closed. Their candidates are
evaluated with the desk taken under the lock, and expire after `limits.max_candidate_age_s`. If a strategy has a bug,
the pass still runs under the lock and ends there, so that its slot is used up and its record has the reason.
"""

from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from msgspec import Struct

from commands.shared.calendar import entry_grace_s
from commands.shared.pass_reports import is_pass_unfinished
from jobs.slot_claims import SlotRefused, claim
from tradebot.adapters.state.state_locks import EXIT_WAIT_S, MOST_WAYS, WAIT_S
from tradebot.app.wiring import App
from tradebot.desk.proposals import Proposals, propose
from tradebot.errors import DamagedBooksError, ExitCode, TradebotError, YieldToExits
from tradebot.model.bar import VenueClock
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.event import EventKind
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.ports.world import Call, World
from tradebot.timetable.sessions import session_of

T = TypeVar("T")


def under_pass_lock(app: "App", verb: str, work: "Callable[[], T]") -> T:
    """Do the work under the pass lock and return its result; if the work yields to exits, run it again after them.

    A repeated run still belongs to the same call. Raises TradebotError, exit 6, after too many repetitions.
    """
    call: Call | None = None
    for times in range(MOST_WAYS):
        try:
            wait_s = EXIT_WAIT_S if times else WAIT_S
            with app.pass_lock(verb, gives_way=True, wait_s=wait_s), app.turns.attempt(call):
                return work()
        except YieldToExits:
            if app.turns.ends():
                # Nothing is lost: recorded orders are in the ledger, and are looked up after the next start.
                raise TradebotError(f"{verb} was stopped by a signal before it was done", "tradebot serve") from None
            call = app.turns.call
            _note_given_way(app, verb)
            if app.turns.due():
                app.turns.run_due()
    _record_given_up(app, call)
    raise TradebotError(
        f"{verb} gave way to exit passes {MOST_WAYS} times and stopped before it was done",
        "Run it again: nothing is sent twice. If this happens often, the broker answers slowly: tradebot doctor",
        code=ExitCode.ANOTHER_INSTANCE,
    )


def _note_given_way(app: "App", verb: str) -> None:
    """Emit an event, so that it is explained why the pass took longer than usual."""
    details = {"verb": verb, "message": "it released the lock for an exit pass and resumes afterward"}
    app.events.emit(EventKind.GAVE_WAY.at(app.stamp_time(), details))


def _record_given_up(app: "App", call: "Call | None") -> None:
    """Replace the record of a pass that yielded too often, so that it shows this reason."""
    for cycle in app.facts.cycles(job=call.job, last=1) if call else ():
        if call and cycle.id == call.cycle_id:
            app.facts.record(replace(cycle, job_decision=Decision(Gate.JOB, Verdict.UNKNOWN, Reason.GAVE_WAY)))


class StrategyReplies(Struct):
    """The strategies' results, if they ran, and the context manager to run them in.

    An error in the block is stored, and raised when the results are needed. That happens inside the pass, which records
    the reason, and halts the bot if it was a bug.
    """

    proposed: "Proposals | None" = None
    failed: Exception | None = None

    def __enter__(self) -> "StrategyReplies":
        """Enter the block; there are no results yet."""
        return self

    def __exit__(self, _kind: object, failed: BaseException | None, _trace: TracebackType | None) -> bool:
        """Store an error for later; a signal isn't stored, but raised at once."""
        if isinstance(failed, Exception):
            self.failed = failed
        return failed is self.failed is not None

    def __bool__(self) -> bool:
        """Return True if the strategies were asked, or if that failed."""
        return bool(self.proposed or self.failed)

    def answer(self) -> "Proposals":
        """Return the candidates, none if no strategy ran; raise the error that ended the run."""
        if self.failed:
            raise self.failed
        return self.proposed or Proposals((), ())


def asking_world(app: "App", verb: str, *, dry_run: bool = False, proposing: bool = True) -> "World":
    """Return a world in which the strategies can run without the pass lock.

    Damaged books are left to the check under the lock, which halts the bot and reports where the books are now.
    """
    try:
        return app.world(dry_run=dry_run, proposing=proposing, asking=True)
    except DamagedBooksError:
        with app.pass_lock(verb):
            raise


def ask_if_due(
    app: "App", world: "World", clock: "VenueClock", *, force: bool = False, dry_run: bool = False, part: str = ""
) -> StrategyReplies:
    """Run the strategies unless the session is closed or the slot is taken; the caller holds no lock.

    The world's ledger is only read. If it can't be read, the pass itself reports the error.
    """
    with StrategyReplies() as strategy_replies:
        if _due(app, world, clock, force=force, dry_run=dry_run, part=part):
            # A dry run runs all strategies, whatever their own clocks say.
            entries = None if dry_run else app.settings.timetable[Job.TRADE_ONCE]
            strategy_replies.proposed = propose(world, clock.now, entries)
    return strategy_replies


def _due(app: "App", world: "World", clock: "VenueClock", *, force: bool, dry_run: bool, part: str) -> bool:
    """Return True if a pass would get its slot now, in an open session; the pass itself checks the clocks."""
    if not clock.is_open:
        return False
    session = session_of(world.ledger, clock.now, app.day)
    if session is None and not dry_run:
        # The broker is open, so maybe the stored calendar just doesn't reach this day yet.
        with app.pass_lock("trade-once"):
            app.ensure_calendar(clock.now)
        session = session_of(world.ledger, clock.now, app.day)
    if session is None or not session.contains(clock.now):
        return False
    call = claim(
        world.ledger,
        app.settings.timetable,
        Job.TRADE_ONCE,
        clock.now,
        app.day,
        "",
        force=force,
        dry_run=dry_run,
        look=True,
        part=part,
        grace_s=entry_grace_s(app),
        unfinished=lambda taken: is_pass_unfinished(app, taken, clock.now),
    )
    return not isinstance(call, SlotRefused)
