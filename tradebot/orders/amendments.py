"""Change or cancel our working orders: record each request, send it once, and repeat it while its outcome is
unknown.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from tradebot.desk.pass_events import gap_began
from tradebot.errors import TemporaryError
from tradebot.exits.exit_reasons import compose
from tradebot.gates.shared_gates import permission
from tradebot.gates.sizing import marketable_limit
from tradebot.model.books import Books
from tradebot.model.candidate import Candidate, Purpose
from tradebot.model.decision import Decision, Decisions, Gate, Verdict, first_failure
from tradebot.model.desk import Desk
from tradebot.model.intent import TARGET_DONE, Intent, IntentRecord, IntentState, Operation, mark_of
from tradebot.model.order import Order, OrderClass, OrderStatus, OrderType
from tradebot.model.position import ADOPTED
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, Gap
from tradebot.model.resting_orders import HoldingKey, Resting
from tradebot.model.struct_tools import replace
from tradebot.orders.order_sender import LOOKS, cancel_intent, refuse_late, send, send_again, sent_at
from tradebot.ports.world import Call, World
from tradebot.reconciliation.new_fills import known_orders
from tradebot.reconciliation.protection import closed_by_others, protection_gaps
from tradebot.reconciliation.unfinished_closes import CANCELED_BY_HAND

CANCELED_ON_REQUEST = frozenset({Reason.CANCELED_BY_HAND, Reason.STOP_CANCELED_BY_HAND})
"""Reasons of a cancel that a person requested. A close that it ends isn't continued."""
WAITS = Decision(Gate.UNRESOLVED, Verdict.FAIL, Reason.INTENT_UNRESOLVED, "the venue could take it for another one")
"""Why an unresolved request isn't resent: it is only looked up until the venue proves how it ended."""
AGAIN = Decision(Gate.UNRESOLVED, Verdict.PASS, None, "sent again under its own id")
"""The decision to resend an unresolved request."""


def cancel_order(
    world: World, call: Call, desk: Desk, order: Order, record: IntentRecord, why: Reason
) -> CandidateRecord:
    """Cancel a working order, or resend an unresolved cancel; a second cancel does no harm."""
    original, now = record.intent, desk.now
    of, strategy, purpose = original.instrument, original.key.strategy, original.purpose
    new_intent = cancel_intent(call, desk.account.number, now, order, of, strategy, purpose)
    if why in CANCELED_ON_REQUEST:
        new_intent = replace(new_intent, why=compose((CANCELED_BY_HAND,)))
    return send_change(world, desk, order, new_intent, why)


def mark_if_cancel_rejected(
    world: World, desk: Desk, record: CandidateRecord, before: Iterable[Order], now: Iterable[Order]
) -> CandidateRecord:
    """Return the record of a cancel, marked as rejected if none of the orders changed.

    A venue may accept a cancel and reject it a moment later.
    """
    status_before = {order.venue_id: order.status for order in before}
    status_now = {order.venue_id: order.status for order in now if order.venue_id in status_before}
    if record.terminal is not None or status_now != status_before or OrderStatus.PENDING_CANCEL in status_now.values():
        return record
    assert record.client_order_id, "a cancel that was sent must have an id"
    refused = refuse_late(world, desk, record.client_order_id, "the broker accepted the cancel, then rejected it")
    return replace(record, decisions=(*record.decisions[:-1], refused))


def cancel_forgotten(world: World, call: Call, desk: Desk, order: Order, why: Reason) -> CandidateRecord:
    """Cancel a working order that carries one of our ids but is missing from the books."""
    mark, instrument = mark_of(order.client_order_id), desk.listings[order.symbol].instrument
    purpose = mark.purpose if mark and mark.purpose else Purpose.PROTECT
    new_intent = cancel_intent(call, desk.account.number, desk.now, order, instrument, ADOPTED, purpose)
    return send_change(world, desk, order, new_intent, why)


def send_change(world: World, desk: Desk, order: Order, new_intent: Intent, why: Reason) -> CandidateRecord:
    """Send a change to a working order if permission allows; resend an unresolved earlier change instead."""
    earlier = change_of(order, desk.books.unresolved_intents, new_intent.operation)
    intent = earlier or new_intent
    candidate = change_candidate(intent, Purpose.REDUCE, desk.now, order.open_quantity)
    allowed = permission(desk)
    again = AGAIN if world.venue.may_repeat(intent.operation) else WAITS
    decisions = (allowed, Decision(Gate.EXIT, allowed.verdict, why), *((again,) if earlier else ()))
    if first_failure(decisions):
        return CandidateRecord(candidate, decisions)
    sent = send_again(world, desk, intent) if earlier else send(world, desk, intent, decisions)
    price = intent.limit_price if intent.makes_order else None
    return CandidateRecord(candidate, (*decisions, sent), intent.client_order_id, price)


def change_candidate(intent: Intent, purpose: Purpose, at: datetime, quantity: Decimal) -> Candidate:
    """Return the candidate for the record of a cancel or a replace."""
    strategy, source = intent.key.strategy, intent.operation
    return Candidate(strategy, intent.instrument, intent.side, purpose, at, quantity=quantity, source=source)


def change_of(order: Order, unresolved: Iterable[IntentRecord], operation: Operation) -> Intent | None:
    """Return the recorded change of an order if the outcome of that change is still unknown; otherwise None."""
    unknown = (record.intent for record in unresolved)
    return next((i for i in unknown if i.operation is operation and i.target_venue_id == order.venue_id), None)


EXITS, TIGHTENS = 1, 2
"""Leg numbers of requests that change a resting order. A cancel of the same order is leg 0."""

SOON, RETRY = timedelta(minutes=2), timedelta(minutes=15)
"""How long to wait before requesting a stop, or a target, again after the venue refused it repeatedly."""


def exit_is_refused(books: Books) -> bool:
    """Return True if the venue refused our latest attempt to move a pair's limit through the market."""
    for record in reversed(books.intents):
        intent = record.intent
        if intent.rests and not intent.protects and intent.operation is Operation.REPLACE:
            if record.state is IntentState.ACKED:
                return False
            if record.state is IntentState.REJECTED and record.code != TARGET_DONE:
                return True
    return False


def class_to_try(books: Books, holding: HoldingKey) -> OrderClass | None:
    """Return the order class with which to protect a position: a pair at first, then the class that the venue last
    accepted.

    If the venue just refused a pair, return a single stop. Return None if it refused a single stop too, less than two
    minutes ago. Refusals of both kinds in one pass don't count, because their common cause may be gone.
    """
    of_it = (record for record in reversed(books.intents) if _protects(record, holding))
    last, before = next(of_it, None), next(of_it, None)
    if last is None:
        return OrderClass.OCO
    if last.state is not IntentState.REJECTED:
        return last.intent.order_class
    if last.intent.order_class is OrderClass.OCO:
        return OrderClass.SIMPLE
    if before is not None and before.intent.cycle_id == last.intent.cycle_id:
        return OrderClass.SIMPLE
    return OrderClass.OCO if books.at - last.updated_at >= SOON else None


def _protects(record: IntentRecord, holding: HoldingKey) -> bool:
    intent, sent = record.intent, record.state is not IntentState.ABANDONED
    return sent and intent.protects and intent.operation is Operation.SUBMIT and intent.holding == holding


def exit_price(world: World, desk: Desk, candidate: Candidate) -> Decimal | None:
    """Return a limit price in USD at which an exit should fill now; None without a quote.

    The price may differ from the last trade by as much as an entry's may from the previous close.
    """
    quote, limits, side = desk.quotes.get(candidate.symbol), world.rules.limits, candidate.side
    if quote is None:
        return None
    listing = desk.listing_for(candidate.instrument)
    price = marketable_limit(listing, side, quote, world.rules.exits.limit_offset_fraction)
    if not quote.traded_lately(desk.now, limits.max_quote_age_s, limits.max_clock_skew_s):
        return price
    # Like any other price collar, this one limits the distance from a reference price; here that is the last trade.
    traded = replace(quote, bid=quote.last, ask=quote.last)
    farthest = marketable_limit(listing, side, traded, limits.price_collar_fraction)
    return max(price, farthest, key=lambda price: price * -side.sign)


def price_through(world: World, desk: Desk, candidate: Candidate, pair: Resting) -> Decimal | None:
    """Return a limit price in USD that fills a pair's exit now without reaching the pair's stop, or None.

    The venue lets a pair's limit cross the market, but not reach or pass its stop.
    """
    price = exit_price(world, desk, candidate)
    if price is None:
        return None
    stop, away = pair.stop.stop_price if pair.stop else None, -candidate.side.sign
    if stop is None:
        return price
    least = max(desk.listing_for(candidate.instrument).tick_at(stop), world.venue.pair_distance)
    if (price - stop) * away >= least:
        return price
    quote, nearest = desk.quotes[candidate.symbol], stop + least * away
    best = quote.bid if away > 0 else quote.ask
    return nearest if (best - nearest) * away >= 0 else None


def exit_through(
    world: World, call: Call, desk: Desk, candidate: Candidate, pair: Resting, price: Decimal, decisions: Decisions
) -> CandidateRecord:
    """Reprice a pair's limit so that it fills now; its stop keeps working until then."""
    limit, original = pair.limit, pair.record.intent
    assert limit is not None, "a plain stop has no limit to move"
    edit = edit_intent(call, desk, original, limit, limit.quantity or original.quantity, price, candidate.why, EXITS)
    # The order stays a leg of its pair.
    kind, purpose, displaced_by = original.order_class, candidate.purpose, candidate.displaced_by
    edit = replace(edit, order_class=kind, purpose=purpose, displaced_by=displaced_by)
    intent = sent_at(edit, desk, decided=True)
    sent = send(world, desk, intent, decisions)
    closing = replace(candidate, quantity=pair.quantity)
    return CandidateRecord(closing, (*decisions, sent), intent.client_order_id, price)


def edit_intent(
    call: Call, desk: Desk, original: Intent, old: Order, shares: Decimal, price: Decimal, why: str, leg: int = TIGHTENS
) -> Intent:
    """Build the request that changes a resting order's quantity and its price in USD.

    `original` is the intent behind the `old` order, and `why` names the exit rule behind the order.
    """
    key = replace(original.key, session=call.session, slot=call.slot, leg=leg, target=old.venue_id)
    return replace(
        original,
        key=key,
        client_order_id=key.client_order_id(),
        operation=Operation.REPLACE,
        quantity=shares,
        order_type=OrderType.STOP if old.stop_price else OrderType.LIMIT,
        limit_price=None if old.stop_price else price,
        stop_price=price if old.stop_price else None,
        order_class=OrderClass.SIMPLE,
        cycle_id=call.cycle_id,
        at=desk.now,
        target_venue_id=old.venue_id,
        sent_in=None,
        why=why,
    )


class CancelResult(NamedTuple):
    """The record of a pair's cancel, and how many shares are still open; None if the number isn't proven."""

    record: CandidateRecord
    left: Decimal | None


def cancel_and_prove(world: World, call: Call, desk: Desk, pair: Resting, why: Reason) -> CancelResult:
    """Cancel a pair and prove that it ended, so that its shares can be closed; return the record and the open shares.

    Shares that the pair closed in the meantime aren't open. If the venue rejects the cancel after accepting it, the
    pair keeps working, and the record says so.
    """
    record = cancel_order(world, call, desk, pair.first, pair.record, why)
    if record.terminal is not None:
        return CancelResult(record, None)
    latest = _latest(world, desk, pair)
    if latest and all(order.status.terminal for order in latest):
        filled = sum((order.filled_quantity for order in latest), Decimal(0))
        before = sum((order.filled_quantity for order in _halves(pair)), Decimal(0))
        return CancelResult(record, max(pair.quantity - (filled - before), Decimal(0)))
    return CancelResult(mark_if_cancel_rejected(world, desk, record, _halves(pair), latest), None)


def tell_gap(world: World, desk: Desk, rest: Resting, why: str, cause: str) -> None:
    """Emit an event if canceling this protection, in order to replace it, left its shares without a stop.

    Don't reword a `cause`: recorded passes contain the event's words, and would differ from their replay.
    """
    holding, rules = rest.record.intent.holding, world.rules
    closed = closed_by_others(desk.books, desk.net)
    gaps_now = protection_gaps(desk.books, desk.listings, desk.resting, rules.exits, rules.exits_of, closed)
    began = next((gap.since for gap in gaps_now if (gap.strategy, gap.symbol) == holding), desk.books.at)
    world.events.emit(gap_began(Gap(*holding, rest.quantity, began, why), desk.now, cause))


def _latest(world: World, desk: Desk, pair: Resting) -> tuple[Order, ...]:
    """Return the legs of a canceled pair, queried until they ended or a few times at most; leave out unreadable ones.

    A leg whose end the reply to the cancel already showed isn't queried.
    """
    orders = tuple(known_orders(world.ledger, [order.venue_id for order in _halves(pair)]).values())
    if len(orders) == len(_halves(pair)) and all(order.status.terminal for order in orders):
        return orders
    orders = ()
    with suppress(TemporaryError):
        for _ in range(LOOKS):
            followers = [world.reader.follower(order.venue_id) for order in _halves(pair)]
            orders = tuple(order for order in followers if order is not None)
            if orders and all(order.status.terminal for order in orders):
                world.ledger.apply_orders(orders, desk.now)
                break
    return orders


def _halves(pair: Resting) -> tuple[Order, ...]:
    return tuple(order for order in (pair.limit, pair.stop) if order)


def joinable_stop_id(world: World, resting: Resting) -> str:
    """Return the venue's id of a single stop that can trigger, if an exit for the same shares can join its group.

    Otherwise, and for a stop that is paired with a limit order, return an empty string.
    """
    is_single = resting.stop is not None and resting.limit is None and resting.can_trigger
    return resting.stop.venue_id if world.venue.exits_join and is_single and not resting.ending and resting.stop else ""


def exit_candidate(desk: Desk, order: Order, record: IntentRecord) -> Candidate:
    """Return the candidate for a new exit that replaces a working exit, for the shares that it hasn't filled."""
    intent = record.intent
    candidate = change_candidate(intent, intent.purpose, desk.now, order.open_quantity)
    return replace(candidate, side=order.side, source="exit", why=intent.why, displaced_by=intent.displaced_by)


def exit_pair(desk: Desk, order: Order, record: IntentRecord) -> Resting:
    """Return the pair whose limit is this exit, or the exit alone if it has no stop."""
    pairs = desk.resting.get(record.intent.holding, ())
    through = (pair for pair in pairs if pair.limit is not None and pair.limit.venue_id == order.venue_id)
    return next(through, Resting(record, order, None, can_trigger=False))


def require_quote(world: World, desk: Desk, candidate: Candidate) -> Decisions:
    """Refuse an exit without a quote if the venue takes no market orders.

    Call this before canceling anything for the exit.
    """
    if OrderType.MARKET in world.venue.order_types or candidate.symbol in desk.quotes:
        return ()
    return (Decision(Gate.QUOTE_FRESH, Verdict.UNKNOWN, Reason.QUOTE_MISSING),)
