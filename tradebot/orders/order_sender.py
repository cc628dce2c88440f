"""Send every order along one path: a durable record of its intent, then one request, then the outcome, whatever it is.

The intent is recorded as SENT before the socket is opened, and after a crash the order is looked up by its id, so no
other state is needed. UNKNOWN is not a rejection: the symbol gets no new orders until the outcome is known. A lookup
that returns nothing proves nothing until the venue's adapter proves that the request can't arrive any more. If the
venue accepts an id only once, an exit pass resends an unresolved exit after half a minute, under the same id. At other
venues that could create a second order. An unresolved cancel is repeated while its order works.
"""

from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from tradebot.errors import TemporaryError
from tradebot.model.candidate import Candidate, Purpose, Side, WantKind
from tradebot.model.decision import Decision, Decisions, Gate, Verdict
from tradebot.model.desk import Desk
from tradebot.model.instrument import Hours, Instrument
from tradebot.model.intent import (
    ID_CONFLICT,
    NEVER_SENT,
    REFUSED_LATE,
    Intent,
    IntentKey,
    Operation,
    outcome_of,
    own_slot,
)
from tradebot.model.order import Approach, Order, OrderStatus, OrderType, Reply, WriteOutcome
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState
from tradebot.ports.broker import OrderPort
from tradebot.ports.world import Call, World

EXIT_LOOKUP = timedelta(seconds=30)
"""How long an exit that hasn't reached the venue is only looked up.

After that, each pass may resend it with the same id.
"""

LOOKS = 3
"""How many times one pass queries the outcome of an accepted exit or cancel."""

ON_ITS_WAY = frozenset({OrderStatus.PENDING_NEW, OrderStatus.PENDING_REPLACE})
"""Order states in which the venue is still processing: it will report again soon, and the order can't be replaced yet.
"""

QUICK_S = 2.0
"""A pass that has taken less time than this, in seconds, needn't fetch the venue's time again."""

MOST_LEGS = 50
"""The most orders per side and symbol that a target may take in one slot."""

LAST_MOMENT = timedelta(seconds=2)
"""An order sent this close to the session's end may arrive after it and then wait for the next session."""


def submit_key(call: Call, desk: Desk, candidate: Candidate) -> IntentKey:
    """Return the key of a candidate's order; its slot is that of the pass or the strategy's own.

    With the strategy's own slot, a candidate is sent once per slot, whichever pass runs. The strategy's slot never
    equals that of a pass. If an earlier order wasn't filled completely, the order for the rest has another leg.
    """
    own = candidate.slot_session
    session, slot = (own, own_slot(candidate.slot)) if own else (call.session, call.slot)
    return IntentKey(
        desk.account.number, candidate.strategy, session, slot, candidate.symbol, candidate.side, candidate.purpose
    )


def wanted_key(world: World, call: Call, desk: Desk, candidate: Candidate) -> IntentKey:
    """Return the order key for a strategy's candidate. A target may take several orders, each a leg of its slot.

    Once all legs are used, it returns the last one again, which is then refused as a duplicate.
    """
    key = submit_key(call, desk, candidate)
    legs = candidate.want is WantKind.TARGET and candidate.slot_session is not None
    return free_leg(world, key) if legs else key


def free_leg(world: World, key: IntentKey) -> IntentKey:
    """Return the key of the first leg without an intent.

    If all legs have one, return the last, which is then refused as a duplicate.
    """
    for number in range(MOST_LEGS):
        leg = replace(key, leg=number)
        if not world.ledger.recorded_intents([leg.client_order_id()]):
            break
    return leg


def submit_intent(
    world: World,
    call: Call,
    desk: Desk,
    candidate: Candidate,
    quantity: Decimal,
    limit_price: Decimal | None,
    key: IntentKey | None = None,
    approach: Approach | None = None,
    approval: str = "",
) -> Intent:
    """Build the submit intent for a candidate; without a limit price it's a market order."""
    key = key or submit_key(call, desk, candidate)
    intent = Intent(
        key=key,
        client_order_id=key.client_order_id(),
        operation=Operation.SUBMIT,
        purpose=candidate.purpose,
        instrument=candidate.instrument,
        side=candidate.side,
        quantity=quantity,
        order_type=OrderType.MARKET if limit_price is None else OrderType.LIMIT,
        limit_price=limit_price,
        time_in_force=world.venue.passing_life,
        cycle_id=call.cycle_id,
        at=desk.now,
        stop_loss_fraction=candidate.stop_loss_fraction,
        profit_target_fraction=candidate.profit_target_fraction,
        sent_in=None if key.session == call.session else call.session,
        score=candidate.score,
        components=candidate.components,
        targets=candidate.targets,
        why=candidate.why,
        approach=approach,
        displaced_by=candidate.displaced_by,
        approval=approval,
        atr_fraction=candidate.atr_fraction,
        invalid_fraction=candidate.invalid_fraction,
        cluster=candidate.cluster,
    )
    return sent_at(intent, desk, decided=True)


def sent_at(intent: Intent, desk: Desk, *, decided: bool = False) -> Intent:
    """Return the intent with `send_mid` set to the desk's midpoint; if `decided`, set `decision_mid` to it too."""
    quote = desk.quotes.get(intent.instrument.symbol)
    middle, at = (quote.middle, quote.at) if quote else (None, None)
    return replace(intent, decision_mid=middle if decided else intent.decision_mid, send_mid=middle, send_mid_at=at)


def cancel_intent(
    call: Call, account_number: str, at: datetime, order: Order, instrument: Instrument, strategy: str, purpose: Purpose
) -> Intent:
    """Return an intent that cancels one of our working orders."""
    key = IntentKey(
        account_number, strategy, call.session, call.slot, order.symbol, order.side, purpose, target=order.venue_id
    )
    return Intent(
        key=key,
        client_order_id=key.client_order_id(),
        operation=Operation.CANCEL,
        purpose=purpose,
        instrument=instrument,
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
    call: Call, desk: Desk, order: Order, original: Intent, limit_price: Decimal, generation: int
) -> Intent:
    """Build an intent that changes the limit price of one of our working orders; its quantity stays the same.

    `original` is the intent behind the order, and `generation` counts earlier failed replaces. The same inputs give the
    same id, on any machine. The venue replaces an order at most once, so an order never gets two successors.
    """
    key = replace(original.key, target=order.venue_id, generation=generation)
    intent = replace(
        original,
        key=key,
        client_order_id=key.client_order_id(),
        operation=Operation.REPLACE,
        limit_price=limit_price,
        cycle_id=call.cycle_id,
        at=desk.now,
        target_venue_id=order.venue_id,
    )
    return sent_at(intent, desk)


def send(world: World, desk: Desk, intent: Intent, gate_decisions: Decisions, *, timed: bool = False) -> Decision:
    """Record the intent of an order, send it once and record its outcome; return the decision for it.

    In a dry run or shadow mode, nothing is recorded or sent. An order that adds risk holds the send lock while it is
    checked, recorded and sent, so a halt can wait for orders in transit. It may yield to an exit pass before its intent
    is recorded, but never between the recording and the reply. A `timed` order isn't sent if deciding on it took longer
    than `max_decision_ms`, or if more than `max_sending_ms` have passed since then, including the wait for the lock.
    """
    limits = world.rules.limits
    is_timed = timed and (limits.max_decision_ms, limits.max_sending_ms) != (None, None)
    decided_s = world.stopwatch() if is_timed else None
    if decided_s is not None:
        late = _refuse_if_longer(decided_s - desk.decision_started_s, limits.max_decision_ms, Reason.DECISION_LATE)
        if late:
            return late
    return _request_once(world, desk, intent, lambda: _record_intent(world, desk, intent, gate_decisions, decided_s))


def _refuse_if_longer(took_s: float, limit_ms: int | None, reason: Reason) -> Decision | None:
    took_ms = round(took_s * 1000)
    if limit_ms is None or took_ms <= limit_ms:
        return None
    return Decision(Gate.SEND, Verdict.FAIL, reason, took_ms, limit_ms)


def _request_once(world: World, desk: Desk, intent: Intent, record_intent: Callable[[], Decision | None]) -> Decision:
    """Record a request, send it and record its outcome, unless something blocks it.

    `record_intent` makes the request durable, and returns a decision if it must not be sent after all.
    """
    if world.orders is None:
        return Decision(Gate.SEND, Verdict.FAIL, Reason.SHADOW if world.shadow else Reason.DRY_RUN)
    # Exits and cancels need no lock, because no halt blocks them.
    with world.send_lock.hold(intent) if _adds_risk(intent) else nullcontext():
        blocked = _current_block(world, desk, intent)
        if blocked is None:
            blocked = record_intent()
        if blocked is not None:
            return blocked
        reply = _request(world.orders, intent)
    return _record_outcome(world, desk, intent, reply)


def _record_intent(
    world: World, desk: Desk, intent: Intent, gate_decisions: Decisions, decided_s: float | None
) -> Decision | None:
    """Record the intent as sent, then check again; if something blocks it now, record and return that, else None.

    Writing takes time, and the process may have slept: a halt may have arrived, or the session may be over.
    """
    if _adds_risk(intent):
        world.give_way()
    if not world.ledger.record_intent(intent, gate_decisions):
        return Decision(Gate.SEND, Verdict.FAIL, Reason.DUPLICATE_INTENT, intent.client_order_id)
    # The check may read the venue's clock. No exit pass may interrupt here, because the intent is already recorded.
    with world.undisturbed():
        blocked = _current_block(world, desk, intent)
    if blocked is None and decided_s is not None:
        limit_ms = world.rules.limits.max_sending_ms
        blocked = _refuse_if_longer(world.stopwatch() - decided_s, limit_ms, Reason.SENDING_LATE)
    if blocked is not None:
        unsent = Reply(WriteOutcome.REJECTED, code=NEVER_SENT, message=f"{blocked.reason} before it was sent")
        world.ledger.record_outcome(intent.client_order_id, unsent, desk.now)
    return blocked


def _record_outcome(world: World, desk: Desk, intent: Intent, reply: Reply) -> Decision:
    """Record how a request ended. Query an accepted exit again: this pass has to know of a late rejection."""
    world.ledger.record_outcome(intent.client_order_id, reply, desk.now)
    if reply.order and not _adds_risk(intent) and not intent.protects:
        latest = outcome_of(_once_processed(world, reply.order))
        if latest.outcome is WriteOutcome.REJECTED:
            reply = latest
            world.ledger.record_outcome(intent.client_order_id, reply, desk.now)
    return _decision_from(intent, reply)


def refuse_late(world: World, desk: Desk, client_order_id: str, message: str) -> Decision:
    """Record that the venue rejected an order's change after accepting it; return the decision for it."""
    world.ledger.record_outcome(
        client_order_id, Reply(WriteOutcome.REJECTED, code=REFUSED_LATE, message=message), desk.now
    )
    return Decision(Gate.SEND, Verdict.FAIL, Reason.VENUE_REJECTED, f"{REFUSED_LATE} {message}")


def _once_processed(world: World, order: Order) -> Order:
    """Return an order once the venue has processed it, or its latest state after a few queries."""
    latest = order
    with world.undisturbed(), suppress(TemporaryError):
        for _ in range(LOOKS):
            if latest.status not in ON_ITS_WAY:
                break
            latest = world.reader.order(order.client_order_id) or latest
    return latest


def _request(orders: OrderPort, intent: Intent) -> Reply:
    if intent.operation is Operation.CANCEL:
        return orders.cancel(intent)
    return orders.submit(intent) if intent.operation is Operation.SUBMIT else orders.replace(intent)


def cancel_at_once(world: World, intent: Intent, gate_decisions: Decisions) -> Decision | None:
    """Record a cancel, send it once and record the outcome; return None if it was recorded before.

    Nothing blocks a cancel.
    """
    assert world.orders is not None, "a dry run cancels nothing"
    if not world.ledger.record_intent(intent, gate_decisions):
        return None
    reply = world.orders.cancel(intent)
    world.ledger.record_outcome(intent.client_order_id, reply, intent.at)
    return _decision_from(intent, reply)


def _adds_risk(intent: Intent) -> bool:
    return intent.purpose is Purpose.OPEN and intent.makes_order


def _current_block(world: World, desk: Desk, intent: Intent) -> Decision | None:
    """Return what has come to block this order since the desk was taken; None if nothing has."""
    if _adds_risk(intent) and world.ledger.trading_state().state is not TradingState.ACTIVE:
        return Decision(Gate.SEND, Verdict.FAIL, Reason.HALTED)
    return _too_late(world, desk, intent)


def _close_after(hours: Hours | None, at: datetime) -> datetime | None:
    """Return when the trading session open at a moment ends, by the venue's hours; None if there is none."""
    return next((session.close for session in hours.trading if session.contains(at)), None) if hours else None


def _too_late(world: World, desk: Desk, intent: Intent) -> Decision | None:
    """Return why it is too late to send this, or None: the session is closing or over, or the desk is too old.

    An old desk blocks only entries. It is never too late for a cancel.
    """
    if intent.operation is Operation.CANCEL:
        return None
    elapsed_s, max_age_s = world.stopwatch() - desk.taken_s, world.rules.limits.max_decision_s
    # The desk's own time, moved on, is good enough for a moment; after that, ask the venue.
    is_quick = elapsed_s < QUICK_S
    clock = desk.clock if is_quick else world.reader.clock()
    now = desk.now + timedelta(seconds=elapsed_s) if is_quick else clock.now
    hours = desk.hours_of(intent.instrument.symbol)
    close = clock.next_close if hours is None and clock.is_open else _close_after(hours, now)
    if close is None or now + LAST_MOMENT >= close:
        return Decision(Gate.SEND, Verdict.FAIL, Reason.MARKET_CLOSED)
    # Whatever was decided in a session that is over has to be decided again in the next.
    is_over = now >= desk.clock.next_close if hours is None else close != _close_after(hours, desk.now)
    age_s = (now - desk.now).total_seconds()
    if is_over or (intent.purpose is Purpose.OPEN and age_s > max_age_s):
        return Decision(Gate.SEND, Verdict.FAIL, Reason.DESK_STALE, age_s, max_age_s, age_s)
    return None


def send_again(world: World, desk: Desk, intent: Intent) -> Decision:
    """Resend, with its own id, a request that may not have reached the venue.

    The request is unchanged, except that an exit's limit may have a current price. If the first request arrives after
    all, the venue refuses the second: one id makes only one order, and an order is canceled or replaced only once. A
    venue without that guarantee never gets a second request.
    """
    assert not (_adds_risk(intent) and intent.operation is Operation.SUBMIT), "an entry is never sent again"
    assert world.venue.may_repeat(intent.operation), "a second request could make a second order"
    return _request_once(world, desk, intent, lambda: _record_retry(world, desk, intent))


def may_send_again(world: World, desk: Desk, intent: Intent) -> bool:
    """Return True if an unresolved request may be resent: it is old enough, and can't create a second order."""
    # A date in the future means the venue's clock was ahead then; that doesn't make the order younger.
    return abs(desk.now - intent.at) >= EXIT_LOOKUP and world.venue.may_repeat(intent.operation)


def _record_retry(world: World, desk: Desk, intent: Intent) -> Decision | None:
    """Record that a request is resent; if its outcome is known by now, return a refusal instead, else None."""
    record = world.ledger.intent(intent.client_order_id)
    if record is not None and not record.state.is_unresolved:
        return Decision(Gate.SEND, Verdict.FAIL, Reason.DUPLICATE_INTENT, intent.client_order_id)
    is_repriced = record is not None and record.intent.limit_price != intent.limit_price
    world.ledger.retry(intent.client_order_id, desk.now, intent.limit_price if is_repriced else None)
    return None


def _decision_from(intent: Intent, reply: Reply) -> Decision:
    if reply.code == ID_CONFLICT:
        return Decision(Gate.SEND, Verdict.FAIL, Reason.SECOND_WRITER, intent.client_order_id, 0)
    message = " ".join(part for part in (reply.code, reply.message) if part) or None
    if reply.outcome is WriteOutcome.ACCEPTED:
        return Decision(Gate.SEND, Verdict.PASS, Reason.SENT, message)
    if reply.outcome is WriteOutcome.REJECTED:
        return Decision(Gate.SEND, Verdict.FAIL, Reason.VENUE_REJECTED, message)
    return Decision(Gate.SEND, Verdict.UNKNOWN, Reason.VENUE_UNKNOWN, message)


def closing_side(quantity: Decimal) -> Side:
    return Side.SELL if quantity > 0 else Side.BUY


class _UnrecordedCancel(NamedTuple):
    """A cancel that isn't recorded in the ledger."""

    target_venue_id: str


def cancel_unrecorded(orders: OrderPort, order: Order) -> Reply:
    """Cancel one of our entries when no pass can record the cancel first; return the venue's reply.

    A cancel only reduces risk and may safely arrive twice, so it is the one request allowed without such a record.
    """
    return orders.cancel(_UnrecordedCancel(order.venue_id))
