"""Which strategy has which part of the account at stake: its lots, its orders, and what may still become of them.

It is computed once a pass, with each order counted at its worst, also those whose outcome is unknown.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import takewhile

from tradebot.model.account import BrokerView
from tradebot.model.bar import Quote
from tradebot.model.books import Books
from tradebot.model.candidate import Purpose, Side
from tradebot.model.desk import Stake
from tradebot.model.intent import Intent, IntentRecord, Operation, is_marked
from tradebot.model.kind import NEW_YORK
from tradebot.model.order import Order
from tradebot.model.position import Lot, Position
from tradebot.reconciliation.new_fills import MissingFill


def stakes(
    view: BrokerView, books: Books, prices: Mapping[str, Decimal], missing: Sequence[MissingFill]
) -> tuple[Stake, ...]:
    """Return each strategy's stakes at their worst: every order that opens fills, at no better price than is known.

    `prices` are in USD per share. An exit that is working adds nothing, because its position counts until it fills; one
    with an unknown outcome counts on top of its position.
    """
    return (
        *_positions(view, books.totals.own_positions(), prices),
        *_missing(books, missing, prices),
        *_orders(view, books, prices),
        *_unresolved(books.unresolved, prices),
    )


def _positions(view: BrokerView, held: Sequence[Position], prices: Mapping[str, Decimal]) -> Iterator[Stake]:
    """Yield the lots of each strategy, at the broker's value per share or at the price, whichever is more."""
    valued = {p.symbol: abs(p.value / p.quantity) for p in view.positions if p.quantity}
    for position in held:
        cost = abs(position.average_price)
        price = max(prices.get(position.symbol, cost), valued.get(position.symbol, Decimal(0)))
        usd = abs(position.quantity) * price
        yield Stake(position.strategy, position.symbol, _side(position.quantity), usd, held=True)


def _missing(books: Books, missing: Sequence[MissingFill], prices: Mapping[str, Decimal]) -> Iterator[Stake]:
    for one in missing:
        record = books.intent_behind(one.order)
        if record is not None and record.intent.purpose is Purpose.OPEN:
            yield _of(record.intent, abs(one.signed) * order_price(one.order, prices), held=True)


def _orders(view: BrokerView, books: Books, prices: Mapping[str, Decimal]) -> Iterator[Stake]:
    for order in view.orders:
        record = books.intent_behind(order)
        if record is not None and record.intent.purpose is Purpose.OPEN:
            yield _of(record.intent, order.open_quantity * working_price(order, books, prices), held=False)


def _unresolved(records: Sequence[IntentRecord], prices: Mapping[str, Decimal]) -> Iterator[Stake]:
    for record in records:
        intent = record.intent
        if intent.operation is Operation.SUBMIT and not intent.protects:
            yield _of(intent, intent.quantity * intent_price(intent, prices), held=False)


def _of(intent: Intent, usd: Decimal, *, held: bool) -> Stake:
    """Return the stake of an order; one that closes is on the side of its position."""
    sign = intent.side.sign if intent.purpose is Purpose.OPEN else -intent.side.sign
    return Stake(intent.key.strategy, intent.instrument.symbol, _side(sign), usd, held=held)


def _side(signed: Decimal | int) -> Side:
    return Side.BUY if signed > 0 else Side.SELL


def order_price(order: Order, prices: Mapping[str, Decimal]) -> Decimal:
    """Return what one share of an order may cost, in USD; if someone else chose the limit price, that is the bound.

    Our own limits are never far from the market, so if the venue reports one that is, the venue is wrong.
    """
    known = prices.get(order.symbol, Decimal(0))
    if order.limit_price and not is_marked(order.client_order_id):
        return order.limit_price
    return max(order.limit_price or order.filled_average_price or known, known)


def working_price(order: Order, books: Books, prices: Mapping[str, Decimal]) -> Decimal:
    """Return what one share of a working order may cost, in USD; an entry of ours counts as one without an answer."""
    record = books.intent_behind(order)
    entered = record is not None and record.intent.purpose is Purpose.OPEN
    return max(order_price(order, prices), intent_price(record.intent, prices) if record and entered else Decimal(0))


def intent_price(intent: Intent, prices: Mapping[str, Decimal]) -> Decimal:
    """Return what one share of an order of ours may cost, in USD: its limit or the known price, whichever is more.

    A short sale fills at its limit or higher, so its limit alone would be too little. A passive entry may still step to
    its collar. A market order whose symbol has no price now counts at the midpoint for which it was sent.
    """
    collar = intent.approach.collar if intent.approach else Decimal(0)
    worst = max(intent.limit_price or Decimal(0), collar, prices.get(intent.instrument.symbol, Decimal(0)))
    return worst or intent.send_mid or intent.decision_mid or worst


def day_results(books: Books, quotes: Mapping[str, Quote], session: date) -> Mapping[str, Decimal | None]:
    """Return each strategy's result of a session in USD, below zero for a loss; None if a position has no price.

    A position that was closed counts with all its profit in the session in which it was closed. One that is held counts
    at the midpoint, from the previous close on, or from its entry if that was in this session.
    """
    results = defaultdict[str, Decimal](Decimal)
    # The trips of a month, in the order in which they were closed, of which nearly all are of earlier sessions.
    for trip in takewhile(lambda trip: _day(trip.closed_at) >= session, reversed(books.round_trips)):
        if _in(session, trip.closed_at):
            results[trip.strategy] += trip.profit
    unknown = set[str]()
    for position in books.totals.own_positions():
        change = _change(position, quotes.get(position.symbol), session)
        results[position.strategy] += change or 0
        unknown |= {position.strategy} if change is None else set()
    return {strategy: None if strategy in unknown else result for strategy, result in results.items()}


def _change(position: Position, quote: Quote | None, session: date) -> Decimal | None:
    """Return what a position that is held earned in the session, in USD; None if a price is missing."""
    changes = [_of_lot(lot, quote, session) for lot in position.lots] if quote else [None]
    known = [change for change in changes if change is not None]
    if len(known) < len(changes):
        return None
    realized = position.realized_pnl - position.realized_before if _in(session, position.opened_at) else Decimal(0)
    return sum(known, realized)


def _of_lot(lot: Lot, quote: Quote, session: date) -> Decimal | None:
    began = lot.price if _in(session, lot.at) else quote.previous_close
    return None if began is None else lot.quantity * (quote.middle - began)


def _in(session: date, at: datetime) -> bool:
    return _day(at) == session


def _day(at: datetime) -> date:
    return at.astimezone(NEW_YORK).date()
