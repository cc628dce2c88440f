"""Find executions that an order reports but that the broker's list of fills doesn't show yet."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from tradebot.model.books import Books
from tradebot.model.order import Order

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


def missing_fills(books: Books) -> tuple[MissingFill, ...]:
    """Return our orders that have filled more than the books show.

    We wait as long as for a late order; after that the difference is an ordinary one, settled by a plan. A replaced
    order's fills may be reported under its replacement, so the orders before it in the chain count too.
    """
    # An order whose own fills are all booked, as nearly all are, lacks none whatever it replaced.
    filled = [order for order in books.orders if order.filled_quantity > books.filled.get(order.venue_id, 0)]
    young = (order for order in filled if _last_reported(order, books.at) > books.at - WATCHED)
    ours = (MissingFill(order, books.booked_of_chain(order)) for order in young if books.intent_behind(order))
    return tuple(missing for missing in ours if missing.order.filled_quantity > missing.booked)


def _last_reported(order: Order, now: datetime) -> datetime:
    return order.updated_at or order.submitted_at or now
