"""What each strategy earned or lost in a session: with the positions that it closed, and those that it still holds."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from itertools import takewhile

from tradebot.model.bar import Quote
from tradebot.model.books import Books
from tradebot.model.kind import NEW_YORK
from tradebot.model.position import Lot, Position


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
