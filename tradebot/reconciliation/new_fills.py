"""Find the venue's fills that the books don't hold yet, whose they are, and which ones contradict their own orders."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from tradebot.model.intent import Intent
from tradebot.model.order import Fill, Order
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.ports.broker import BrokerReader
from tradebot.ports.stores import Ledger
from tradebot.reconciliation.missing_fills import WATCHED

FILL_OVERLAP = WATCHED
"""How far before the last known fill we ask again; fills we already know are recognized by their ids.

The venue may list a fill late, or in a row that can't be read today. Usually this still fits on one page.
"""

LEEWAY = timedelta(days=1)
"""How far a time may lie past both the venue's clock and the order's submission before it counts as impossible."""


class NewFills(NamedTuple):
    """Fills with their owners, and how many rows were dropped: unreadable, or more than their orders can fill."""

    fills: tuple[OwnedFill, ...]
    unreadable: int


def new_fills(reader: BrokerReader, ledger: Ledger, now: datetime) -> NewFills:
    """Return the venue's fills that the books don't hold yet, each with its owner as far as the books know.

    A fill in the books is permanent, so a fill that contradicts its own order is dropped and asked for again.
    """
    known = {owned.fill.activity_id for owned in ledger.fills()}
    new = [fill for fill in reader.fills(_fills_since(ledger, now)) if fill.activity_id not in known]
    if not new:
        return NewFills((), reader.unreadable_fills)
    believable = list(_believable(ledger, new, now))
    return NewFills(tuple(owned_fills(ledger, believable)), reader.unreadable_fills + len(new) - len(believable))


def owned_fills(ledger: Ledger, fills: Iterable[Fill]) -> Iterator[OwnedFill]:
    """Yield each fill with its owner, found through its order and intent; other people's fills are foreign."""
    strategies = ledger.owners()
    for fill in fills:
        yield OwnedFill(strategies.get(fill.venue_order_id, FOREIGN), fill)


def is_ahead(at: datetime, sent: datetime | None, now: datetime) -> bool:
    """Return True if a time is later than anything that can have happened to an order, allowing a day for clocks."""
    return at > max(now, sent or now) + LEEWAY


def _fills_since(ledger: Ledger, now: datetime) -> datetime | None:
    # Count only fills the venue reported: a fill written by a person or an activity doesn't show what it has listed.
    reported_at = [owned.fill.at for owned in ledger.fills() if owned.fill.venue_order_id and owned.fill.at <= now]
    opened = ledger.books_opened_at()
    if not reported_at or opened is None:
        return opened
    return max(opened, max(reported_at) - FILL_OVERLAP)


def _believable(ledger: Ledger, fills: Iterable[Fill], now: datetime) -> Iterator[Fill]:
    """Yield the fills that their orders allow; once an order is a few days old, its fills are taken as reported."""
    orders = {order.venue_id: order for order in ledger.orders(since=now - WATCHED)}
    filled: dict[str, Decimal] = defaultdict(Decimal)
    for owned in ledger.fills():
        filled[owned.fill.venue_order_id] += owned.fill.quantity
    for fill in fills:
        order = orders.get(fill.venue_order_id)
        promised = ledger.intent(order.client_order_id) if order else None
        if order and promised and not _matches_order(fill, order, promised.intent, filled[order.venue_id], now):
            continue
        filled[fill.venue_order_id] += fill.quantity
        yield fill


def _matches_order(fill: Fill, order: Order, intent: Intent, filled: Decimal, now: datetime) -> bool:
    """Return True if a fill fits one of our orders whose other fills add up to `filled`."""
    same_trade = (fill.symbol, fill.side) in ((order.symbol, order.side), (intent.instrument.symbol, intent.side))
    fits = filled + fill.quantity <= max(order.quantity or Decimal(0), intent.quantity)
    return same_trade and fits and not is_ahead(fill.at, order.submitted_at, now)
