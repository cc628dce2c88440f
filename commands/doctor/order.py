"""Place one order that can't fill and cancel it, through the same code as every order."""

import time
from typing import TYPE_CHECKING, TypeVar

from commands.doctor.machine import CheckResult, bad, failed_check, ok, skip, warn
from commands.shared.ask_strategies import under_pass_lock
from commands.shared.calendar import require
from jobs.slot_claims import claim_by_hand
from tradebot.app.wiring import App
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.judging.judgment import Judgment
from tradebot.model.decision import Decision
from tradebot.model.reasons import REASONS
from tradebot.model.record import Job
from tradebot.model.trading import Mode
from tradebot.orders.rehearsal import RehearsalProgress, rehearse
from tradebot.ports.world import Call

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
PAUSES_S = (*[0.25] * 8, *[1.0] * 12)
"""How long it waits between looks: a venue's history may be ten seconds behind, and only that proves an end."""
NOT_WORKING = skip("no order is known to be working")
LOOK_IT_UP = "Run tradebot reconcile to look it up, and cancel it at the broker if it is still working"


def require_play_money(app: "App") -> None:
    """Raise OperatorError, exit 3, for real money and in shadow mode, which sends no orders."""
    if app.mode is Mode.LIVE:
        raise OperatorError(
            "doctor --order places an order, and this bot trades real money",
            "run tradebot doctor without --order; try --order on paper or in the sandbox",
            code=ExitCode.REFUSED,
        )
    if app.settings.shadow:
        raise OperatorError(
            "doctor --order places an order, and in shadow mode no orders are sent",
            "run tradebot doctor without --order",
            code=ExitCode.REFUSED,
        )


def order_checks(app: "App", by: str) -> tuple[Judgment, ...]:
    """Place the test order and cancel it; return a judgment of each step."""
    try:
        progress = _rehearse(app, by)
    except TradebotError as error:
        return failed_check(error).about("order"), NOT_WORKING.about("cancel")
    if progress is None:
        fix = (
            "Try again while the market is open (sandbox: tradebot exchange tick open, then tradebot exchange tick 5m)"
        )
        none = bad("no symbol is free for a test order: each has a position or an order, or no quote", fix, "quotes", 0)
        return none.about("order"), skip("no order was placed").about("cancel")
    return _check_placed(progress).about("order"), _check_canceled(progress).about("cancel")


def _rehearse(app: "App", by: str) -> "RehearsalProgress | None":
    def under_lock(step: "Callable[[], T]") -> "T":
        return under_pass_lock(app, "doctor --order", step)

    def claim() -> "Call":
        clock = app.reader.clock()
        require(clock, app.second_time(), app.settings)
        app.ensure_calendar(clock.now)
        return claim_by_hand(app.ledger, Job.TRADE_ONCE, "doctor", clock.now, app.day, by)

    call = under_lock(claim)
    pauses = iter(PAUSES_S)

    def pause() -> None:
        seconds = next(pauses, PAUSES_S[-1])
        # In the sandbox, time stands still unless something advances it.
        (app.let_pass if app.mode is Mode.SANDBOX else time.sleep)(seconds)

    return rehearse(app.world(proposing=False), call, pause, under_lock)


def _check_placed(progress: "RehearsalProgress") -> CheckResult:
    intent = progress.intent
    what = f"buy {intent.quantity} {intent.instrument.symbol} at {intent.limit_price}, id {intent.client_order_id}"
    if not progress.sent.passed:
        return bad(f"{what}: {_words(progress.sent)}", _remedy(progress.sent), "answer")
    if progress.working is None:
        return bad(f"{what}: accepted, but not found by its id afterward", LOOK_IT_UP, "answers", 2)
    return ok(f"{what}: recorded, sent, and {progress.working.status} at the broker", "answers", 2)


def _check_canceled(progress: "RehearsalProgress") -> CheckResult:
    if progress.cancelled is None:
        return NOT_WORKING
    if not progress.cancelled.passed:
        return bad(_words(progress.cancelled), LOOK_IT_UP, "answer")
    ended = progress.ended
    if ended is None or not ended.status.terminal:
        status_text = ended.status if ended else "nothing"
        return warn(f"requested; the broker still says {status_text}", LOOK_IT_UP, "answers", 2)
    evidence = f"{ended.status} at the broker, {ended.filled_quantity} filled"
    if ended.filled_quantity:
        fix = "See tradebot positions: the exit rules apply to it, as to any position"
        return bad(evidence, fix, "answers", 2)
    return ok(evidence, "answers", 2)


def _words(decision: "Decision") -> str:
    return f"{decision.reason}" + (f" ({decision.observed})" if decision.observed else "")


def _remedy(decision: "Decision") -> str:
    assert decision.reason is not None, "a failure has a reason"
    return REASONS[decision.reason].remedy
