"""The orders behind fills that are not ours by the books: only they say who sent them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from tradebot.errors import TradebotError
from tradebot.model.order import Order
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.ports.broker import BrokerReader
from tradebot.ports.stores import Ledger

LISTED_BEFORE = timedelta(days=1)
"""How long before its first fill an order may have been sent; a list of orders is read from then on."""

ASKED_SINGLY = 5
"""More orders than so many are read from a list first."""

ASKED_AT_ONCE = 50
"""So many are asked for one by one in a pass, and the others in the passes after it."""


class Behind(NamedTuple):
    """The orders behind foreign fills, and how many others the venue has yet to tell of."""

    orders: tuple[Order, ...]
    untold: int


def behind(reader: BrokerReader, ledger: Ledger, told: Sequence[OwnedFill]) -> Behind:
    """Ask for the orders behind foreign fills that the books do not know yet; `told` are fills not applied so far.

    An answer that does not come ends no pass: the order is asked for again at each look until it does.
    """
    fills = (owned for owned in (*ledger.fills(), *told) if owned.strategy == FOREIGN)
    foreign = {owned.fill.venue_order_id: owned.fill.at for owned in fills if owned.fill.venue_order_id}
    known = {order.venue_id for order in ledger.orders()} if foreign else set()
    asked = {venue_id: at for venue_id, at in foreign.items() if venue_id not in known}
    listed: dict[str, Order] = {}
    if len(asked) > ASKED_SINGLY:
        listed = {order.venue_id: order for order in reader.ended(min(asked.values()) - LISTED_BEFORE)}
    found, untold = [listed[venue_id] for venue_id in asked if venue_id in listed], 0
    for number, venue_id in enumerate(venue_id for venue_id in asked if venue_id not in listed):
        try:
            order = reader.follower(venue_id) if number < ASKED_AT_ONCE else None
        except TradebotError:
            order = None
            untold += 1
        else:
            untold += number >= ASKED_AT_ONCE
        found += [order] if order else []
    return Behind(tuple(found), untold)
