"""Move separate targets to their due prices once the entry is complete.

While an entry fills, its average price moves, and so do the prices of its targets. Following each fill would cost two
requests per target, so while an entry works, a target may be off by a fraction of its distance from the entry.
Afterward, each target that was placed before the last fill and is off by more than a tick is moved once.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal

from tradebot.model.candidate import Purpose
from tradebot.model.desk import Desk
from tradebot.model.intent import IntentRecord, IntentState, Operation
from tradebot.model.limits import ExitRules
from tradebot.model.order import Order
from tradebot.model.position import Position
from tradebot.model.reasons import Reason
from tradebot.model.resting_orders import Resting
from tradebot.model.struct_tools import replace
from tradebot.orders.protection_plan import NEAR, ZERO, ProtectionState, ProtectionStep, is_busy, price_of, total_shares
from tradebot.orders.stop_protection import missing_targets, round_target_to_tick, shares_being_closed


def is_settled(desk: Desk, protection: ProtectionState) -> bool:
    """Return True if no entry of the strategy works or may work in the symbol, so its average price is final."""
    strategy, symbol = protection.holding
    unknown = (record.intent for record in desk.books.unresolved_intents if record.intent.purpose is Purpose.OPEN)
    if any(intent.holding == protection.holding for intent in unknown):
        return False
    own = (order for order in desk.book.own_orders if (order.strategy, order.symbol) == (strategy, symbol))
    return all(order.side is protection.side for order in own)


def due_prices(protection: ProtectionState) -> Sequence[Decimal]:
    """Return the target prices of the exit rules, in USD on the tick, nearest first; empty if there are none."""
    if protection.position is None or protection.levels is None or protection.listing is None:
        return ()
    entered = protection.position.average_price
    return [
        round_target_to_tick(protection.listing, target.price, protection.side, entered)
        for target in protection.levels.targets
    ]


def at_due_price(protection: ProtectionState, rest: Resting, prices: Sequence[Decimal], *, settled: bool) -> Resting:
    """Return a target as if it were at the nearest due price; unchanged if none is near enough.

    While the entry fills, a price within a fraction of the target's distance from the entry is near enough; afterward,
    the price must be within one tick.
    """
    at, position, listing = price_of(rest), protection.position, protection.listing
    assert position is not None, "due prices need a position"
    assert listing is not None, "due prices need a listing with its tick"

    def is_near(price: Decimal) -> bool:
        reach = listing.tick_at(price) if settled else abs(price - position.average_price) * NEAR
        return abs(price - at) <= reach

    nearest = min(filter(is_near, prices), key=lambda price: abs(price - at), default=at)
    limit: Order = replace(rest.first, limit_price=nearest)
    return replace(rest, limit=limit)


def target_moves(
    desk: Desk, protection: ProtectionState, can_edit: Callable[[Resting], bool], *, reduce_only: bool
) -> Iterator[ProtectionStep]:
    """Yield the steps that move targets to their due prices if these are more than a tick away.

    Yield nothing until the average price is settled.

    A venue that edits orders needs one request, unless the target grows too. With reduce-only orders, the new target is
    placed before the old one is canceled. Otherwise the old one is canceled, and the next pass places the new one.
    """
    prices, position, listing = due_prices(protection), protection.position, protection.listing
    if (
        not prices
        or position is None
        or listing is None
        or protection.levels is None
        or not is_settled(desk, protection)
    ):
        return
    meant = [at_due_price(protection, rest, prices, settled=True) for rest in protection.targets]
    there = [rest for rest in meant if price_of(rest) in prices]
    filled = max(lot.at for lot in position.lots)
    # A target placed after the last fill isn't off because of that fill; its own level may have been filled.
    olds = (rest for rest, resting in zip(protection.targets, meant, strict=True) if resting not in there)
    off = [rest for rest in olds if rest.record.intent.at < filled]
    if not off or shares_being_closed(desk, position) or any(map(is_busy, protection.targets)):
        return
    room = max(protection.shares - total_shares(protection.targets) + total_shares(off), ZERO)
    for at, part, word in missing_targets(desk, position, listing, protection.levels, there, room):
        if not off:
            return
        old = off.pop(0)
        if can_edit(old) and (part <= old.quantity or not reduce_only):
            yield ProtectionStep(Reason.TARGET_MOVED, min(part, old.quantity), at, old, word=word)
        elif reduce_only:
            yield ProtectionStep(Reason.TARGET_MISSING, part, at, None, (old,), word)
        else:
            yield ProtectionStep(Reason.TARGET_MOVED, old=old)


def may_place(rules: ExitRules, desk: Desk, protection: ProtectionState, price: Decimal) -> bool:
    """Return True if a target may be placed at a price in USD now: for the first time, or again.

    A first target is placed without delay, and so is one that the bot itself canceled or changed.

    Any other missing target was refused or lost, or a person or the venue canceled it. It is placed again only if the
    position is at least `target_again_after_s` old, all its shares have a stop, and none of its targets was placed
    again in the last `target_again_every_s`. Without these conditions, each pass would answer a person's cancel or a
    venue's refusal with another order.
    """
    position = protection.position
    assert position is not None, "only a position has targets"
    placed = [record for record in desk.books.intents if _is_target_of(record, protection, position)]
    gone = [record for record in placed if _is_gone(desk, record)]
    if not any(_is_near(record, price, position) for record in gone):
        return True
    again = [
        record.intent.at
        for record in placed
        if any(_is_before(intent_record, record, position) for intent_record in gone)
    ]
    protected = total_shares(stop for stop in protection.stops if stop.can_trigger) >= protection.shares
    old_enough = desk.now - position.opened_at >= timedelta(seconds=rules.target_again_after_s)
    every = timedelta(seconds=rules.target_again_every_s)
    return protected and old_enough and all(desk.now - at >= every for at in again)


def _is_target_of(record: IntentRecord, protection: ProtectionState, position: Position) -> bool:
    intent = record.intent
    same = (intent.holding, intent.side) == (
        protection.holding,
        protection.side,
    ) and intent.at >= position.opened_at
    return same and intent.is_target and intent.operation is Operation.SUBMIT


def _is_gone(desk: Desk, record: IntentRecord) -> bool:
    """Return True if a target never rested, or ended before it was filled without a request of ours."""
    if record.state in (IntentState.REJECTED, IntentState.ABANDONED):
        return True
    name = record.intent.client_order_id
    order = next((order for order in desk.books.orders if order.client_order_id == name), None)
    if order is None or not order.status.terminal or order.filled_quantity == order.quantity:
        return False
    return order.venue_id not in set(_ended_by_us(desk))


def _ended_by_us(desk: Desk) -> Iterator[str | None]:
    for record in desk.books.intents:
        canceled_or_changed = record.intent.operation is not Operation.SUBMIT
        if canceled_or_changed and record.state not in (IntentState.REJECTED, IntentState.ABANDONED):
            yield record.intent.target_venue_id


def _is_near(record: IntentRecord, price: Decimal, position: Position) -> bool:
    """Return True if a target was placed at about this price, which moves a little while an entry fills."""
    at = record.intent.limit_price
    return at is not None and abs(price - at) <= abs(price - position.average_price) * NEAR


def _is_before(record: IntentRecord, later: IntentRecord, position: Position) -> bool:
    """Return True if the target `later` was placed after the target `record`, at about the same price."""
    price = later.intent.limit_price
    return price is not None and record.intent.at < later.intent.at and _is_near(record, price, position)
