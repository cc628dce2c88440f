"""Book executions proven by an account statement once the broker's lists no longer include them."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import groupby

from msgspec import Struct

from tradebot.model.account import ActivityKind, Booking, BrokerView, Entry
from tradebot.model.instrument import ONE, notional
from tradebot.model.order import Executed, Fill, Order, OrderStatus, fee_id
from tradebot.model.position import Origin, OwnedFill, unreported_fill
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay
from tradebot.ports.stores import Ledger
from tradebot.reconciliation.differences import cash_as_booked
from tradebot.reconciliation.new_fills import orders_and_intents
from tradebot.reconciliation.read_books import read_books


class FromStatement(Struct, frozen=True):
    """How many executions of our orders were booked, and how many weren't because the books wouldn't match the broker
    then.
    """

    booked: int = 0
    doubtful: int = 0


def book_statement(
    ledger: Ledger, executed: Sequence[Executed], view: BrokerView, now: datetime, day: VenueDay
) -> FromStatement:
    """Book the missing executions of our orders, if the books then match the broker; leave out foreign executions.

    If an accepted plan booked an assumed fill, the executions replace that fill. The plan also booked the cash by which
    the assumed fill was wrong, so that cash movement is reversed.
    """
    opened = ledger.books_opened_at()
    orders = {order.client_order_id: order for order in ledger.orders()}
    ids = ledger.known_fills({execution.fill.activity_id for execution in executed})
    new = [
        replace(execution.fill, venue_order_id=orders[execution.order_ref].venue_id)
        for execution in executed
        if execution.order_ref in orders
        and execution.fill.activity_id not in ids
        and (opened is None or execution.fill.at >= opened)
    ]
    behind = orders_and_intents(ledger, {fill.venue_order_id for fill in new})
    owned = sorted(
        (OwnedFill(owner, fill) for fill in new if (owner := behind.owner(fill.venue_order_id))),
        key=lambda owned: (owned.strategy, owned.fill.symbol),
    )
    booked = 0
    for _, group in groupby(owned, key=lambda owned: (owned.strategy, owned.fill.symbol)):
        booked += _book(ledger, tuple(group), view, now)
    if booked:
        every = {order.venue_id: order for order in orders.values()}
        filled = tuple(_filled_orders([owned_fill.fill for owned_fill in owned], every))
        ledger.apply_orders(filled, now)
    _book_fees(ledger, executed, view, now, day)
    return FromStatement(booked, len(owned) - booked)


def _book(ledger: Ledger, owned: Sequence[OwnedFill], view: BrokerView, now: datetime) -> int:
    """Write the executions of one strategy in one symbol; return how many."""
    strategy, symbol = owned[0].strategy, owned[0].fill.symbol
    change = sum((owned_fill.fill.signed_quantity for owned_fill in owned), Decimal(0))
    owned_fills = ledger.fills(symbol)
    proven = {owned.about for owned in owned_fills if owned.origin is Origin.STATEMENT}
    assumed = next(
        (
            owned
            for owned in owned_fills
            if owned.origin is Origin.ASSUMED
            and (owned.strategy, owned.fill.signed_quantity) == (strategy, change)
            and owned.fill.activity_id not in proven
        ),
        None,
    )
    if assumed is not None:
        of, about = assumed.fill, (Origin.STATEMENT, assumed.fill.activity_id)
        undone = unreported_fill(
            strategy, f"undone:{of.activity_id}", symbol, -change, of.price, of.multiplier, of.at, *about
        )
        marked = [replace(owned_fill, origin=about[0], about=about[1]) for owned_fill in owned]
        ledger.apply_fills([undone, *marked], now)
        off = sum(
            (
                owned_fill.fill.notional + (owned_fill.fill.fee.usd if owned_fill.fill.fee else 0)
                for owned_fill in owned
            ),
            -of.notional,
        )
        if off:
            ledger.adjust_cash(off, "a plan booked it earlier", now, origin=about[0], about=about[1])
        return len(owned)
    held_quantity = ledger.totals().quantities(ledger.acknowledged()).get(symbol, Decimal(0))
    there = next((position.quantity for position in view.positions if position.symbol == symbol), Decimal(0))
    if held_quantity + change != there:
        return 0
    ledger.apply_fills(owned, now)
    return len(owned)


def _book_fees(ledger: Ledger, executed: Sequence[Executed], view: BrokerView, now: datetime, day: VenueDay) -> None:
    """Book the fees that booked fills still lack; if a plan has booked their cash already, reverse that."""
    awaited = ledger.fees_awaited({execution.fill.activity_id for execution in executed})
    booked_ids = ledger.known_fills(awaited) if awaited else ()
    fills = [row.fill for row in executed if row.fill.activity_id in booked_ids and row.fill.fee and row.fill.fee.usd]
    booked = ledger.booked({fee_id(fill.activity_id) for fill in fills}) if fills else {}
    kind, total = ActivityKind.COMMISSION, Decimal(0)
    books = read_books(ledger, now, day)
    missing = cash_as_booked(books, view)[0] - books.cash
    for fill in fills:
        name, amount = fee_id(fill.activity_id), -fill.fee.usd if fill.fee else Decimal(0)
        if name not in booked:
            entry = Entry(name, kind.value, amount, "from a statement", fill.at, fill.symbol, kind.value, kind)
            ledger.book(Booking((entry,)), now)
            total += amount
    if total and abs(missing - total) > abs(missing):
        ledger.adjust_cash(-total, "a plan booked fees earlier", now, origin=Origin.STATEMENT)


def _filled_orders(fills: Sequence[Fill], orders: dict[str, Order]) -> Iterator[Order]:
    """Yield the orders that these executions filled completely."""
    for venue_id in dict.fromkeys(fill.venue_order_id for fill in fills):
        order, of = orders[venue_id], [fill for fill in fills if fill.venue_order_id == venue_id]
        quantity = sum((fill.quantity for fill in of), Decimal(0))
        if order.status is OrderStatus.ENDED and quantity == order.quantity:
            paid = abs(sum((fill.notional for fill in of), Decimal(0))) / notional(quantity, ONE, of[0].multiplier)
            yield replace(order, status=OrderStatus.FILLED, filled_quantity=quantity, filled_average_price=paid)
