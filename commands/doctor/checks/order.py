"""Place one order that can't fill and cancel it, through the same code as every order."""

import time
from typing import TYPE_CHECKING, TypeVar

from commands.doctor.checks.row import check, failed
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.judging.judgment import Judgment, State
from tradebot.judging.looks import skipped
from tradebot.model.trading import Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from tradebot.app.wiring import App
    from tradebot.model.decision import Decision
    from tradebot.orders.rehearsal import Rehearsal
    from tradebot.ports.world import Call

T = TypeVar("T")
PAUSE_S = 0.25
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
    """Place the order and cancel it; return a row for each."""
    try:
        found = _rehearsed(app, by)
    except TradebotError as error:
        return failed("order", error), skipped("cancel", "no order is known to be working")
    if found is None:
        fix = (
            "Try again while the market is open (sandbox: tradebot exchange tick open, then tradebot exchange tick 5m)"
        )
        placed = check(
            "order",
            State.FAILED,
            "no symbol of the universe without an order or position has a quote",
            "quotes",
            0,
            fix=fix,
        )
        return placed, skipped("cancel", "no order was placed")
    return _placed(found), _canceled(found)


def _rehearsed(app: "App", by: str) -> "Rehearsal | None":
    from commands.shared.clocks import require
    from commands.shared.in_turn import in_turn
    from jobs.claims import claim_by_hand
    from tradebot.model.record import Job
    from tradebot.orders.rehearsal import rehearse

    def turn(step: "Callable[[], T]") -> "T":
        return in_turn(app, "doctor --order", step)

    def claim() -> "Call":
        clock = app.reader.clock()
        require(clock, app.second_time(), app.settings)
        app.ensure_calendar(clock.now)
        return claim_by_hand(app.ledger, Job.TRADE_ONCE, "doctor", clock.now, by)

    call = turn(claim)
    return rehearse(app.world(proposing=False), call, lambda: time.sleep(PAUSE_S), turn)


def _placed(found: "Rehearsal") -> Judgment:
    intent = found.intent
    what = f"buy {intent.quantity} {intent.instrument.symbol} at {intent.limit_price}, id {intent.client_order_id}"
    if not found.sent.passed:
        return check("order", State.FAILED, f"{what}: {_words(found.sent)}", "answer", 1, fix=_remedy(found.sent))
    if found.working is None:
        evidence = f"{what}: accepted, but not found by its id afterward"
        return check("order", State.FAILED, evidence, "answers", 2, fix=LOOK_IT_UP)
    return check("order", State.OK, f"{what}: recorded, sent, and {found.working.status} at the broker", "answers", 2)


def _canceled(found: "Rehearsal") -> Judgment:
    if found.cancelled is None:
        return skipped("cancel", "no order is known to be working")
    if not found.cancelled.passed:
        return check("cancel", State.FAILED, _words(found.cancelled), "answer", 1, fix=LOOK_IT_UP)
    ended = found.ended
    if ended is None or not ended.status.terminal:
        evidence = f"requested; the broker still says {ended.status if ended else 'nothing'}"
        return check("cancel", State.DEGRADED, evidence, "answers", 2, fix=LOOK_IT_UP)
    evidence = f"{ended.status} at the broker, {ended.filled_quantity} filled"
    if ended.filled_quantity:
        fix = "See tradebot positions: the exit rules apply to it, as to any position"
        return check("cancel", State.FAILED, evidence, "answers", 2, fix=fix)
    return check("cancel", State.OK, evidence, "answers", 2)


def _words(decision: "Decision") -> str:
    return f"{decision.reason}" + (f" ({decision.observed})" if decision.observed else "")


def _remedy(decision: "Decision") -> str:
    from tradebot.model.reasons import REASONS

    assert decision.reason is not None, "a failure has a reason"
    return REASONS[decision.reason].remedy
