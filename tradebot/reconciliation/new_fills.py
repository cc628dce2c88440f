"""The venue's fills that the books do not hold yet, whose they are, and which of them their own orders contradict."""

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
"""Fills are asked for again from so long before the last known one, and known by their ids.

The venue may list one late, or in a row that cannot be read today. Commonly it is one page all the same.
"""

LEEWAY = timedelta(days=1)
"""So far ahead of the venue's clock, and of when its order was sent, nothing can have happened."""


class NewFills(NamedTuple):
    """Fills with their owners, and how many rows are not among them: unreadable, or not what their orders can fill."""

    fills: tuple[OwnedFill, ...]
    unreadable: int


def new_fills(reader: BrokerReader, ledger: Ledger, now: datetime) -> NewFills:
    """Return the venue's fills that the books do not hold yet, each with its owner by what the books know.

    A fill stands in the books for ever, so one that its own order contradicts is left out, and asked for again.
    """
    known = {owned.fill.activity_id for owned in ledger.fills()}
    new = [fill for fill in reader.fills(_fills_since(ledger, now)) if fill.activity_id not in known]
    if not new:
        return NewFills((), reader.unreadable_fills)
    kept = list(_uncontradicted(ledger, new, now))
    return NewFills(tuple(owned_fills(ledger, kept)), reader.unreadable_fills + len(new) - len(kept))


def owned_fills(ledger: Ledger, fills: Iterable[Fill]) -> Iterator[OwnedFill]:
    """Name the owner of each fill through its order and the intent behind it; others' fills are foreign."""
    strategies = ledger.owners()
    for fill in fills:
        yield OwnedFill(strategies.get(fill.venue_order_id, FOREIGN), fill)


def is_ahead(at: datetime, sent: datetime | None, now: datetime) -> bool:
    """Return True for a time that lies after anything that can have become of an order; a clock may be a day behind."""
    return at > max(now, sent or now) + LEEWAY


def _fills_since(ledger: Ledger, now: datetime) -> datetime | None:
    # Only what the venue told counts: a fill that a person or an activity wrote says nothing of what it has listed.
    told = [owned.fill.at for owned in ledger.fills() if owned.fill.venue_order_id and owned.fill.at <= now]
    opened = ledger.books_opened_at()
    if not told or opened is None:
        return opened
    return max(opened, max(told) - FILL_OVERLAP)


def _uncontradicted(ledger: Ledger, fills: Iterable[Fill], now: datetime) -> Iterator[Fill]:
    """Yield the fills that can be of their orders; after some days they are taken as the venue tells them."""
    orders = {order.venue_id: order for order in ledger.orders(since=now - WATCHED)}
    filled: dict[str, Decimal] = defaultdict(Decimal)
    for owned in ledger.fills():
        filled[owned.fill.venue_order_id] += owned.fill.quantity
    for fill in fills:
        order = orders.get(fill.venue_order_id)
        promised = ledger.intent(order.client_order_id) if order else None
        if order and promised and not _can_be_of(fill, order, promised.intent, filled[order.venue_id], now):
            continue
        filled[fill.venue_order_id] += fill.quantity
        yield fill


def _can_be_of(fill: Fill, order: Order, intent: Intent, filled: Decimal, now: datetime) -> bool:
    """Return True if a fill can be of an order of ours that has `filled` so much by its other fills."""
    alike = (fill.symbol, fill.side) in ((order.symbol, order.side), (intent.instrument.symbol, intent.side))
    fits = filled + fill.quantity <= max(order.quantity or Decimal(0), intent.quantity)
    return alike and fits and not is_ahead(fill.at, order.submitted_at, now)
