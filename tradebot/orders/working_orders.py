"""Our working orders in a pass of exits: which have lived too long, and how each is ended or priced anew.

An exit keeps its place while it is priced anew: the venue replaces it in one step, so that no pass is without one.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, auto

from tradebot.gates.common import closable, permission
from tradebot.gates.sizing import marketable_limit
from tradebot.model.bar import VenueClock
from tradebot.model.candidate import Candidate, Purpose
from tradebot.model.decision import Decision, Gate, Verdict, first_failure
from tradebot.model.desk import Desk
from tradebot.model.instrument import Instrument
from tradebot.model.intent import Intent, IntentRecord, Operation
from tradebot.model.order import Order, OrderStatus, chain
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.model.trading import TradingState
from tradebot.orders.sending import (
    cancel_at_once,
    cancel_intent,
    cancel_without_desk,
    closing_side,
    replace_intent,
    send,
    send_again,
)
from tradebot.ports.world import Call, World

AGAIN = Decision(Gate.UNRESOLVED, Verdict.PASS, None, "sent again under its own id")
"""Why something of unknown fate goes out all the same."""

ON_ITS_WAY = frozenset({OrderStatus.PENDING_NEW, OrderStatus.PENDING_REPLACE})
"""States of an order that the venue is at work on: it will say more shortly, and lets nobody replace it meanwhile."""

Due = tuple[Order, IntentRecord, Reason]


class Change(Enum):
    """What becomes of a stale exit in a pass."""

    NONE = auto()
    REPRICE = auto()
    END = auto()


def entries_ended(world: World, call: Call, clock: VenueClock) -> Mapping[str, CandidateRecord]:
    """Cancel the entries of ours that the venue lists, and return what became of each by the venue's order id.

    A halt does this before the books are read through, because that takes seconds once they have grown and a cancel
    only reduces risk. So it reads single rows and adds new ones: it changes no row that nobody has checked yet, and
    leaves every order that needs more than that to the pass that follows.
    """
    if world.orders is None or not (world.permission.open and clock.is_open):
        return {}
    view, records = world.reader.view(), dict[str, CandidateRecord]()
    if view.account.number != world.ledger.account_number or view.account.blocked:
        return {}
    for order in view.orders:
        promised = world.ledger.intent(order.client_order_id)
        if promised and promised.intent.purpose is Purpose.OPEN and not _unresolved(world, order, Operation.CANCEL):
            key = promised.intent.key
            fresh = cancel_without_desk(call, key.account, clock.now, order, key.strategy, Purpose.OPEN)
            decisions = (Decision(Gate.EXIT, Verdict.PASS, Reason.HALTED),)
            sent = cancel_at_once(world, fresh, decisions)
            if sent:
                candidate = _reducing(fresh, order, clock.now)
                records[order.venue_id] = CandidateRecord(candidate, (*decisions, sent), fresh.client_order_id)
    return records


def tended(
    world: World, call: Call, desk: Desk, wanted: frozenset[str], ended: Container[str] = ()
) -> tuple[CandidateRecord, ...]:
    """End or price anew our working orders that are due; `wanted` are the symbols that a rule wants to be out of.

    Orders whose venue id is in `ended` were cancelled a moment ago and are left alone, even if they are still listed.
    """
    records = list[CandidateRecord]()
    for due in (due for due in _due(world, desk, wanted) if due[0].venue_id not in ended):
        told = tuple(_tend(world, call, desk, due, wanted))
        records.extend(told)
        desk = _left(world, desk, due, told)
    return tuple(records)


def ours(world: World, desk: Desk) -> Iterator[tuple[Order, IntentRecord]]:
    """Yield our working orders with what was promised of them; what this pass sent again stands at the end.

    An order that somebody put in the place of ours at the venue has an id of its own and is ours all the same.
    """
    replaced = [order for order in world.ledger.orders(since=desk.now) if order.replaced_by]
    before = {str(order.replaced_by): order.venue_id for order in replaced}
    names = {order.venue_id: order.client_order_id for order in replaced}
    for order in (*desk.orders, *_sent_again(world, desk)):
        # What was promised of it, or of the last one before it in whose place it stands.
        promised = (order.client_order_id, *(names[one] for one in chain(order.venue_id, before)))
        record = next(filter(None, map(world.ledger.intent, promised)), None)
        if record is not None:
            yield order, record


def _sent_again(world: World, desk: Desk) -> Iterator[Order]:
    """Yield the orders that came to the venue since the desk was taken and are old all the same, as they are by now."""
    listed = {order.venue_id for order in desk.orders}
    for order in world.ledger.orders(working=True):
        record = world.ledger.intent(order.client_order_id)
        if record is None or order.venue_id in listed:
            continue
        if record.intent.at < desk.now <= record.updated_at:
            # The answer to an order shows it as it was taken in, which is not yet how it can be replaced.
            yield world.reader.order(order.client_order_id) or order


def _due(world: World, desk: Desk, wanted: frozenset[str]) -> Iterator[Due]:
    """Yield our working orders that are to end or to change now, each with why; others' orders are left alone."""
    limits = world.rules.limits
    for order, record in ours(world, desk):
        # What is dated ahead was sent while the venue's clock was: it is no younger for that.
        age = abs(desk.now - record.intent.at)
        if _unresolved(world, order, Operation.CANCEL):
            yield order, record, Reason.INTENT_UNRESOLVED
        elif record.intent.purpose is not Purpose.OPEN:
            # The price that a person gave an exit stands.
            if order.client_order_id == record.intent.client_order_id and age >= timedelta(seconds=limits.exit_life_s):
                yield order, record, Reason.STALE_EXIT
        elif desk.state.state is not TradingState.ACTIVE:
            yield order, record, Reason.HALTED
        elif age >= timedelta(seconds=limits.entry_life_s) or order.symbol in wanted:
            yield order, record, Reason.STALE_ENTRY


def _tend(world: World, call: Call, desk: Desk, due: Due, wanted: frozenset[str]) -> Iterator[CandidateRecord]:
    """Give a stale exit a price at which it can fill, and end every other order that is due.

    Where the venue refuses the new price the exit ends too, and the next pass sends it anew.
    """
    order, record, why = due
    change = _change(world, desk, order, record, wanted) if why is Reason.STALE_EXIT else Change.END
    if change is Change.REPRICE:
        repriced = _repriced(world, call, desk, order, record)
        yield repriced
        change = Change.END if repriced.decisions[-1].reason is Reason.VENUE_REJECTED else Change.NONE
    if change is Change.END:
        yield cancelled(world, call, desk, order, record, why)


def _change(world: World, desk: Desk, order: Order, record: IntentRecord, wanted: frozenset[str]) -> Change:
    """Decide on a stale exit.

    One that the position no longer covers ends, and so does one that the venue has been at work on for too long.
    Without a quote it stays, unless a rule wants out at any price: then a market order follows. It also stays where the
    venue did not confirm the position: its answers may be wrong, and this order may be all that protects it.
    """
    if order.symbol in desk.unproven:
        return Change.NONE
    if not _covered(desk, order, record):
        return Change.END
    if order.status in ON_ITS_WAY:
        life = timedelta(seconds=world.rules.limits.exit_life_s)
        return Change.NONE if desk.now - (order.updated_at or record.intent.at) < life else Change.END
    price = _price(world, desk, order)
    if _is_followed(world, order):
        return Change.NONE
    if price is None:
        return Change.END if order.symbol in wanted and order.limit_price is not None else Change.NONE
    return Change.NONE if order.limit_price in (None, price) else Change.REPRICE


def _left(world: World, desk: Desk, due: Due, told: Sequence[CandidateRecord]) -> Desk:
    """Return the desk as if an exit that stays were filled: the next one may close only what it leaves."""
    order, _, why = due
    ended = bool(told) and told[-1].candidate.source == Operation.CANCEL and told[-1].terminal is None
    only_listed = not told and _is_followed(world, order)
    if why is not Reason.STALE_EXIT or ended or only_listed:
        return desk
    return desk.with_filled(order.symbol, order.open_quantity * order.side.sign)


def _covered(desk: Desk, order: Order, record: IntentRecord) -> bool:
    """Tell whether our position is still as large as what an exit may sell or buy back."""
    whose = (record.intent.key.strategy, order.symbol)
    held = next((p.quantity for p in desk.positions if (p.strategy, p.symbol) == whose), Decimal(0))
    closes = bool(held) and closing_side(held) is order.side
    return closes and closable(desk, order.symbol, held) >= order.open_quantity


def _price(world: World, desk: Desk, order: Order) -> Decimal | None:
    """Return the limit at which a closing order can fill now; None without a quote."""
    quote = desk.quotes.get(order.symbol)
    offset = world.rules.exits.limit_offset_fraction
    return marketable_limit(Instrument(order.symbol), order.side, quote, offset) if quote else None


def _repriced(world: World, call: Call, desk: Desk, order: Order, record: IntentRecord) -> CandidateRecord:
    """Replace an order by one at the price of now, or repeat a replace of it whose fate is unknown, to the letter."""
    price = _price(world, desk, order)
    assert price is not None, "an order is priced anew by a quote"
    # The order works, so each replace of it whose fate is known has come to nothing.
    fresh = replace_intent(call, desk, order, record.intent, price, len(_settled(world, order)))
    return _sent(world, desk, order, fresh, Reason.STALE_EXIT)


def cancelled(world: World, call: Call, desk: Desk, order: Order, record: IntentRecord, why: Reason) -> CandidateRecord:
    """End a working order, or repeat a cancel of it whose fate is unknown: a cancel may arrive twice."""
    fresh = cancel_intent(call, desk, order, record.intent.key.strategy, record.intent.purpose)
    return _sent(world, desk, order, fresh, why)


def _sent(world: World, desk: Desk, order: Order, fresh: Intent, why: Reason) -> CandidateRecord:
    """Send a change of a working order where permission allows; an earlier one of unknown fate goes in its place."""
    earlier = _unresolved(world, order, fresh.operation)
    intent = earlier or fresh
    candidate = _reducing(intent, order, desk.now)
    allowed = permission(desk)
    decisions = (allowed, Decision(Gate.EXIT, allowed.verdict, why), *((AGAIN,) if earlier else ()))
    if first_failure(decisions):
        return CandidateRecord(candidate, decisions)
    sent = send_again(world, desk, intent) if earlier else send(world, desk, intent, decisions)
    price = intent.limit_price if intent.makes_order else None
    return CandidateRecord(candidate, (*decisions, sent), intent.client_order_id, price)


def _reducing(intent: Intent, order: Order, at: datetime) -> Candidate:
    """Return the candidate that a change of a working order is recorded under."""
    return Candidate(
        strategy=intent.key.strategy,
        instrument=intent.instrument,
        side=intent.side,
        purpose=Purpose.REDUCE,
        at=at,
        quantity=order.open_quantity,
        source=intent.operation,
    )


def _unresolved(world: World, order: Order, operation: Operation) -> Intent | None:
    """Return the change of an order that was promised and whose fate is unknown."""
    unknown = (record.intent for record in world.ledger.intents(unresolved=True))
    return next((i for i in unknown if i.operation is operation and i.target_venue_id == order.venue_id), None)


def _settled(world: World, order: Order) -> list[IntentRecord]:
    """Return the replaces of an order whose fate is known."""
    since = order.submitted_at.date() - timedelta(days=1) if order.submitted_at else None
    promised = (r for r in world.ledger.intents(since=since) if r.intent.operation is Operation.REPLACE)
    return [r for r in promised if r.intent.target_venue_id == order.venue_id and not r.state.unresolved]


def _is_followed(world: World, order: Order) -> bool:
    """Tell whether the order that is to take the place of another works, and that one is only still listed."""
    followers = {record.intent.client_order_id for record in _settled(world, order)}
    return any(working.client_order_id in followers for working in world.ledger.orders(working=True))
