"""Find what is held though the venue lists no position: books and orders say so, and the margin that is tied up."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from tradebot.model.account import BrokerPosition, BrokerView
from tradebot.model.books import Books
from tradebot.model.instrument import ONE, ListingRecord, notional
from tradebot.model.margin import need_of
from tradebot.model.values import replace
from tradebot.ports.stores import Listings
from tradebot.reconciliation.new_fills import reported_fills

ENOUGH = Decimal("0.75")
"""How much of the margin that positions need at cost has to be tied up: prices have moved since."""


def with_hidden_positions(kept: Listings, books: Books, view: BrokerView) -> BrokerView:
    """Return the view with the positions that its list lacks, if the margin that is tied up is enough for all of them.

    They are what the books hold once all that orders are said to have filled is in them.
    """
    if not view.hides_positions:
        return view
    books = books.with_pending(reported_fills(books))
    quantities = books.quantities()
    found = tuple(_positions(books, quantities, kept.listings(tuple(quantities))))
    needed, tied_up = sum((need for _, need in found), Decimal(0)), view.account.maintenance_margin or Decimal(0)
    is_proven = len(found) == len(quantities) and tied_up >= needed * ENOUGH
    return replace(view, positions=tuple(position for position, _ in found)) if is_proven else view


def _positions(
    books: Books, quantities: Mapping[str, Decimal], listed: Mapping[str, ListingRecord]
) -> Iterator[tuple[BrokerPosition, Decimal]]:
    """Yield positions with the margin that each needs; not those whose cost or margin isn't known."""
    for symbol, quantity in quantities.items():
        lots = [one for one in books.totals.positions.values() if one.symbol == symbol and one.quantity]
        if symbol not in listed or sum(one.quantity for one in lots) != quantity:
            continue
        listing, cost = listed[symbol].listing, sum((one.cost for one in lots), Decimal(0))
        need = need_of(listing.margin_levels, quantity, abs(cost))
        if need is not None:
            of, average = listing.instrument, cost / notional(quantity, ONE, lots[0].multiplier)
            position = BrokerPosition(symbol, of.asset_class, quantity, average, None, multiplier=of.multiplier)
            yield position, need.maintenance
