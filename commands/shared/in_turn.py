"""Work under the pass lock that gives way to exits and goes on after them."""

from collections.abc import Callable
from typing import TypeVar

from tradebot.adapters.state.lock import EXIT_WAIT_S, WAIT_S
from tradebot.adapters.state.turns import MOST_WAYS
from tradebot.app.wiring import App
from tradebot.errors import ExitCode, GaveWay, TradebotError
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.event import EventKind
from tradebot.model.reasons import Reason
from tradebot.model.values import replace
from tradebot.ports.world import Call

T = TypeVar("T")


def in_turn(app: "App", verb: str, work: "Callable[[], T]") -> T:
    """Do the work under the pass lock and return its result; whenever it gives way to exits, begin it again after them.

    The work goes on with the call of its first beginning. Raises TradebotError, exit 6, after giving way too often.
    """
    call: Call | None = None
    for times in range(MOST_WAYS):
        try:
            wait_s = EXIT_WAIT_S if times else WAIT_S
            with app.pass_lock(verb, gives_way=True, wait_s=wait_s), app.turns.attempt(call):
                return work()
        except GaveWay:
            if app.turns.ends():
                # Nothing is lost: what was promised is in the ledger, and is looked up after the next start.
                raise TradebotError(f"{verb} was stopped by a signal before it was done", "tradebot serve") from None
            call = app.turns.call
            _note_given_way(app, verb)
            if app.turns.due():
                app.turns.run_due()
    _record_given_up(app, call)
    raise TradebotError(
        f"{verb} gave way to exit passes {MOST_WAYS} times and ended before it was done",
        "Run it again: nothing is sent twice. If this happens often, the broker answers slowly: tradebot doctor",
        code=ExitCode.ANOTHER_INSTANCE,
    )


def _note_given_way(app: "App", verb: str) -> None:
    """Write an event: a pass that takes longer than usual should be explained somewhere."""
    details = {"verb": verb, "message": "it released the lock for an exit pass and goes on after it"}
    app.events.emit(EventKind.GAVE_WAY.at(app.stamp_time(), details))


def _record_given_up(app: "App", call: "Call | None") -> None:
    """Replace the record of a pass that was cut short by the reason: it gave way too often."""
    for cycle in app.facts.cycles(job=call.job, last=1) if call else ():
        if call and cycle.id == call.cycle_id:
            app.facts.record(replace(cycle, job_decision=Decision(Gate.JOB, Verdict.UNKNOWN, Reason.GAVE_WAY)))
