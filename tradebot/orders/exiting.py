"""Close shares that a pair protects, so that they are never left without a stop, or only for a measured moment.

First the limit of the pair goes through the market, while its stop stays in place. Where the venue refuses that, the
pair is canceled, its end and what is left of it are proven, and the exit goes out. If that fails, a new stop is placed.

No document says whether a venue lets such a limit go through the market. So the second way is taken at once if the
venue refused the first the last time, if only a part of a pair is to be closed, or if its limit has filled in part,
because a venue may start such an order over.
"""

from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

from tradebot.errors import TemporaryError
from tradebot.model.candidate import Candidate
from tradebot.model.decision import Decision
from tradebot.model.desk import Desk
from tradebot.model.intent import Operation
from tradebot.model.order import Order
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.model.resting import Resting
from tradebot.orders.changes import cancel_order, taken_back
from tradebot.orders.sending import LOOKS, send, sent_at
from tradebot.orders.ways import EXITS
from tradebot.ports.world import Call, World


def exit_through(
    world: World,
    call: Call,
    desk: Desk,
    candidate: Candidate,
    pair: Resting,
    price: Decimal,
    decisions: tuple[Decision, ...],
) -> CandidateRecord:
    """Move the limit of a pair to a price at which it fills now; its stop keeps working until then."""
    limit, promised = pair.limit, pair.record.intent
    assert limit is not None, "a plain stop has no limit to move"
    key = replace(promised.key, session=call.session, slot=call.slot, leg=EXITS, target=limit.venue_id)
    intent = replace(
        promised,
        key=key,
        client_order_id=key.client_order_id(),
        operation=Operation.REPLACE,
        purpose=candidate.purpose,
        quantity=limit.quantity or promised.quantity,
        limit_price=price,
        stop_price=None,
        cycle_id=call.cycle_id,
        at=desk.now,
        target_venue_id=limit.venue_id,
        sent_in=None,
        displaced_by=candidate.displaced_by,
        why=candidate.why,
    )
    intent = sent_at(intent, desk, decided=True)
    sent = send(world, desk, intent, decisions)
    closing = replace(candidate, quantity=pair.quantity)
    return CandidateRecord(closing, (*decisions, sent), intent.client_order_id, price)


class Released(NamedTuple):
    """What became of a pair that was canceled: the record, and how many of its shares are left, None if unproven."""

    record: CandidateRecord
    left: Decimal | None


def release(world: World, call: Call, desk: Desk, pair: Resting, why: Reason) -> Released:
    """Cancel a pair and prove its end, so that its shares are free; what it fills meanwhile is gone.

    If the venue takes the cancel back, the pair works as before, and the record says so.
    """
    record = cancel_order(world, call, desk, pair.first, pair.record, why)
    if record.terminal is not None:
        return Released(record, None)
    latest = _latest(world, desk, pair)
    if latest and all(order.status.terminal for order in latest):
        filled = sum((order.filled_quantity for order in latest), Decimal(0))
        before = sum((order.filled_quantity for order in _halves(pair)), Decimal(0))
        return Released(record, max(pair.quantity - (filled - before), Decimal(0)))
    return Released(taken_back(world, desk, record, _halves(pair), latest), None)


def _latest(world: World, desk: Desk, pair: Resting) -> tuple[Order, ...]:
    """Return the halves of a canceled pair, as they are at their end or after a few looks; none that can't be read."""
    orders = tuple[Order, ...]()
    with suppress(TemporaryError):
        for _ in range(LOOKS):
            told = [world.reader.follower(order.venue_id) for order in _halves(pair)]
            orders = tuple(order for order in told if order is not None)
            if orders and all(order.status.terminal for order in orders):
                world.ledger.apply_orders(orders, desk.now)
                break
    return orders


def _halves(pair: Resting) -> tuple[Order, ...]:
    return tuple(order for order in (pair.limit, pair.stop) if order)
