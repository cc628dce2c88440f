"""One road for every order: the promise is durable, then one request, then the outcome, whatever it was.

The promise says SENT before the socket is opened. Whether a process that died after it had opened the socket or not
changes nothing: its order is looked up by its id in both cases, so no state of its own stands between the two.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from tradebot.model.candidate import Candidate, Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk
from tradebot.model.instrument import Instrument
from tradebot.model.intent import ID_CONFLICT, NEVER_SENT, Intent, IntentKey, Operation
from tradebot.model.order import Order, OrderType, Outcome, Reply, TimeInForce
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.trading import TradingState
from tradebot.ports.broker import OrderPort
from tradebot.ports.world import Call, World

EXIT_LOOKUP = timedelta(minutes=5)
"""For so long an exit that the venue does not know is only looked up; then each pass sends it again under its id."""

QUICK_S = 2.0
"""A pass that has taken less of everybody's time has no need to ask the venue what time it is."""

UNPROMISED = "halt"
"""Strategy and slot of a cancel that no ledger could take."""

LAST_MOMENT = timedelta(seconds=2)
"""What leaves so shortly before the close may arrive after it, and would then wait for the next session."""


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
    return cancel_without_desk(call, desk.account.number, desk.now, order, strategy, purpose)


def cancel_without_desk(
    call: Call, account_number: str, at: datetime, order: Order, strategy: str, purpose: Purpose
) -> Intent:
    """Return the cancel of a working order of ours where no desk was taken."""
    key = IntentKey(
        account_number,
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
        at=at,
        target_venue_id=order.venue_id,
    )


def replace_intent(
    call: Call, desk: Desk, order: Order, promised: Intent, limit_price: Decimal, generation: int
) -> Intent:
    """Return the change of a working order of ours to another limit price; its quantity stays what it is.

    `promised` is what the order came of, `generation` how many such changes of it have come to nothing. The id is the
    same whenever and wherever it is asked for, and the venue replaces an order once at most: never two follow one.
    """
    key = replace(promised.key, target=order.venue_id, generation=generation)
    return replace(
        promised,
        key=key,
        client_order_id=key.client_order_id(),
        operation=Operation.REPLACE,
        limit_price=limit_price,
        cycle_id=call.cycle_id,
        at=desk.now,
        target_venue_id=order.venue_id,
    )


def send(world: World, desk: Desk, intent: Intent, verdicts: tuple[Decision, ...]) -> Decision:
    """Promise, send once, settle; the last decision says what became of it.

    A dry run and shadow stop before the promise. Time and trading state are read again here, and once more after the
    promise: the process may have slept since the desk was taken, and a halt may have come meanwhile. What adds risk
    holds the send lock from before the first look through the answer, so that a halt knows when the last one is out.
    """
    if world.orders is None:
        return Decision(Gate.SEND, Verdict.FAIL, Reason.SHADOW if world.shadow else Reason.DRY_RUN)
    with _send_lock(world, intent):
        kept = _kept_back(world, desk, intent)
        if kept is not None:
            return kept
        if not world.ledger.promise(intent, verdicts):
            return Decision(Gate.SEND, Verdict.FAIL, Reason.DUPLICATE_INTENT, intent.client_order_id)
        kept = _kept_back(world, desk, intent)
        if kept is not None:
            unsent = Reply(Outcome.REJECTED, code=NEVER_SENT, message=f"{kept.reason} before it was sent")
            world.ledger.settle(intent.client_order_id, unsent, desk.now)
            return kept
        reply = _write(world.orders, intent)
    world.ledger.settle(intent.client_order_id, reply, desk.now)
    return _outcome(intent, reply)


def _write(orders: OrderPort, intent: Intent) -> Reply:
    """Send one request for an intent."""
    if intent.operation is Operation.CANCEL:
        return orders.cancel(intent)
    return orders.submit(intent) if intent.operation is Operation.SUBMIT else orders.replace(intent)


def cancel_at_once(world: World, intent: Intent, verdicts: tuple[Decision, ...]) -> Decision | None:
    """Promise a cancel, send it once and settle it; None if it was promised before. Nothing keeps a cancel back."""
    assert world.orders is not None, "a dry run cancels nothing"
    if not world.ledger.promise(intent, verdicts):
        return None
    reply = world.orders.cancel(intent)
    world.ledger.settle(intent.client_order_id, reply, intent.at)
    return _outcome(intent, reply)


def _adds_risk(intent: Intent) -> bool:
    return intent.purpose is Purpose.OPEN and intent.operation is Operation.SUBMIT


def _send_lock(world: World, intent: Intent) -> AbstractContextManager[None]:
    """Return the lock for what adds risk; exits and cancels need none, because no halt keeps them back."""
    return world.send_lock.hold(intent) if _adds_risk(intent) else nullcontext()


def _kept_back(world: World, desk: Desk, intent: Intent) -> Decision | None:
    """Return what has come since the desk was taken that keeps this order back, if anything."""
    if _halted(world, intent):
        return Decision(Gate.SEND, Verdict.FAIL, Reason.HALTED)
    return _too_late(world, desk, intent)


def _too_late(world: World, desk: Desk, intent: Intent) -> Decision | None:
    """Return why an order may no longer go out on this desk: the session closes, or an entry's desk is too old."""
    if intent.operation is Operation.CANCEL:
        return None
    passed_s, limit = world.stopwatch() - desk.taken_s, world.rules.limits.max_quote_age_s
    quick = passed_s < QUICK_S
    clock = desk.clock if quick else world.reader.clock()
    now = desk.now + timedelta(seconds=passed_s) if quick else clock.now
    if not clock.is_open or now + LAST_MOMENT >= clock.next_close:
        return Decision(Gate.SEND, Verdict.FAIL, Reason.MARKET_CLOSED)
    age = (now - desk.now).total_seconds()
    if intent.purpose is Purpose.OPEN and age > limit:
        return Decision(Gate.SEND, Verdict.FAIL, Reason.DESK_STALE, age, limit, age)
    return None


def _halted(world: World, intent: Intent) -> bool:
    """Tell whether the trading state keeps this order back; only what adds risk is kept."""
    return _adds_risk(intent) and world.ledger.trading_state().state is not TradingState.ACTIVE


def send_again(world: World, desk: Desk, intent: Intent) -> Decision:
    """Send what the venue does not know, or may not have done, once more: under its own id and to the letter.

    If the first one arrives after all, the venue refuses the second: an id makes one order, and an order ends once or
    is replaced once. Never two orders.
    """
    assert not _adds_risk(intent), "an entry is never sent again"
    if world.orders is None:
        return Decision(Gate.SEND, Verdict.FAIL, Reason.SHADOW if world.shadow else Reason.DRY_RUN)
    late = _too_late(world, desk, intent)
    if late is not None:
        return late
    world.ledger.retry(intent.client_order_id, desk.now)
    reply = _write(world.orders, intent)
    world.ledger.settle(intent.client_order_id, reply, desk.now)
    return _outcome(intent, reply)


def _outcome(intent: Intent, reply: Reply) -> Decision:
    if reply.code == ID_CONFLICT:
        return Decision(Gate.SEND, Verdict.FAIL, Reason.SECOND_WRITER, intent.client_order_id, 0)
    words = " ".join(part for part in (reply.code, reply.message) if part) or None
    if reply.outcome is Outcome.ACCEPTED:
        return Decision(Gate.SEND, Verdict.PASS, Reason.SENT, words)
    if reply.outcome is Outcome.REJECTED:
        return Decision(Gate.SEND, Verdict.FAIL, Reason.VENUE_REJECTED, words)
    return Decision(Gate.SEND, Verdict.UNKNOWN, Reason.VENUE_UNKNOWN, words)


def closing_side(quantity: Decimal) -> Side:
    """Return the side that reduces a signed quantity."""
    return Side.SELL if quantity > 0 else Side.BUY


def cancel_unpromised(orders: OrderPort, order: Order, account: str, at: datetime) -> Reply:
    """Cancel an entry of ours where no pass can promise it first, and return the venue's reply.

    A cancel only reduces risk and may arrive twice, so it is the one request that may go out without a promise.
    """
    call = Call(Job.EVALUATE_EXITS, at.date(), UNPROMISED, UNPROMISED)
    return orders.cancel(cancel_without_desk(call, account, at, order, UNPROMISED, Purpose.OPEN))
