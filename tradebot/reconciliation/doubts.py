"""Use other sources of the venue to judge what is missing from its lists.

If a list and a report about an order contradict each other, the list may lack a row, or the report may be outdated. So
neither can be trusted. If one source shows a stop as working and another doesn't, the stop doesn't count as protection
until they agree again, unless a third source shows that it works.

A list may also lack positions that books, orders and the margin in use prove. But the margin may date from before a
close. So it doesn't prove a position if one of our orders may have closed it unreported: an order that is no longer
listed and whose end is unknown.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from tradebot.errors import TradebotError
from tradebot.model.account import BrokerPosition, BrokerView
from tradebot.model.books import Books
from tradebot.model.instrument import ONE, ListingRecord, notional
from tradebot.model.margin import need_of
from tradebot.model.order import Order, OrderStatus
from tradebot.model.resting_orders import Resting, resting_among
from tradebot.model.struct_tools import replace
from tradebot.ports.broker import BrokerReader
from tradebot.ports.stores import Listings
from tradebot.reconciliation.new_fills import reported_fills

ENOUGH = Decimal("0.75")
"""How much of the positions' maintenance margin at cost must be in use to prove them, as a fraction.

It is less than all, because prices have moved since the entries.
"""


def with_doubts(
    reader: BrokerReader, books: Books, view: BrokerView, omitted: Sequence[Order], reported_after: timedelta
) -> Books:
    """Return the books with `doubted` set to the stops that the venue's list lacks or its positions contradict.

    `omitted` are our working orders that are missing from the list. That proves nothing until `reported_after` has
    passed since the order's last report. A list that is older than `reported_after` doesn't prove that an order works.
    If the positions say how many units no order has reserved, they are a third source, and two of three decide.
    """
    positions, orders = {position.symbol: position for position in view.positions}, (*view.orders, *omitted)
    is_stale = view.orders_at is not None and books.at - view.orders_at > reported_after
    unlisted = {order.venue_id for order in (orders if is_stale else omitted) if _is_old(order, books, reported_after)}
    doubted = frozenset(
        order.venue_id
        for symbol, stops in _stops(books, orders).items()
        for stop in _mark_doubted(reader, _claimed_by_stops(positions.get(symbol), orders, stops), stops, unlisted)
        for order in (stop.limit, stop.stop)
        if order
    )
    return replace(books, doubted=doubted) if doubted else books


def _is_old(order: Order, books: Books, reported_after: timedelta) -> bool:
    moment = max(filter(None, (order.updated_at, order.submitted_at)), default=None)
    return moment is None or books.at - moment >= reported_after


def _stops(books: Books, orders: Sequence[Order]) -> Mapping[str, list[Resting]]:
    """Return the stops that protect positions, by symbol, the newest first, because it is the likeliest to work."""
    by_symbol = dict[str, list[Resting]]()
    for (_, symbol), rests in resting_among(books, orders).items():
        stops = (rest for rest in rests if not (rest.is_target or rest.exiting or rest.ending))
        by_symbol.setdefault(symbol, []).extend(stops)
    return {symbol: sorted(stops, key=_sent_at, reverse=True) for symbol, stops in by_symbol.items()}


def _sent_at(stop: Resting) -> datetime:
    return stop.record.intent.at


def _claimed_by_stops(
    position: BrokerPosition | None, orders: Sequence[Order], stops: Sequence[Resting]
) -> Decimal | None:
    """Return how many units of a position are reserved for stops; None if the venue doesn't say."""
    if position is None or position.free is None:
        return None
    own = {order.venue_id for stop in stops for order in (stop.limit, stop.stop) if order}
    others = (
        order for order in orders if order.symbol == position.symbol and not (order.parent or order.venue_id in own)
    )
    closing = (other.open_quantity for other in others if other.side.sign * position.quantity < 0)
    return abs(position.quantity) - position.free - sum(closing, Decimal(0))


def _mark_doubted(
    reader: BrokerReader, claimed: Decimal | None, stops: Sequence[Resting], unlisted: Collection[str]
) -> Iterator[Resting]:
    for stop in stops:
        is_unlisted = (stop.stop or stop.first).venue_id in unlisted
        if claimed is None:
            doubted = is_unlisted
        else:
            denied = claimed < stop.quantity
            doubted = denied and (is_unlisted or not (stop.arrives or _works(reader, stop.first)))
            claimed -= 0 if denied else stop.quantity
        if doubted:
            yield stop


def _works(reader: BrokerReader, order: Order) -> bool:
    """Return True if the venue, queried about a listed order, confirms that it works."""
    try:
        latest = reader.order(order.client_order_id)
    except TradebotError:
        return False
    return latest is not None and not latest.status.terminal


def with_hidden_positions(listings: Listings, books: Books, view: BrokerView) -> BrokerView:
    """Add positions missing from the venue's list to the view, if the margin in use is enough for all of them.

    The positions added are those in the books, after all reported fills.
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
