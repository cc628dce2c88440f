"""Sort orders that carry our mark but aren't in these books: either ours from before, or from another copy of the bot.

Books don't contain what happened after they were copied. Anyone who restores an older copy of the state folder, or
rebuilds the books from scratch, finds positions that the bot itself opened. The mark in the client order id
distinguishes them from other people's trades on the account.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from tradebot.model.account import BrokerPosition, BrokerView
from tradebot.model.intent import is_marked, mark_of
from tradebot.model.order import Fill, Order
from tradebot.model.origin import Origin
from tradebot.model.position import (
    ADOPTED,
    FOREIGN,
    OwnedFill,
    Position,
    foreign_quantities,
    quantities,
    unreported_fill,
)
from tradebot.model.reasons import Reason
from tradebot.model.trading import TradingState
from tradebot.ports.broker import BrokerReader
from tradebot.ports.stores import Ledger
from tradebot.reconciliation.catch_up import reassign, reassigned_ids
from tradebot.reconciliation.findings import UnknownOrders
from tradebot.timetable.sessions import session_of


def unknown_orders(ledger: Ledger, positions: Sequence[BrokerPosition], now: datetime) -> UnknownOrders:
    """Sort marked orders that aren't in these books by who must have sent them."""
    unknown = [order for order in ledger.unpromised_orders() if is_marked(order.client_order_id)]
    if not unknown:
        return UnknownOrders()
    copies = [order for order in unknown if of_another_copy(ledger, order, now)]
    earlier, until = [order for order in unknown if order not in copies], _accepted_until(ledger)
    filled = tuple(order for order in copies if order.filled_quantity)
    return UnknownOrders(
        forgotten=_forgotten(ledger, [order for order in earlier if order.filled_quantity], positions),
        by_other_copies=filled,
        recent_by_other_copies=tuple(order for order in filled if _is_second_writer(order, now, until)),
        open=frozenset(order.client_order_id for order in earlier if not order.status.terminal),
    )


def forgotten_symbols(ledger: Ledger, now: datetime) -> Sequence[str]:
    """Return the symbols in which our earlier orders wait to be taken over, judging by the books alone."""
    unknown = [order for order in ledger.unpromised_orders() if is_marked(order.client_order_id)]
    earlier = [order for order in unknown if order.filled_quantity and not of_another_copy(ledger, order, now)]
    return sorted({order.symbol for order in _forgotten(ledger, earlier)})


def of_another_copy(ledger: Ledger, order: Order, now: datetime) -> bool:
    """Return True if an unknown order was sent while these books were in use, so another copy must have sent it.

    Books were in use if they were active both before and after the order in its session. Restored older books were
    active only before, if at all, and rebuilt books not at all.
    """
    sent = order.submitted_at or order.updated_at or now
    session = session_of(ledger, sent)
    if session is None:
        return False
    looks = [claim.at for claim in ledger.slot_claims(session.date)]
    looks += [record.intent.at for record in ledger.intents(session=session.date)]
    mark = ledger.last_reconcile()
    looks += [mark.at] if mark and session.contains(mark.at) else []
    looks += [now] if session.contains(now) else []
    return any(look < sent for look in looks) and any(look >= sent for look in looks)


def _accepted_until(ledger: Ledger) -> datetime | None:
    """Return until when a person accepted another copy's orders by ending a halt; None if nobody did."""
    state = ledger.trading_state()
    accepted = state.override if state.state is TradingState.ACTIVE else None
    return accepted.at if accepted and Reason.SECOND_WRITER in accepted.causes else None


def _is_second_writer(order: Order, now: datetime, accepted_until: datetime | None) -> bool:
    sent, reported = order.submitted_at or order.updated_at, order.updated_at or order.submitted_at
    accepted = sent is not None and accepted_until is not None and sent <= accepted_until
    return reported is not None and reported.date() >= now.date() and not accepted


def _forgotten(
    ledger: Ledger, earlier: Sequence[Order], positions: Iterable[BrokerPosition] | None = None
) -> tuple[Order, ...]:
    """Return our earlier orders that wait to be taken over.

    The books hold no fills of orders from before they began. Such orders count while the account holds shares on their
    side that neither a fill nor a person explains. If a person called the shares foreign before the venue reported the
    order, that doesn't count. If positions weren't read, the shares are assumed to be still held.
    """
    if not earlier:
        return ()
    waiting = {owned.fill.venue_order_id for owned in unclaimed_fills(ledger)}
    shares = _shares_from_before(ledger, earlier)
    rest = shares if positions is None else unexplained(ledger, positions, _noted_too_early(ledger, earlier))
    unsettled = {symbol for symbol, quantity in shares.items() if rest.get(symbol, Decimal(0)) * quantity > 0}
    older = {order.venue_id for order in earlier if order.symbol in unsettled and _is_older(ledger, order)}
    return tuple(order for order in earlier if order.venue_id in waiting | older)


def _shares_from_before(ledger: Ledger, earlier: Iterable[Order]) -> Mapping[str, Decimal]:
    """Return the signed shares by symbol from our orders before the books began, without symbols settled since."""
    taken_in = {owned.about for owned in ledger.fills() if owned.origin is Origin.TAKEN_OVER}
    older = [order for order in earlier if _is_older(ledger, order)]
    settled = {order.symbol for order in older if order.venue_id in taken_in}
    shares: dict[str, Decimal] = defaultdict(Decimal)
    for order in older:
        if order.symbol not in settled:
            shares[order.symbol] += order.filled_quantity * order.side.sign
    return shares


def unclaimed_fills(ledger: Ledger) -> Iterator[OwnedFill]:
    """Yield the foreign fills that haven't been given to a strategy, and that no person has settled since."""
    fills = ledger.fills()
    done = reassigned_ids(fills)
    made, late = _fills_by_a_person(ledger), reported_late(ledger)
    for owned in fills:
        fill = owned.fill
        given = fill.activity_id in done
        settled = fill.venue_order_id not in late and _is_settled(fill, made)
        if owned.strategy == FOREIGN and fill.venue_order_id and not given and not settled:
            yield owned


def _fills_by_a_person(ledger: Ledger) -> list[Fill]:
    """Return the foreign fills made by a plan or an adoption, which no venue reported."""
    fills = ledger.fills()
    done = reassigned_ids(fills)
    foreign = (owned for owned in fills if owned.strategy == FOREIGN and not owned.fill.venue_order_id)
    return [owned.fill for owned in foreign if not _is_reassignment(owned, done)]


def _is_settled(fill: Fill, made: Iterable[Fill]) -> bool:
    return any(one.symbol == fill.symbol and one.at >= fill.at for one in made)


def reported_late(ledger: Ledger) -> frozenset[str]:
    """Return the venue ids of orders reported after a person had noted their symbol as someone else's."""
    return frozenset(
        order.venue_id
        for symbol, since in ledger.acknowledged_since().items()
        for order in ledger.orders(since=since)
        if order.symbol == symbol
    )


def _noted_too_early(ledger: Ledger, orders: Iterable[Order]) -> frozenset[str]:
    """Return the symbols that a person noted as someone else's before the venue reported these orders."""
    late = reported_late(ledger)
    return frozenset(order.symbol for order in orders if order.venue_id in late and _is_older(ledger, order))


def _is_reassignment(owned: OwnedFill, done: Collection[str]) -> bool:
    """Return True if a foreign fill is half of a pair that moved a fill to its owner."""
    return owned.origin is Origin.GIVEN_BACK and owned.about in done


def unexplained(
    ledger: Ledger, positions: Iterable[BrokerPosition], without_notes: Collection[str] = ()
) -> Mapping[str, Decimal]:
    """Return the shares by symbol that the account holds and that neither a fill nor a person explains.

    For symbols in `without_notes`, a person's note is ignored and only fills count.
    """
    noted = {symbol: quantity for symbol, quantity in ledger.acknowledged().items() if symbol not in without_notes}
    held = quantities(ledger.fills(), noted)
    there = ((position.symbol, position.quantity - held.get(position.symbol, Decimal(0))) for position in positions)
    return {symbol: quantity for symbol, quantity in there if quantity}


def _is_older(ledger: Ledger, order: Order) -> bool:
    opened = ledger.books_opened_at()
    return opened is not None and order.submitted_at is not None and order.submitted_at < opened


def still_ours(
    net: Mapping[str, Decimal], positions: Iterable[Position], earlier: Sequence[Order]
) -> Mapping[str, Decimal]:
    """Return the broker's signed shares by symbol, but for our positions no more than the books may still close.

    Shares closed by our earlier orders are gone, even if those orders opened as many again. The new shares are managed
    once a person lets the books take them over.
    """
    own: dict[str, Decimal] = defaultdict(Decimal)
    for position in positions:
        own[position.symbol] += position.quantity
    left = dict(own)
    for order in earlier:
        if own.get(order.symbol, Decimal(0)) * order.side.sign < 0:
            left[order.symbol] += order.filled_quantity * order.side.sign
    closed = {symbol: quantity for symbol, quantity in left.items() if quantity != own[symbol]}
    return {**net, **{symbol: _ours_left(net, symbol, quantity, own[symbol]) for symbol, quantity in closed.items()}}


def _ours_left(net: Mapping[str, Decimal], symbol: str, left: Decimal, own: Decimal) -> Decimal:
    there = net.get(symbol, Decimal(0))
    return min(there, left, key=abs) if left * own > 0 and there * own > 0 else Decimal(0)


def ask_about(reader: BrokerReader, ledger: Ledger, view: BrokerView, now: datetime) -> int:
    """Ask the venue which orders are behind the shares that aren't ours by the books, and store the marked ones.

    One incomplete list must not make our shares foreign, so symbols without such an order are asked about again.
    Shares that a person noted as someone else's are asked about every time. Returns how many rows couldn't be read.
    """
    unknown = unexplained(ledger, view.positions)
    symbols = sorted({*unknown, *foreign_quantities(ledger.fills(), ledger.acknowledged())})
    if not symbols:
        return 0
    orders, unreadable = reader.orders_of(symbols)
    ours = [order for order in orders if is_marked(order.client_order_id)]
    silent = sorted(unknown.keys() - {order.symbol for order in ours})
    if silent:
        again = reader.orders_of(silent)
        ours += [order for order in again.orders if is_marked(order.client_order_id)]
        unreadable += again.unreadable
    ledger.apply_orders(tuple(ours), now)
    return unreadable


def take_over_fills(ledger: Ledger, orders: Sequence[Order], position: BrokerPosition | None) -> Iterator[OwnedFill]:
    """Yield the fills that make these orders of one symbol ours, each at its original time and price.

    Shares from before the books began are added at the broker's average price, as many as those orders account for.
    """
    ids = {order.venue_id: order for order in orders}
    made = _fills_by_a_person(ledger)
    for owned in unclaimed_fills(ledger):
        order = ids.get(owned.fill.venue_order_id)
        if order is not None:
            theirs, ours = reassign(_owner(ledger, order), owned.fill)
            # An adoption took these fills out of the books: they are foreign only by a note, so just add ours.
            yield from (ours,) if _is_settled(owned.fill, made) else (theirs, ours)
    if position is not None:
        yield from _from_before(ledger, [order for order in orders if _is_older(ledger, order)], position)


def _from_before(ledger: Ledger, orders: Sequence[Order], position: BrokerPosition) -> Iterator[OwnedFill]:
    """Yield one fill for the shares of a position that these orders bought or sold before the books began."""
    rest = unexplained(ledger, [position], _noted_too_early(ledger, orders)).get(position.symbol, Decimal(0))
    shares = _shares_from_before(ledger, orders).get(position.symbol, Decimal(0))
    if rest * shares <= 0:
        return
    last = max(orders, key=lambda order: str(order.submitted_at))
    at = last.updated_at or last.submitted_at
    assert at is not None, "an order from before the books says when it was sent"
    taken = min(abs(rest), abs(shares)).copy_sign(rest)
    name, source = f"taken-over:{last.venue_id}", (Origin.TAKEN_OVER, last.venue_id)
    yield unreported_fill(_owner(ledger, last), name, position.symbol, taken, position.average_price, at, *source)


def _owner(ledger: Ledger, order: Order) -> str:
    """Return the strategy named in an order's mark, if these books know exactly one that matches; else ADOPTED."""
    mark = mark_of(order.client_order_id)
    known = {record.intent.key.strategy for record in ledger.intents()}
    named = [name for name in known if mark is not None and mark.is_of(name)]
    return named[0] if len(named) == 1 else ADOPTED
