"""One road for every order: the promise is durable, then one request, then the outcome, whatever it was.

The promise says SENT before the socket is opened. Whether a process that died after it had opened the socket or not
changes nothing: its order is looked up by its id in both cases, so no state of its own stands between the two.
"""

from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from decimal import Decimal

from tradebot.model.candidate import Candidate, Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk
from tradebot.model.instrument import Instrument
from tradebot.model.intent import NEVER_SENT, Intent, IntentKey, Operation
from tradebot.model.order import Order, OrderType, Outcome, Reply, TimeInForce
from tradebot.model.reasons import Reason
from tradebot.model.trading import TradingState
from tradebot.world import Call, World

EXIT_LOOKUP = timedelta(minutes=5)
"""For so long an exit that the venue does not know is only looked up; then it is sent again under its own id."""

QUICK_S = 2.0
"""A pass that has taken less of everybody's time has no need to ask the venue what time it is."""


def submit_intent(
    call: Call, desk: Desk, candidate: Candidate, quantity: Decimal, limit_price: Decimal | None
) -> Intent:
    """Return the submit of a candidate; without a limit price it is a market order, which only exits may be."""
    key = IntentKey(
        desk.account.number,
        candidate.strategy,
        call.session,
        call.slot,
        candidate.symbol,
        candidate.side,
        candidate.purpose,
    )
    return Intent(
        key=key,
        client_order_id=key.client_order_id(),
        operation=Operation.SUBMIT,
        purpose=candidate.purpose,
        instrument=candidate.instrument,
        side=candidate.side,
        quantity=quantity,
        order_type=OrderType.MARKET if limit_price is None else OrderType.LIMIT,
        limit_price=limit_price,
        time_in_force=TimeInForce.DAY,
        cycle_id=call.cycle_id,
        at=desk.now,
    )


def cancel_intent(call: Call, desk: Desk, order: Order, strategy: str, purpose: Purpose) -> Intent:
    """Return the cancel of a working order of ours."""
    key = IntentKey(
        desk.account.number,
        strategy,
        call.session,
        call.slot,
        order.symbol,
        order.side,
        purpose,
        target=order.venue_id,
    )
    return Intent(
        key=key,
        client_order_id=key.client_order_id(),
        operation=Operation.CANCEL,
        purpose=purpose,
        instrument=Instrument(order.symbol),
        side=order.side,
        quantity=order.open_quantity,
        order_type=order.order_type,
        limit_price=order.limit_price,
        time_in_force=order.time_in_force,
        cycle_id=call.cycle_id,
        at=desk.now,
        target_venue_id=order.venue_id,
    )


def send(world: World, desk: Desk, intent: Intent, verdicts: tuple[Decision, ...]) -> Decision:
    """Promise, send once, settle; the last decision says what became of it.

    A dry run and shadow stop before the promise. Time and trading state are read again here, and the state once more
    after the promise: the process may have slept since the desk was taken, and a halt may have come meanwhile. What
    adds risk holds the send lock from that look through the answer, so that a halt knows when the last one is out.
    """
    if world.orders is None:
        return Decision(Gate.SEND, Verdict.FAIL, Reason.SHADOW if world.shadow else Reason.DRY_RUN)
    late = _too_late(world, desk, intent)
    if late is not None:
        return late
    with _send_lock(world, intent):
        if _halted(world, intent):
            return Decision(Gate.SEND, Verdict.FAIL, Reason.HALTED)
        if not world.ledger.promise(intent, verdicts):
            return Decision(Gate.SEND, Verdict.FAIL, Reason.DUPLICATE_INTENT, intent.client_order_id)
        if _halted(world, intent):
            unsent = Reply(Outcome.REJECTED, code=NEVER_SENT, message="a halt came before it was sent")
            world.ledger.settle(intent.client_order_id, unsent, desk.now)
            return Decision(Gate.SEND, Verdict.FAIL, Reason.HALTED)
        write = world.orders.submit if intent.operation is Operation.SUBMIT else world.orders.cancel
        reply = write(intent)
    world.ledger.settle(intent.client_order_id, reply, desk.now)
    return _outcome(reply)


def _adds_risk(intent: Intent) -> bool:
    return intent.purpose is Purpose.OPEN and intent.operation is Operation.SUBMIT


def _send_lock(world: World, intent: Intent) -> AbstractContextManager[None]:
    """Return the lock for what adds risk; exits and cancels need none, because no halt keeps them back."""
    return world.send_lock.hold(intent) if _adds_risk(intent) else nullcontext()


def _too_late(world: World, desk: Desk, intent: Intent) -> Decision | None:
    """Return why an order may no longer go out on this desk: the session has closed, or an entry's desk is too old."""
    quick = world.stopwatch() - desk.taken_s < QUICK_S
    if quick or intent.operation is not Operation.SUBMIT:
        return None
    clock, limit = world.reader.clock(), world.rules.limits.max_quote_age_s
    if not clock.is_open:
        return Decision(Gate.SEND, Verdict.FAIL, Reason.MARKET_CLOSED)
    age = (clock.now - desk.now).total_seconds()
    if intent.purpose is Purpose.OPEN and age > limit:
        return Decision(Gate.SEND, Verdict.FAIL, Reason.DESK_STALE, age, limit, age)
    return None


def _halted(world: World, intent: Intent) -> bool:
    """Tell whether the trading state keeps this order back; only what adds risk is kept."""
    return _adds_risk(intent) and world.ledger.trading_state().state is not TradingState.ACTIVE


def send_again(world: World, desk: Desk, intent: Intent) -> Decision:
    """Send an order whose first sending the venue does not know once more, under its own id and to the letter.

    If the first one arrives after all, the venue refuses the second as a duplicate of the id: never two orders.
    """
    assert not _adds_risk(intent), "an entry is never sent again"
    if world.orders is None:
        return Decision(Gate.SEND, Verdict.FAIL, Reason.SHADOW if world.shadow else Reason.DRY_RUN)
    world.ledger.retry(intent.client_order_id, desk.now)
    reply = world.orders.submit(intent)
    world.ledger.settle(intent.client_order_id, reply, desk.now)
    return _outcome(reply)


def _outcome(reply: Reply) -> Decision:
    words = " ".join(part for part in (reply.code, reply.message) if part) or None
    if reply.outcome is Outcome.ACCEPTED:
        return Decision(Gate.SEND, Verdict.PASS, Reason.SENT, words)
    if reply.outcome is Outcome.REJECTED:
        return Decision(Gate.SEND, Verdict.FAIL, Reason.VENUE_REJECTED, words)
    return Decision(Gate.SEND, Verdict.UNKNOWN, Reason.VENUE_UNKNOWN, words)


def closing_side(quantity: Decimal) -> Side:
    """Return the side that reduces a signed quantity."""
    return Side.SELL if quantity > 0 else Side.BUY
