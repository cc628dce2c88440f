"""Find positions that the venue's list lacks although books, orders and the margin in use prove them.

The margin may date from before a close, so it doesn't prove a position that may have been closed, without a report, by
one of our orders: one that is no longer listed and whose end is unknown.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from tradebot.model.account import BrokerPosition, BrokerView
from tradebot.model.books import Books
from tradebot.model.instrument import ONE, ListingRecord, notional
from tradebot.model.margin import need_of
from tradebot.model.order import OrderStatus
from tradebot.model.struct_tools import replace
from tradebot.ports.stores import Listings
from tradebot.reconciliation.new_fills import reported_fills

ENOUGH = Decimal("0.75")
"""The fraction of the positions' margin at cost that has to be in use, because prices have moved since."""


def with_hidden_positions(listings: Listings, books: Books, view: BrokerView) -> BrokerView:
    """Add positions missing from the venue's list to the view, if the margin in use is enough for all of them.

    They are the books' positions plus all reported fills.
    """
    if not view.hides_positions:
        return view
    books = books.with_pending(reported_fills(books))
    quantities, gone = books.quantities(), frozenset(_may_have_closed(books, view))
    positions = tuple(_positions(books, quantities, listings.listings(tuple(quantities))))
    needed, tied_up = sum((need for _, need in positions), Decimal(0)), view.account.maintenance_margin or Decimal(0)
    is_proven = len(positions) == len(quantities) and tied_up >= needed * ENOUGH and gone.isdisjoint(quantities)
    return replace(view, positions=tuple(position for position, _ in positions)) if is_proven else view


def _may_have_closed(books: Books, view: BrokerView) -> Iterator[str]:
    """Yield the symbols of our orders that would close a position and may have filled unreported."""
    listed, quantity_by_symbol = {order.venue_id for order in view.orders}, books.quantities()
    for order in books.orders:
        is_gone = order.status is OrderStatus.ENDED or not (order.status.terminal or order.venue_id in listed)
        if (
            is_gone
            and books.intent_behind(order)
            and quantity_by_symbol.get(order.symbol, Decimal(0)) * order.side.sign < 0
        ):
            yield order.symbol


def _positions(
    books: Books, quantities: Mapping[str, Decimal], listed: Mapping[str, ListingRecord]
) -> Iterator[tuple[BrokerPosition, Decimal]]:
    """Yield positions with the margin that each needs, except those with unknown cost or margin."""
    for symbol, quantity in quantities.items():
        lots = [
            position for position in books.totals.positions.values() if position.symbol == symbol and position.quantity
        ]
        if symbol not in listed or sum(lot.quantity for lot in lots) != quantity:
            continue
        listing, cost = listed[symbol].listing, sum((lot.cost for lot in lots), Decimal(0))
        need = need_of(listing.margin_levels, quantity, abs(cost))
        if need is not None:
            of, average = listing.instrument, cost / notional(quantity, ONE, lots[0].multiplier)
            position = BrokerPosition(symbol, of.asset_class, quantity, average, None, multiplier=of.multiplier)
            yield position, need.maintenance
