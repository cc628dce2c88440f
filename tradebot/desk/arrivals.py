"""Note the midpoint at which each order of ours arrived at the venue, so that slippage can be measured against it."""

from collections.abc import Iterator
from dataclasses import replace

from tradebot.model.desk import Desk
from tradebot.model.order import Order
from tradebot.ports.world import World


def note_arrivals(world: World, desk: Desk) -> None:
    """Store the midpoint with each order that this desk is the first to see, if it has a quote; a dry run stores none.

    An order that arrived longer ago than `limits.max_quote_age_s` keeps none: the price has moved on since.
    """
    if not world.dry_run and (arrived := tuple(_arrived(desk, world.rules.limits.max_quote_age_s))):
        world.ledger.apply_orders(arrived, desk.now)


def _arrived(desk: Desk, most_s: int) -> Iterator[Order]:
    for order in desk.books.orders:
        quote = desk.quotes.get(order.symbol)
        if order.arrival_mid is not None or quote is None or order.submitted_at is None:
            continue
        is_new = 0 <= (desk.now - order.submitted_at).total_seconds() <= most_s
        if is_new and order.client_order_id in desk.books.promised:
            yield replace(order, arrival_mid=quote.middle)
