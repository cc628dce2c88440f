"""Find the venue's fills that are missing from the books, who owns them, and which of them contradict their own orders.

A liquidation or settlement has no order of ours behind it, so it is booked as foreign at first. It counts as closing
our lots if the books have no foreign shares of the symbol, and the venue's position then equals the books'. The oldest
lots count as closed first, whichever strategy they belong to. Otherwise a person decides, as with other foreign trades.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from tradebot.errors import TradebotError
from tradebot.model.account import BrokerPosition
from tradebot.model.books import Books
from tradebot.model.candidate import Purpose
from tradebot.model.intent import Intent, IntentRecord
from tradebot.model.order import Fill, Order
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.ports.broker import BrokerReader
from tradebot.ports.stores import Ledger, Money, Orders

ZERO = Decimal(0)
WATCHED = timedelta(days=4)
"""How long an abandoned order is looked up, because it or its fills might still arrive late."""


class MissingFill(NamedTuple):
    """One of our orders and how much of its filled quantity is in the books, unsigned."""

    order: Order
    booked: Decimal

    @property
    def words(self) -> str:
        """Describe the unbooked trade: quantity, symbol, side and order."""
        name, traded = (
            self.order.client_order_id or self.order.venue_id,
            "bought" if self.signed_quantity > 0 else "sold",
        )
        return f"{abs(self.signed_quantity):f} {self.order.symbol} {traded} by order {name}"

    @property
    def signed_quantity(self) -> Decimal:
        """Return how far the order changed the position beyond its booked fills, signed."""
        return (self.order.filled_quantity - self.booked) * self.order.side.sign


def missing_fills(books: Books) -> tuple[MissingFill, ...]:
    """Return our orders that have filled more than the books show.

    Only recent orders count; later, the difference becomes an ordinary finding, which a plan resolves. A replaced
    order's fills may be reported under its replacement, so earlier orders in the chain count too.
    """
    # An order whose own fills are all booked, as is usual, lacks none, whatever it replaced.
    filled = [order for order in books.orders if order.filled_quantity > books.filled.get(order.venue_id, 0)]
    young = (o for o in filled if (o.updated_at or o.submitted_at or books.at) > books.at - WATCHED)
    ours = (MissingFill(order, books.booked_of_chain(order)) for order in young if books.intent_behind(order))
    return tuple(missing for missing in ours if missing.order.filled_quantity > missing.booked)


def proven_fills(books: Books, positions: Iterable[BrokerPosition]) -> tuple[OwnedFill, ...]:
    """Return the unbooked fills of our orders, as far as the venue's positions prove them too.

    They count as positions until the venue lists the fills themselves with exact prices and times.
    """
    net_by_symbol, booked, owned_fills = (
        {position.symbol: position for position in positions},
        books.quantities(),
        list[OwnedFill](),
    )
    for symbol, group in groupby(sorted(missing_fills(books), key=_symbol_of), _symbol_of):
        missing, position = tuple(group), net_by_symbol.get(symbol)
        shown = (position.quantity if position else Decimal(0)) - booked.get(symbol, Decimal(0))
        is_sum = shown == sum(fill.signed_quantity for fill in missing)
        for missing_fill in missing:
            # Count as much of each fill as the positions show. Fills on both sides must add up to that.
            proven = (
                missing_fill.signed_quantity
                if is_sum
                else min(shown, missing_fill.signed_quantity, key=abs)
                if _agree(shown, missing)
                else Decimal(0)
            )
            shown -= proven
            owned_fills += _as_fill(books, missing_fill, proven, position.average_price if position else None)
    return tuple(sorted(owned_fills, key=lambda owned: owned.fill.at))


def reported_fills(books: Books) -> tuple[OwnedFill, ...]:
    """Return our orders' unbooked fills, whatever the venue's positions show."""
    fills = (
        fill
        for missing_fill in missing_fills(books)
        for fill in _as_fill(books, missing_fill, missing_fill.signed_quantity, None)
    )
    return tuple(sorted(fills, key=lambda owned: owned.fill.at))


def seen_fills(books: Books, omitted: Collection[str], net: Mapping[str, Decimal]) -> tuple[OwnedFill, ...]:
    """Return likely fills of entries that the venue no longer lists, as far as its positions exceed those in the books.

    `omitted` are the symbols of orders missing from its list, and `net` its positions.
    """
    booked, owned_fills = books.quantities(), list[OwnedFill]()
    for order in (order for order in books.working if order.symbol in omitted):
        record, shown = books.intent_behind(order), net.get(order.symbol, ZERO) - booked.get(order.symbol, ZERO)
        if record and record.intent.purpose is Purpose.OPEN and shown * order.side.sign > 0:
            change = min(abs(shown), order.open_quantity) * order.side.sign
            owned_fills += _as_fill(books, MissingFill(order, order.filled_quantity), change, None)
    return tuple(owned_fills)


def _symbol_of(missing_fill: MissingFill) -> str:
    return missing_fill.order.symbol


def _agree(shown: Decimal, missing: Iterable[MissingFill]) -> bool:
    """Return True if all missing fills change a position in the direction that the venue shows."""
    return all(fill.signed_quantity * shown > 0 for fill in missing)


def _as_fill(books: Books, missing_fill: MissingFill, change: Decimal, average: Decimal | None) -> Iterator[OwnedFill]:
    order, record = missing_fill.order, books.intent_behind(missing_fill.order)
    price = order.filled_average_price or average or order.limit_price
    if change and record and price is not None:
        # A report as old as its order doesn't say when it filled. Assume that an entry filled at once and a close only
        # now.
        is_dated = order.updated_at not in (None, order.submitted_at) or record.intent.purpose is Purpose.OPEN
        at = min((order.updated_at or order.submitted_at or books.at) if is_dated else books.at, books.at)
        of, name = record.intent.instrument, f"of {order.venue_id}"
        fill = Fill(name, order.venue_id, order.symbol, order.side, abs(change), price, at, of.multiplier)
        yield OwnedFill(record.intent.key.strategy, fill)


LEEWAY = timedelta(days=1)
"""How far past both the venue's clock and the order's submission a time may lie before it counts as impossible."""


def new_fills(reader: BrokerReader, ledger: Ledger, now: datetime) -> tuple[tuple[OwnedFill, ...], int]:
    """Return the venue's fills that the books lack, with their owners where known, and the number of rows dropped.

    A row is dropped if it is unreadable or contradicts its own order, such as by exceeding the order's quantity. It is
    fetched again later. A fill in the books is permanent, so no doubtful fill is booked.
    """
    reported = reader.fills(_fills_since(ledger, now))
    booked_ids = ledger.known_fills({fill.activity_id for fill in reported})
    new = [fill for fill in reported if fill.activity_id not in booked_ids]
    if not new:
        return (), reader.unreadable_fills
    behind = orders_and_intents(ledger, {fill.venue_order_id for fill in new})
    believable = tuple(_believable(ledger, behind, new, now))
    dropped = reader.unreadable_fills + len(new) - len(believable)
    return tuple(OwnedFill(behind.owner(fill.venue_order_id), fill) for fill in believable), dropped


class OrderOwners(NamedTuple):
    """Orders with the orders that they replaced, by venue id, and the intents behind them, by client order id."""

    chains: Mapping[str, Sequence[Order]]
    intents: Mapping[str, IntentRecord]

    @property
    def orders_by_id(self) -> Mapping[str, Order]:
        pairs = ((venue_id, chain[0]) for venue_id, chain in self.chains.items())
        return {venue_id: order for venue_id, order in pairs if order.venue_id == venue_id}

    def owner(self, venue_id: str) -> str:
        """Return the strategy behind an order, or FOREIGN.

        An order that replaced one of our orders is ours, and so are its fills.
        """
        records = (self.intents.get(order.client_order_id) for order in self.chains.get(venue_id, ()))
        return next((r.intent.key.strategy for r in records if r and r.intent.makes_order), FOREIGN)


def orders_and_intents(ledger: Orders, venue_ids: Collection[str]) -> OrderOwners:
    chains = ledger.order_chains(venue_ids) if venue_ids else {}
    names = {order.client_order_id for chain in chains.values() for order in chain}
    return OrderOwners(chains, ledger.recorded_intents(names) if names else {})


def known_orders(ledger: Orders, venue_ids: Collection[str]) -> Mapping[str, Order]:
    """Return the orders with these venue ids that are in the books, by venue id."""
    return OrderOwners(ledger.order_chains(venue_ids) if venue_ids else {}, {}).orders_by_id


def is_ahead(at: datetime, sent: datetime | None, now: datetime) -> bool:
    """Return True if a time is later than anything that can have happened to an order; clocks may be off by a day."""
    return at > max(now, sent or now) + LEEWAY


def _fills_since(ledger: Money, now: datetime) -> datetime | None:
    # The venue may list a fill late, or in a row that can't be read today; known ones are recognized by their ids.
    # Count only fills that the venue reported: a fill written by a person or an activity doesn't show what the venue
    # has listed.
    last, opened = ledger.last_reported_fill(now), ledger.books_opened_at()
    return opened if last is None or opened is None else max(opened, last - WATCHED)


def _believable(ledger: Ledger, behind: OrderOwners, fills: Collection[Fill], now: datetime) -> Iterator[Fill]:
    """Yield the fills that their orders allow; fills of orders that are some days old are accepted as reported."""
    orders = {order.venue_id: order for order in ledger.orders(since=now - WATCHED)}
    filled = dict(ledger.filled_quantities({fill.venue_order_id for fill in fills}))
    for fill in fills:
        order, before = orders.get(fill.venue_order_id), filled.get(fill.venue_order_id, Decimal(0))
        intent_record = behind.intents.get(order.client_order_id) if order else None
        if order and intent_record and not _matches_order(fill, order, intent_record.intent, before, now):
            continue
        filled[fill.venue_order_id] = before + fill.quantity
        yield fill


def _matches_order(fill: Fill, order: Order, intent: Intent, filled: Decimal, now: datetime) -> bool:
    """Return True if a fill fits one of our orders whose other fills add up to `filled`."""
    same_trade = (fill.symbol, fill.side) in ((order.symbol, order.side), (intent.instrument.symbol, intent.side))
    fits = filled + fill.quantity <= max(order.quantity or Decimal(0), intent.quantity)
    return same_trade and fits and not is_ahead(fill.at, order.submitted_at, now)


LISTED_BEFORE = timedelta(days=1)
"""How long before its first fill an order may have been sent; the list of orders is read from then on."""

ASKED_SINGLY = 5
"""If more orders than this are unknown, or ended unreported, fetch a list of orders first."""

ASKED_AT_ONCE = 50
"""How many orders a pass looks up one by one, at most. The next passes look up the rest."""


def find_orders_behind_fills(
    reader: BrokerReader, behind: OrderOwners, fills: Iterable[OwnedFill]
) -> tuple[Sequence[Order], int]:
    """Look up the orders behind foreign fills, except for orders that are in the books (`behind`).

    Also return for how many of these orders the venue hasn't answered. The pass goes on without them, and every pass
    looks them up again until they are found.
    """
    # Fills that the venue made itself, such as liquidations, have no order.
    others = (owned for owned in fills if owned.strategy == FOREIGN and not owned.fill.by_venue)
    foreign = {owned.fill.venue_order_id: owned.fill.at for owned in others if owned.fill.venue_order_id}
    orders_behind = behind.orders_by_id
    unknown = {venue_id: at for venue_id, at in foreign.items() if venue_id not in orders_behind}
    listed: dict[str, Order] = {}
    if len(unknown) > ASKED_SINGLY:
        listed = {order.venue_id: order for order in reader.ended(min(unknown.values()) - LISTED_BEFORE)}
    orders = [listed[venue_id] for venue_id in unknown if venue_id in listed]
    singly, answered = [venue_id for venue_id in unknown if venue_id not in listed], 0
    for venue_id in singly[:ASKED_AT_ONCE]:
        with suppress(TradebotError):
            order = reader.follower(venue_id)
            orders += [order] if order else []
            answered += 1
    return orders, len(singly) - answered


class Liquidated(NamedTuple):
    """A liquidation or settlement, and the strategies whose lots it closed; none if that isn't proven."""

    fill: Fill
    strategies: tuple[str, ...]


def liquidated_lots(
    reader: BrokerReader, ledger: Money, owned_fills: Iterable[OwnedFill], waiting: Sequence[Fill]
) -> Iterator[OwnedFill]:
    """Assign the `waiting` fills, which the venue made itself, to the strategies whose lots they closed.

    Yield the fills that move them to these strategies. Each symbol takes one request. `owned_fills` are the fills that
    aren't in the ledger yet.
    """
    if not waiting:
        return
    totals, acknowledged = (
        ledger.totals().after(sorted(owned_fills, key=lambda owned: owned.fill.at)),
        ledger.acknowledged(),
    )
    by_symbol = groupby(sorted(waiting, key=lambda fill: (fill.symbol, fill.at)), attrgetter("symbol"))
    for symbol, fills in [(symbol, tuple(fills)) for symbol, fills in by_symbol]:
        if _closed_ours(reader, totals, acknowledged, symbol, fills):
            for fill in fills:
                closed = tuple(_of_oldest_lots(totals, fill))
                yield from closed
                totals = totals.after(closed)


def _closed_ours(
    reader: BrokerReader, totals: Totals, acknowledged: Mapping[str, Decimal], symbol: str, fills: Sequence[Fill]
) -> bool:
    """Return True if nobody else holds the symbol, and venue and books agree after these liquidations."""
    others = totals.foreign_quantities(acknowledged).get(symbol, Decimal(0))
    if others != sum(fill.signed_quantity for fill in fills):
        return False
    # Without a reply, the next pass queries again.
    return totals.quantities(acknowledged).get(symbol, Decimal(0)) == held_at_broker(reader, symbol)


def held_at_broker(reader: BrokerReader, symbol: str) -> Decimal | None:
    """Fetch the venue's signed position in one symbol; None if it doesn't answer."""
    try:
        position = reader.position(symbol)
    except TradebotError:
        return None
    return position.quantity if position else Decimal(0)


def _of_oldest_lots(totals: Totals, fill: Fill) -> Iterator[OwnedFill]:
    """Yield one part for each strategy with lots on the other side, in the order of its oldest lot."""
    lots = sorted(
        (lot.at, position.strategy, abs(lot.quantity))
        for position in totals.own_positions()
        for lot in position.lots
        if position.symbol == fill.symbol and lot.quantity * fill.side.sign < 0
    )
    remaining, closed = fill.quantity, dict[str, Decimal]()
    for _, strategy, quantity in lots:
        part = min(remaining, quantity)
        closed[strategy] = closed.get(strategy, Decimal(0)) + part
        remaining -= part
    parts = ((strategy, replace(fill, quantity=quantity)) for strategy, quantity in closed.items() if quantity)
    yield from (OwnedFill(*part) for part in parts)


def find_liquidations(fills: Iterable[OwnedFill], owned_fills: Sequence[OwnedFill]) -> Iterator[Liquidated]:
    """Yield the venue's own fills among `fills`, with the strategies to which `owned_fills` moved them."""
    for owned in fills:
        if owned.fill.by_venue:
            own = [owned_fill.strategy for owned_fill in owned_fills if owned_fill.about == owned.fill.activity_id]
            yield Liquidated(owned.fill, tuple(name for name in (owned.strategy, *own) if name != FOREIGN))


def is_waiting(owned: OwnedFill) -> bool:
    """Return True if a fill that the venue made itself still counts as foreign."""
    return bool(owned.fill.by_venue) and owned.strategy == FOREIGN
