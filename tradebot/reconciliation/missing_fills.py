"""Executions that an order tells of and the broker's list of fills has not brought: a hole in the books."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from tradebot.model.order import Order, chain
from tradebot.model.position import OwnedFill

WATCHED = timedelta(days=4)
"""For so long a given-up order is still looked up, and a fill waited for: a late arrival is unlikely, and legal."""


class MissingFill(NamedTuple):
    """An order of ours and how much of what it has filled stands in the books, unsigned."""

    order: Order
    booked: Decimal

    @property
    def signed(self) -> Decimal:
        """Return how much the order changed the position by, beyond its booked fills."""
        return (self.order.filled_quantity - self.booked) * self.order.side.sign


def missing_fills(
    orders: Sequence[Order], ours: Iterable[str], fills: Iterable[OwnedFill], now: datetime
) -> tuple[MissingFill, ...]:
    """Return our orders, by the venue's ids `ours`, that have filled more than their fills in the books say.

    One is waited for as long as a late order is; then the difference that it leaves is an ordinary one, with a plan. A
    replaced order's fills may count in the one that took its place, so what came before an order counts as its own.
    """
    booked: dict[str, Decimal] = defaultdict(Decimal)
    for owned in fills:
        booked[owned.fill.venue_order_id] += owned.fill.quantity
    before = {order.replaced_by: order.venue_id for order in orders if order.replaced_by}
    own = frozenset(ours)
    young = (order for order in orders if order.venue_id in own and _told_at(order, now) > now - WATCHED)
    chains = ((order, (order.venue_id, *chain(order.venue_id, before))) for order in young)
    counted = (MissingFill(order, sum((booked[one] for one in ids), Decimal(0))) for order, ids in chains)
    return tuple(one for one in counted if one.order.filled_quantity > one.booked)


def _told_at(order: Order, now: datetime) -> datetime:
    return order.updated_at or order.submitted_at or now
