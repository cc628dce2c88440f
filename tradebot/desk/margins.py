"""What an account's open orders may make of its positions, and the margin that this ties up."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from tradebot.model.account import Account, BrokerPosition, BrokerView
from tradebot.model.bar import Quote
from tradebot.model.books import Books
from tradebot.model.candidate import Side
from tradebot.model.instrument import Listing
from tradebot.model.margin import Margin, Place, Reach
from tradebot.model.venue import Settlement
from tradebot.ports.broker import BrokerReader
from tradebot.reconciliation.new_fills import MissingFill


class Possible(NamedTuple):
    """What an order may still add to a symbol: exposure in USD, unsigned quantity, and the worst price, if it has one.

    Without one, it filled already, or it fills at whatever price there is.
    """

    symbol: str
    side: Side
    usd: Decimal
    quantity: Decimal
    price: Decimal | None


def tying_up(view: BrokerView, books: Books, missing: Iterable[MissingFill] = ()) -> Iterator[str]:
    """Yield the symbols of everything that ties up margin, foreign positions and orders too; none if nothing does."""
    if view.account.settlement is Settlement.MARGINED:
        yield from (position.symbol for position in view.positions)
        yield from (order.symbol for order in view.orders)
        yield from (one.order.symbol for one in missing)
        yield from (record.intent.instrument.symbol for record in books.unresolved)


def listings_of(reader: BrokerReader, account: Account, symbols: Iterable[str]) -> Mapping[str, Listing]:
    """Return how the venue lists these symbols; an account that pays for what it buys needs no such thing."""
    if account.settlement is Settlement.PAID:
        return {}
    return reader.listings(tuple(dict.fromkeys(symbols)))


def margin_of(
    view: BrokerView,
    prices: Mapping[str, Decimal],
    orders: Iterable[Possible],
    quotes: Mapping[str, Quote],
    listings: Mapping[str, Listing],
) -> Margin | None:
    """Return the margin of an account with all its open orders filled; None if the account pays for what it buys.

    `prices` are those at which positions count if the venue's value is less.
    """
    account = view.account
    if account.settlement is Settlement.PAID:
        return None
    open_positions = [position for position in view.positions if position.quantity]
    marks = {symbol: quote.middle for symbol, quote in quotes.items()} | dict(_marks(open_positions))
    held = {_place(position): _reach(position, prices[position.symbol]) for position in open_positions}
    figures = account.initial_margin, account.maintenance_margin, account.available
    margin = Margin(*figures, listings, marks, held, held)
    for order in orders:
        margin = margin.with_order(order.symbol, order.side, order.quantity, order.usd, order.price)
    return margin


def _marks(positions: Iterable[BrokerPosition]) -> Iterator[tuple[str, Decimal]]:
    """Yield the venue's own prices, by which it liquidates."""
    for position in positions:
        if position.current_price and position.current_price > 0:
            yield position.symbol, position.current_price


def _place(position: BrokerPosition) -> Place:
    return position.symbol, Side.of(position.quantity)


def _reach(position: BrokerPosition, price: Decimal) -> Reach:
    return Reach(abs(position.quantity), max(abs(position.value), abs(position.value_at(price))), Decimal(0))
