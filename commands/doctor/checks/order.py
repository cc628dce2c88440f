"""One order that cannot fill, placed and cancelled through the road of all orders."""

import time
from typing import TYPE_CHECKING

from commands.doctor.checks.row import READ_AGAIN, Check, Mark, skipped
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.model.trading import Mode

if TYPE_CHECKING:
    from tradebot.app.wiring import App
    from tradebot.model.decision import Decision
    from tradebot.orders.rehearsal import Rehearsal

PAUSE_S = 0.25
LOOK_IT_UP = "tradebot reconcile looks it up; end it at the broker if it still works"


def require_play_money(app: "App") -> None:
    """Raise OperatorError, exit 3, for real money, and in shadow, where nothing is sent."""
    if app.mode is Mode.LIVE:
        raise OperatorError(
            "doctor --order places an order, and this bot's account is real money",
            "tradebot doctor, without --order; rehearse on paper or on the sandbox",
            code=ExitCode.REFUSED,
        )
    if app.settings.shadow:
        raise OperatorError(
            "doctor --order places an order, and in shadow nothing is sent",
            "tradebot doctor, without --order",
            code=ExitCode.REFUSED,
        )


def order_checks(app: "App", by: str) -> tuple[Check, ...]:
    """Return the rows of the placing and of the cancel."""
    try:
        found = _rehearsed(app, by)
    except TradebotError as error:
        placed = Check("order", Mark.FAIL, error.message, age_s=None, fix=error.hint or READ_AGAIN)
        return placed, skipped("cancel", "no order is known to stand")
    if found is None:
        fix = "On the sandbox: tradebot exchange tick open, then tradebot exchange tick 5m; else try in the session"
        placed = Check("order", Mark.FAIL, "no free symbol of the universe has a quote", "quotes", 0, fix=fix)
        return placed, skipped("cancel", "no order was placed")
    return _placed(found), _cancelled(found)


def _rehearsed(app: "App", by: str) -> "Rehearsal | None":
    from commands.shared.clocks import require
    from jobs.claims import claim_by_hand
    from tradebot.model.record import Job
    from tradebot.orders.rehearsal import rehearse

    with app.pass_lock("doctor --order"):
        clock = app.reader.clock()
        require(clock, app.second_time(), app.settings)
        now = clock.now
        app.ensure_calendar(now)
        call = claim_by_hand(app.ledger, Job.TRADE_ONCE, "doctor", now, by)
        return rehearse(app.world(proposing=False), call, lambda: time.sleep(PAUSE_S))


def _placed(found: "Rehearsal") -> Check:
    intent = found.intent
    what = f"buy {intent.quantity} {intent.instrument.symbol} at {intent.limit_price}, id {intent.client_order_id}"
    if not found.sent.passed:
        return Check("order", Mark.FAIL, f"{what}: {_words(found.sent)}", "answer", 1, fix=_remedy(found.sent))
    if found.working is None:
        said = f"{what}: accepted, and not found by its id afterwards"
        return Check("order", Mark.FAIL, said, "answers", 2, fix=LOOK_IT_UP)
    return Check("order", Mark.OK, f"{what}: promised, sent, and {found.working.status} at the venue", "answers", 2)


def _cancelled(found: "Rehearsal") -> Check:
    if found.cancelled is None:
        return skipped("cancel", "no order is known to stand")
    if not found.cancelled.passed:
        return Check("cancel", Mark.FAIL, _words(found.cancelled), "answer", 1, fix=LOOK_IT_UP)
    ended = found.ended
    if ended is None or not ended.status.terminal:
        said = f"asked for; the venue still says {ended.status if ended else 'nothing'}"
        return Check("cancel", Mark.WARN, said, "answers", 2, fix=LOOK_IT_UP)
    said = f"{ended.status} at the venue, {ended.filled_quantity} filled"
    if ended.filled_quantity:
        fix = "tradebot positions; its exit rules hold it as any other position"
        return Check("cancel", Mark.FAIL, said, "answers", 2, fix=fix)
    return Check("cancel", Mark.OK, said, "answers", 2)


def _words(decision: "Decision") -> str:
    return f"{decision.reason}" + (f" ({decision.observed})" if decision.observed else "")


def _remedy(decision: "Decision") -> str:
    from tradebot.model.reasons import REASONS

    assert decision.reason is not None, "a failure has a reason"
    return REASONS[decision.reason].remedy
