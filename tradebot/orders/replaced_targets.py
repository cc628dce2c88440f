"""Decide when a missing target may be placed again: canceled by a person or the venue, refused, or lost.

A target is first placed without delay, and so is one that the bot itself canceled or changed. Otherwise each pass would
answer a person's cancel or a venue's refusal with another order.
"""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from tradebot.model.desk import Desk
from tradebot.model.intent import IntentRecord, IntentState, Operation
from tradebot.model.limits import ExitRules
from tradebot.model.position import Position
from tradebot.orders.protection_plan import NEAR, ProtectionState, total_shares


def may_place(rules: ExitRules, desk: Desk, protection: ProtectionState, price: Decimal) -> bool:
    """Return True if a target may be placed at a price in USD now: for the first time, or again.

    It may be placed again only if the position is at least `target_again_after_s` old, all its shares have a stop, and
    none of its targets was placed again in the last `target_again_every_s`.
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
    """Return True if a later target replaced one that was gone."""
    price = later.intent.limit_price
    return price is not None and record.intent.at < later.intent.at and _is_near(record, price, position)
