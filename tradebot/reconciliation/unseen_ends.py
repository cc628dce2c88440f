"""Find the orders that must have closed positions while nobody looked, where the venue has forgotten how they ended."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import product

from tradebot.model.account import BrokerView
from tradebot.model.books import Books
from tradebot.model.order import Fill, Order, OrderStatus
from tradebot.model.position import Origin, OwnedFill, Position

MOST = 8
"""Of so many positions the targets are considered too; beyond that, each counts as stopped."""


def assumed_exits(books: Books, broker: BrokerView, cash: Decimal) -> Mapping[str, OwnedFill]:
    """Return by symbol the fill that must have closed our whole position, assumed at the price of a forgotten order.

    That is the stop, unless what the broker's `cash` has gained fits a target better.
    """
    held = {position.symbol for position in broker.positions if position.quantity}
    whole = [one for one in books.totals.own_positions() if books.quantities().get(one.symbol) == one.quantity]
    gone = [(one, _forgotten(books, one)) for one in whole if one.quantity and one.symbol not in held]
    choices = [[(position, order) for order in orders] for position, orders in gone if orders]
    if len(choices) > MOST:
        choices = [each[:1] for each in choices]
    gained = cash - books.cash

    def misses(chosen: Sequence[tuple[Position, Order]]) -> Decimal:
        return abs(gained - sum(position.value_at(_price(order)) - position.cost for position, order in chosen))

    best = min(product(*choices), key=misses)
    return {position.symbol: _fill(books, position, order) for position, order in best}


def _forgotten(books: Books, position: Position) -> Sequence[Order]:
    """Return our orders that ended unseen and would have closed exactly this position, stops first."""

    def found() -> Iterator[Order]:
        for order in books.orders:
            behind = books.intent_behind(order)
            closes = order.quantity == abs(position.quantity) and order.side.sign * position.quantity < 0
            ours = order.symbol == position.symbol and behind and behind.intent.key.strategy == position.strategy
            if order.status is OrderStatus.ENDED and closes and ours and _price(order):
                yield order

    return sorted(found(), key=lambda order: order.stop_price is None)


def _price(order: Order) -> Decimal:
    return order.stop_price or order.limit_price or Decimal(0)


def _fill(books: Books, position: Position, order: Order) -> OwnedFill:
    name, size = f"assumed:{order.venue_id}", abs(position.quantity)
    made = Fill(name, order.venue_id, order.symbol, order.side, size, _price(order), books.at, position.multiplier)
    return OwnedFill(position.strategy, made, Origin.ASSUMED, order.venue_id)
