"""Look up the orders behind fills that the books don't count as ours: only the order says who sent it."""

from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from tradebot.errors import TradebotError
from tradebot.model.order import Order
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.ports.broker import BrokerReader
from tradebot.reconciliation.new_fills import OrdersBehind

LISTED_BEFORE = timedelta(days=1)
"""How long before its first fill an order may have been sent; the list of orders is read from then on."""

ASKED_SINGLY = 5
"""If more orders than this are unknown, read a list of orders first."""

ASKED_AT_ONCE = 50
"""At most this many orders are looked up one by one in a pass; the rest wait for the next passes."""


class OrdersBehindFills(NamedTuple):
    """The orders behind foreign fills, and how many more the venue has not returned yet."""

    orders: tuple[Order, ...]
    untraced_fills: int


def find_orders_behind_fills(
    reader: BrokerReader, behind: OrdersBehind, fills: Iterable[OwnedFill]
) -> OrdersBehindFills:
    """Look up the orders behind foreign fills that the books don't know; `behind` is what they do know.

    A missing answer doesn't end the pass: the order is looked up again in every pass until it is found.
    """
    others = (owned for owned in fills if owned.strategy == FOREIGN)
    foreign = {owned.fill.venue_order_id: owned.fill.at for owned in others if owned.fill.venue_order_id}
    known = behind.known
    unknown = {venue_id: at for venue_id, at in foreign.items() if venue_id not in known}
    listed: dict[str, Order] = {}
    if len(unknown) > ASKED_SINGLY:
        listed = {order.venue_id: order for order in reader.ended(min(unknown.values()) - LISTED_BEFORE)}
    orders, untraced_fills = [listed[venue_id] for venue_id in unknown if venue_id in listed], 0
    for number, venue_id in enumerate(venue_id for venue_id in unknown if venue_id not in listed):
        try:
            order = reader.follower(venue_id) if number < ASKED_AT_ONCE else None
        except TradebotError:
            order = None
            untraced_fills += 1
        else:
            untraced_fills += number >= ASKED_AT_ONCE
        orders += [order] if order else []
    return OrdersBehindFills(tuple(orders), untraced_fills)
