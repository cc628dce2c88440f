"""Read the venue for one pass and compare it with the books; if the two contradict each other, trust neither.

If a row is missing from the venue's list, that proves nothing. An order is over only if the venue says so when queried
for that order, or if the venue's adapter can prove that the order expired. Until then, the more cautious of the two
views counts. If positions differ and no pending fill explains the difference, the pass opens nothing. Exits don't wait:
an exit queries the venue about its one position, and trades what the reply confirms. Only our own orders must stay
unchanged while the account is read, so another active trader on the account can't block our exits. A position counts at
the venue's value, or at its quantity times the price we know, whichever is more.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec import Struct

from tradebot.desk.pass_events import tell_caught_up
from tradebot.errors import TradebotError
from tradebot.model.account import BrokerPosition, BrokerView
from tradebot.model.bar import ClockReading
from tradebot.model.books import Books
from tradebot.model.event import EventKind, SystemEvent
from tradebot.model.intent import Operation
from tradebot.model.order import Order
from tradebot.model.position import OwnedFill
from tradebot.model.record import PositionDifference
from tradebot.model.struct_tools import replace
from tradebot.ports.broker import BrokerReader
from tradebot.ports.world import World
from tradebot.reconciliation.catch_up import (
    catch_up,
    fillable_orders,
    latest_orders,
    omitted_orders,
    read_view,
    with_expired_orders,
)
from tradebot.reconciliation.differences import position_findings
from tradebot.reconciliation.doubts import with_doubts, with_hidden_positions
from tradebot.reconciliation.new_fills import MissingFill, missing_fills, new_fills, proven_fills
from tradebot.reconciliation.read_books import (
    explain_ratios,
    position_ratios,
    read_books,
    require_account,
    without_twins,
)


class VenueReading(Struct, frozen=True):
    """The venue and the books combined; `books` were read after the venue's facts were applied.

    `view.orders` has every order that may still fill according to the venue or the books. `orders` leaves out those
    that the venue still lists although it has reported them as over. `omitted_orders` are our orders missing from the
    venue's list. `differences` are positions that no pending fill explains. `ratios` are the broker's shares as
    multiples of ours, where they differ. `unproven` are symbols of our positions that the venue didn't confirm when
    queried directly. `missing` are our orders that have filled more than the lists of fills show so far. If the
    positions prove such fills, the fills are in `books.pending` instead. `untraced_fills` counts the orders that led to
    foreign fills and that the venue didn't return.
    """

    view: BrokerView
    books: Books
    orders: tuple[Order, ...]
    omitted_orders: tuple[Order, ...]
    differences: tuple[PositionDifference, ...]
    ratios: Mapping[str, Decimal]
    missing: tuple[MissingFill, ...]
    unproven: frozenset[str] = frozenset()
    untraced_fills: int = 0

    @property
    def agrees(self) -> bool:
        return self.view.steady and not (self.omitted_orders or self.differences or self.ratios or self.missing)


def read_venue(world: World, clocks: ClockReading, *, for_exits: bool) -> VenueReading:
    """Read the venue and update the books. A dry run writes nothing, but decides as if it had.

    If the two differ, the venue is read once more, because a fill may have arrived between two of its replies. With
    `for_exits`, each of our positions on which the venue's list and the books differ is also queried directly, because
    an exit trades only what the venue confirms.
    """
    reading = _read_once(world, clocks, first=True)
    if reading.agrees:
        return reading
    reading = _read_once(world, clocks, first=False)
    if for_exits and (reading.ratios or reading.missing):
        reading = _query_differing_positions(world, reading)
    if not world.dry_run:
        for event in _events(reading, clocks.now, world.venue.tells_ends_after):
            world.events.emit(event)
    return reading


def _read_once(world: World, clocks: ClockReading, *, first: bool) -> VenueReading:
    """Read the venue once; only the first read requests the activities that may explain a difference."""
    reader, ledger, now = world.reader, world.ledger, clocks.now
    view = read_view(reader, ledger)
    require_account(ledger, view.account)
    pending, ended, untraced_fills = tuple[OwnedFill, ...](), frozenset[str](), 0
    if world.dry_run:
        pending, unreadable = new_fills(reader, ledger, now)
        view = replace(view, unreadable=view.unreadable + unreadable)
        latest = latest_orders(reader, ledger.orders(working=True), view.orders)
        ended = frozenset(order.venue_id for order in latest if order.status.terminal)
    else:
        caught = catch_up(reader, ledger, view.orders, now, clocks.earlier_now, view.whole_at)
        untraced_fills = caught.untraced_fills
        view = replace(view, unreadable=view.unreadable + caught.unreadable) if caught.unreadable else view
        tell_caught_up(world.events, ledger, caught, now)
    books = read_books(ledger, now, reader.capabilities.day, view.orders).with_pending(pending)
    view = with_hidden_positions(ledger, books, without_twins(view, books))
    ratios = position_ratios(books, view)
    if first and not world.dry_run and ratios and explain_ratios(reader, ledger, books, view, now):
        books = read_books(ledger, now, reader.capabilities.day)
        ratios = position_ratios(books, view)
    if proven := proven_fills(books, view.positions):
        books = books.with_pending(proven)
        ratios = position_ratios(books, view)
    books = with_expired_orders(reader, books, clocks.earlier_now)
    ids = {order.venue_id for order in (view.orders if world.dry_run else books.working)}
    omitted = tuple(o for o in omitted_orders(fillable_orders(books), view.orders) if o.venue_id not in ended)
    books = with_doubts(reader, books, view, omitted, world.venue.tells_ends_after)
    missing = missing_fills(books)
    return VenueReading(
        view=replace(view, orders=(*view.orders, *omitted)) if omitted else view,
        books=books,
        orders=(*(order for order in view.orders if order.venue_id in ids), *omitted),
        omitted_orders=omitted,
        differences=differences(books, missing, view.positions, view.orders),
        ratios=ratios,
        missing=missing,
        untraced_fills=untraced_fills,
    )


def differences(
    books: Books, missing: Sequence[MissingFill], positions: Iterable[BrokerPosition], orders: Iterable[Order]
) -> tuple[PositionDifference, ...]:
    """Return the positions on which the broker and the books differ, unless pending fills may explain it."""
    # A position in which an order of ours may have ended without our knowing isn't foreign.
    listed = {order.venue_id for order in orders}
    unseen = {
        order.symbol for order in fillable_orders(books) if order.venue_id not in listed and not books.protects(order)
    }
    findings = (
        finding for finding in position_findings(books, (), positions) if finding.blocking or finding.subject in unseen
    )
    differing = (PositionDifference(f.subject, f.ours or Decimal(0), f.broker or Decimal(0)) for f in findings)
    return tuple(difference for difference in differing if not _may_be_pending(difference, books, missing))


def _may_be_pending(difference: PositionDifference, books: Books, missing: Iterable[MissingFill]) -> bool:
    """Return True if fills that are missing, or may be missing, could add up to the difference."""
    changes = [filled.signed_quantity for filled in missing if filled.order.symbol == difference.symbol]
    unresolved = (record.intent for record in books.unresolved_intents if record.intent.makes_order)
    changes += [i.quantity * i.side.sign for i in unresolved if i.instrument.symbol == difference.symbol]
    least, most = (sum((c for c in changes if c * sign > 0), Decimal(0)) for sign in (-1, 1))
    return least <= difference.broker - difference.books <= most


def _query_differing_positions(world: World, reading: VenueReading) -> VenueReading:
    """Query the venue about each position on which its list and the books differ; return the updated reading.

    This includes positions in which an order filled shares that neither the fills nor the positions show.
    """
    symbols = dict.fromkeys((*reading.ratios, *(fill.order.symbol for fill in reading.missing)))
    confirmed_positions = {symbol: _position(world.reader, symbol) for symbol in symbols}
    others = (position for position in reading.view.positions if position.symbol not in confirmed_positions)
    view = replace(reading.view, positions=(*others, *filter(None, confirmed_positions.values())))
    books = reading.books.with_pending(proven_fills(reading.books, view.positions))
    denied = {symbol for symbol, position in confirmed_positions.items() if position is None}
    return replace(
        reading,
        view=view,
        books=books,
        ratios=position_ratios(books, view),
        missing=missing_fills(books),
        unproven=frozenset(denied.intersection(reading.ratios)),
    )


def confirmed_quantities(reading: VenueReading) -> Mapping[str, Decimal]:
    """Return the broker's shares of each symbol, signed, or what the books expect after missing fills, whichever is
    less.

    After an exit has filled, its order may show the fill before the broker's positions and the booked fills do. Those
    shares are gone and must not be sold twice.
    """
    quantity_by_symbol = reading.books.quantities()
    net = {position.symbol: position.quantity for position in reading.view.positions}
    on_their_way: dict[str, Decimal] = defaultdict(Decimal)
    for filled in reading.missing:
        on_their_way[filled.order.symbol] += filled.signed_quantity
    for symbol, change in on_their_way.items():
        listed, expected = net.get(symbol, Decimal(0)), quantity_by_symbol.get(symbol, Decimal(0)) + change
        net[symbol] = min(listed, expected, key=abs) if listed * expected > 0 else Decimal(0)
    return net


def _position(reader: BrokerReader, symbol: str) -> BrokerPosition | None:
    """Return the venue's position in a symbol; None if it has none, or doesn't answer."""
    try:
        return reader.position(symbol)
    except TradebotError:
        return None


def _events(reading: VenueReading, now: datetime, told_after: timedelta) -> Iterator[SystemEvent]:
    """Yield what a person should know; skip an order missing from the list if it filled or may just have ended."""
    requested_at = {(r.intent.operation, r.intent.target_venue_id): r.updated_at for r in reading.books.intents}
    filled = reading.books.filled
    for order in (o for o in reading.omitted_orders if not o.quantity or filled.get(o.venue_id, 0) < o.quantity):
        heard = (order.updated_at, requested_at.get((Operation.CANCEL, order.venue_id)))
        if not any(at and timedelta(0) <= now - at < told_after for at in heard):
            details = {"order": order.client_order_id, "status": order.status.value}
            yield EventKind.ORDER_LEFT_OUT.at(now, details, order.symbol)
    for difference in reading.differences:
        details = {"books": f"{difference.books:f}", "broker": f"{difference.broker:f}"}
        yield EventKind.POSITION_DIFFERS.at(now, details, difference.symbol)
    for symbol in sorted(reading.unproven):
        details = {"what": "the broker did not confirm this position when asked directly"}
        yield EventKind.POSITION_UNPROVEN.at(now, details, symbol)
