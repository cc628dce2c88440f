"""Tell apart the orders that carry our mark but aren't in these books: our own earlier ones, and another copy's.

Anyone who restores an older copy of the state folder, or rebuilds the books from scratch, finds positions that the bot
itself opened. Orders earlier than the books' latest view are ours: entries halt with BOOKS_OLD, and an accepted plan
gives the fills to their strategy. If an order appeared between two passes of these books in the same session, another
copy of the bot sent it: the bot halts with SECOND_WRITER and takes nothing over.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Struct, field

from tradebot.model.account import BrokerPosition, BrokerView
from tradebot.model.books import Books
from tradebot.model.candidate import Purpose
from tradebot.model.instrument import Instrument
from tradebot.model.intent import Intent, IntentKey, Operation, is_our_order_id, mark_of
from tradebot.model.order import Order, OrdersReported
from tradebot.model.position import ADOPTED, FOREIGN, Origin, OwnedFill, Position, unreported_fill
from tradebot.model.reasons import Reason
from tradebot.model.trading import TradingState
from tradebot.ports.broker import BrokerReader
from tradebot.reconciliation.catch_up import fills_by_a_person, is_settled, reassign, reassigned_ids


class UnknownOrders(Struct, frozen=True):
    """Orders with our mark that have no intent in these books.

    `forgotten` are our own earlier orders that wait to be taken over. `by_other_copies` are orders of another copy of
    the bot, however old. `recent_by_other_copies` are those of them that filled today, unless a person has accepted
    them by ending a halt. `open` has the ids of our own earlier orders that are still working, and `protecting` the ids
    of orders that protect a position of ours, each with the strategy that owns the position.
    """

    forgotten: tuple[Order, ...] = ()
    by_other_copies: tuple[Order, ...] = ()
    recent_by_other_copies: tuple[Order, ...] = ()
    open: frozenset[str] = frozenset()
    protecting: Mapping[str, str] = field(default_factory=dict)


def unknown_orders(books: Books, positions: Iterable[BrokerPosition]) -> UnknownOrders:
    """Sort orders with our mark that aren't in these books by who must have sent them."""
    unknown = _unknown(books)
    if not unknown:
        return UnknownOrders()
    copies = [order for order in unknown if order.venue_id in books.sent_by_another_copy]
    earlier, until = [order for order in unknown if order not in copies], _accepted_until(books)
    protected = ((order.client_order_id, _protected_by(books, order)) for order in unknown)
    filled = tuple(order for order in copies if order.filled_quantity)
    return UnknownOrders(
        forgotten=_forgotten(books, [order for order in earlier if order.filled_quantity], positions),
        by_other_copies=filled,
        recent_by_other_copies=tuple(order for order in filled if _is_second_writer(order, books, until)),
        open=frozenset(order.client_order_id for order in earlier if not order.status.terminal),
        protecting={name: strategy for name, strategy in protected if strategy is not None},
    )


def _protected_by(books: Books, order: Order) -> str | None:
    """Return the strategy whose position a resting order protects, by its mark, side and shares.

    None if there is none.
    """
    mark = mark_of(order.client_order_id)
    if mark is None or mark.purpose is not Purpose.PROTECT or order.status.terminal:
        return None
    positions = [p for p in books.totals.own_positions() if p.symbol == order.symbol]
    fitting = [p for p in positions if p.quantity * order.side.sign <= -order.open_quantity]
    named = [p.strategy for p in fitting if mark.is_of(p.strategy)] or [p.strategy for p in fitting]
    return named[0] if len(named) == 1 else None


def intent_of_pair(
    books: Books, order: Order, instrument: Instrument, legs: Sequence[Order], strategy: str, plan: str
) -> Intent:
    """Return the intent that a plan writes to take over an order that protects a strategy's position."""
    assert order.quantity is not None, "a protective order must have a quantity"
    at = order.submitted_at or books.at
    session, slot = books.day.date_of(at), f"taken over {order.venue_id}"
    key = IntentKey(books.account_number, strategy, session, slot, order.symbol, order.side, Purpose.PROTECT)
    return Intent(
        key=key,
        client_order_id=order.client_order_id,
        operation=Operation.SUBMIT,
        purpose=Purpose.PROTECT,
        instrument=instrument,
        side=order.side,
        quantity=order.quantity,
        order_type=order.order_type,
        limit_price=order.limit_price,
        time_in_force=order.time_in_force,
        cycle_id=plan,
        at=at,
        stop_price=next((leg.stop_price for leg in legs), order.stop_price),
        order_class=order.order_class,
    )


def forgotten_symbols(books: Books) -> Sequence[str]:
    """Return the symbols in which our earlier orders wait to be taken over, judging by the books alone."""
    unknown = (order for order in _unknown(books) if order.venue_id not in books.sent_by_another_copy)
    return sorted({order.symbol for order in _forgotten(books, [order for order in unknown if order.filled_quantity])})


def _unknown(books: Books) -> list[Order]:
    names = ((order, order.client_order_id) for order in books.orders)
    return [order for order, name in names if name not in books.intents_by_id and is_our_order_id(name)]


def _accepted_until(books: Books) -> datetime | None:
    """Return the time until which a person accepted another copy's orders by ending a halt; None if nobody did."""
    accepted = books.state.override if books.state.state is TradingState.ACTIVE else None
    return accepted.at if accepted and Reason.SECOND_WRITER in accepted.causes else None


def _is_second_writer(order: Order, books: Books, accepted_until: datetime | None) -> bool:
    sent, reported = order.submitted_at or order.updated_at, order.updated_at or order.submitted_at
    accepted = sent is not None and accepted_until is not None and sent <= accepted_until
    if reported is None or accepted:
        return False
    return books.day.date_of(reported) >= books.day.date_of(books.at)


def _forgotten(
    books: Books, earlier: Sequence[Order], positions: Iterable[BrokerPosition] | None = None
) -> tuple[Order, ...]:
    """Return our earlier orders that wait to be taken over.

    An order from before the books began counts while the account has shares on its side that nothing else explains.
    """
    if not earlier:
        return ()
    waiting = {owned.fill.venue_order_id for owned in unclaimed_fills(books)}
    shares = _shares_from_before(books, earlier)
    too_early = _acknowledged_too_early(books, earlier)
    rest = shares if positions is None else unexplained_quantities(books, positions, too_early)
    unsettled = {symbol for symbol, quantity in shares.items() if rest.get(symbol, Decimal(0)) * quantity > 0}
    older = {order.venue_id for order in earlier if order.symbol in unsettled and _is_older(books, order)}
    return tuple(order for order in earlier if order.venue_id in waiting | older)


def _shares_from_before(books: Books, earlier: Iterable[Order]) -> Mapping[str, Decimal]:
    """Return the signed shares by symbol from our orders before the books began, without symbols settled since."""
    taken_in = {owned.about for owned in books.with_others if owned.origin is Origin.TAKEN_OVER}
    older = [order for order in earlier if _is_older(books, order)]
    settled = {order.symbol for order in older if order.venue_id in taken_in}
    shares: dict[str, Decimal] = defaultdict(Decimal)
    for order in older:
        if order.symbol not in settled:
            shares[order.symbol] += order.filled_quantity * order.side.sign
    return shares


def unclaimed_fills(books: Books) -> Iterator[OwnedFill]:
    """Yield the foreign fills that belong to no strategy and that no booking by a person has settled since."""
    done = reassigned_ids(books.with_others)
    fills = fills_by_a_person(books.with_others)
    for owned in books.with_others:
        fill = owned.fill
        is_reassigned = fill.activity_id in done
        settled = fill.venue_order_id not in books.noted_too_early and is_settled(fill, fills)
        if owned.strategy == FOREIGN and fill.venue_order_id and not is_reassigned and not settled:
            yield owned


def _acknowledged_too_early(books: Books, orders: Iterable[Order]) -> frozenset[str]:
    """Return the symbols that a person acknowledged as foreign before the venue reported these orders."""
    return frozenset(o.symbol for o in orders if o.venue_id in books.noted_too_early and _is_older(books, o))


def unexplained_quantities(
    books: Books, positions: Iterable[BrokerPosition], without_notes: Collection[str] = ()
) -> Mapping[str, Decimal]:
    """Return the account's shares by symbol that neither a fill nor a person explains.

    For symbols in `without_notes`, a person's acknowledgment is ignored and only fills count.
    """
    noted = {symbol: quantity for symbol, quantity in books.acknowledged.items() if symbol not in without_notes}
    explained = books.totals.quantities(noted)
    there = (
        (position.symbol, position.quantity - explained.get(position.symbol, Decimal(0))) for position in positions
    )
    return {symbol: quantity for symbol, quantity in there if quantity}


def _is_older(books: Books, order: Order) -> bool:
    opened = books.standing.opened_at
    return opened is not None and order.submitted_at is not None and order.submitted_at < opened


def confirmed_own_quantities(
    net: Mapping[str, Decimal], positions: Iterable[Position], earlier: Sequence[Order]
) -> Mapping[str, Decimal]:
    """Return the broker's signed shares by symbol, reduced for our positions to what is left of them.

    `earlier` are our earlier orders that are missing from the books. The shares that they closed are gone, even if
    other such orders opened as many again. The bot manages the new shares only once a person lets the books take them
    over.
    """
    own: dict[str, Decimal] = defaultdict(Decimal)
    for position in positions:
        own[position.symbol] += position.quantity
    remaining_by_symbol = dict(own)
    for order in earlier:
        if own.get(order.symbol, Decimal(0)) * order.side.sign < 0:
            remaining_by_symbol[order.symbol] += order.filled_quantity * order.side.sign
    closed = {symbol: quantity for symbol, quantity in remaining_by_symbol.items() if quantity != own[symbol]}
    return {**net, **{symbol: _ours_left(net, symbol, quantity, own[symbol]) for symbol, quantity in closed.items()}}


def _ours_left(net: Mapping[str, Decimal], symbol: str, remaining: Decimal, own: Decimal) -> Decimal:
    there = net.get(symbol, Decimal(0))
    return min(there, remaining, key=abs) if remaining * own > 0 and there * own > 0 else Decimal(0)


def ask_about(reader: BrokerReader, books: Books, view: BrokerView) -> OrdersReported:
    """Query the venue for the orders behind shares that aren't ours according to the books; return those with our mark.

    Symbols without such an order are queried again, so that one incomplete list can't make our shares foreign. Shares
    that a person acknowledged as foreign are queried every time.
    """
    unknown = unexplained_quantities(books, view.positions)
    symbols = sorted({*unknown, *books.totals.foreign_quantities(books.acknowledged)})
    if not symbols:
        return OrdersReported(())
    orders, unreadable = reader.orders_of(symbols)
    ours = [order for order in orders if is_our_order_id(order.client_order_id)]
    # One incomplete list must not make our shares foreign.
    silent = sorted(unknown.keys() - {order.symbol for order in ours})
    if silent:
        again = reader.orders_of(silent)
        ours += [order for order in again.orders if is_our_order_id(order.client_order_id)]
        unreadable += again.unreadable
    return OrdersReported(tuple(ours), unreadable)


def take_over_fills(
    books: Books, strategies: Collection[str], orders: Sequence[Order], position: BrokerPosition | None
) -> Iterator[OwnedFill]:
    """Yield the fills that make these orders of one symbol ours, each at its original time and price.

    Shares that the account had before the books began are added at the broker's average price, as many as these orders
    account for. An order belongs to the strategy that its mark names if exactly one of `strategies` matches; otherwise
    it belongs to ADOPTED.
    """
    ids = {order.venue_id: order for order in orders}
    fills = fills_by_a_person(books.with_others)
    for owned in unclaimed_fills(books):
        order = ids.get(owned.fill.venue_order_id)
        if order is not None:
            theirs, ours = reassign(_owner(strategies, order), owned.fill)
            # An adoption took these fills out of the books, so they are foreign only by acknowledgment: just add ours.
            yield from (ours,) if is_settled(owned.fill, fills) else (theirs, ours)
    older = [order for order in orders if _is_older(books, order)]
    if position is not None and older:
        last = max(older, key=lambda order: str(order.submitted_at))
        yield from _from_before(books, _owner(strategies, last), last, older, position)


def _from_before(
    books: Books, owner: str, last: Order, orders: Sequence[Order], position: BrokerPosition
) -> Iterator[OwnedFill]:
    """Yield one fill for the shares of a position that these orders bought or sold before the books began."""
    rest = unexplained_quantities(books, [position], _acknowledged_too_early(books, orders)).get(
        position.symbol, Decimal(0)
    )
    shares = _shares_from_before(books, orders).get(position.symbol, Decimal(0))
    if rest * shares <= 0:
        return
    at = last.updated_at or last.submitted_at
    assert at is not None, "an order older than the books must have a time"
    taken = min(abs(rest), abs(shares)).copy_sign(rest)
    name, source = f"taken-over:{last.venue_id}", (Origin.TAKEN_OVER, last.venue_id)
    each = position.average_price, position.multiplier
    yield unreported_fill(owner, name, position.symbol, taken, *each, at, *source)


def _owner(strategies: Collection[str], order: Order) -> str:
    """Return the strategy named in an order's mark if exactly one of these matches; else ADOPTED."""
    mark = mark_of(order.client_order_id)
    named = [name for name in strategies if mark is not None and mark.is_of(name)]
    return named[0] if len(named) == 1 else ADOPTED
