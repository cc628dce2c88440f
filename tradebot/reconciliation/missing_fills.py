"""Find executions that an order reports but that the broker's list of fills doesn't show yet."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from tradebot.model.order import Order, chain
from tradebot.model.position import OwnedFill

WATCHED = timedelta(days=4)
"""How long we keep looking up an abandoned order and waiting for its fills. Late arrivals are rare but allowed."""


class MissingFill(NamedTuple):
    """One of our orders and how much of its filled quantity is in the books, unsigned."""

    order: Order
    booked: Decimal

    @property
    def signed(self) -> Decimal:
        """Return how far the order changed the position beyond its booked fills, signed."""
        return (self.order.filled_quantity - self.booked) * self.order.side.sign


def missing_fills(
    orders: Sequence[Order], ours: Iterable[str], fills: Iterable[OwnedFill], now: datetime
) -> tuple[MissingFill, ...]:
    """Return our orders, given the venue's ids `ours`, that have filled more than the books show.

    We wait as long as for a late order; after that the difference is an ordinary one, settled by a plan. A replaced
    order's fills may be reported under its replacement, so the orders before it in the chain count too.
    """
    booked: dict[str, Decimal] = defaultdict(Decimal)
    for owned in fills:
        booked[owned.fill.venue_order_id] += owned.fill.quantity
    before = {order.replaced_by: order.venue_id for order in orders if order.replaced_by}
    own = frozenset(ours)
    young = (order for order in orders if order.venue_id in own and _last_reported(order, now) > now - WATCHED)
    chains = ((order, (order.venue_id, *chain(order.venue_id, before))) for order in young)
    orders_with_booked = (
        MissingFill(order, sum((booked[venue_id] for venue_id in ids), Decimal(0))) for order, ids in chains
    )
    return tuple(missing for missing in orders_with_booked if missing.order.filled_quantity > missing.booked)


def _last_reported(order: Order, now: datetime) -> datetime:
    return order.updated_at or order.submitted_at or now
