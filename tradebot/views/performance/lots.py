"""Lots: the pieces in which positions were bought and closed, first in, first out, with the fills of both ends."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from tradebot.model.candidate import Side
from tradebot.model.origin import Origin
from tradebot.model.position import Key, OwnedFill
from tradebot.model.trade import by_position, divided, together

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class OpenLot:
    """A piece of a position that is still held: `quantity` is unsigned, and prices are in USD per share.

    A split restates the quantity and the price, and a rename the symbol; `opened_at` and the entry's ids stay.
    `trade` names the position by strategy, symbol and opening time. `trip` counts the positions of one strategy in one
    symbol from 0, because two of them may be opened at the same instant.
    """

    strategy: str
    symbol: str
    side: Side
    quantity: Decimal
    opened_at: datetime
    entry_price: Decimal
    entry_fill: str
    entry_order: str
    entry_origin: Origin
    trade: Key
    trip: int

    @property
    def cost_usd(self) -> Decimal:
        """Return what the piece was bought or sold short for, unsigned."""
        return self.quantity * self.entry_price


@dataclass(frozen=True, slots=True)
class ClosedLot:
    """A piece of a position that one fill closed; see OpenLot. An order's id is empty if no order made the fill.

    Quantity and prices are in the shares of its last day: a later split doesn't restate them.
    """

    strategy: str
    symbol: str
    side: Side
    quantity: Decimal
    opened_at: datetime
    entry_price: Decimal
    entry_fill: str
    entry_order: str
    entry_origin: Origin
    trade: Key
    trip: int
    closed_at: datetime
    exit_price: Decimal
    exit_fill: str
    exit_order: str
    origin: Origin

    @property
    def gross_usd(self) -> Decimal:
        """Return the profit of the piece before fees."""
        return self.side.sign * self.quantity * (self.exit_price - self.entry_price)

    @property
    def sold_usd(self) -> Decimal:
        """Return the value of the piece's sale, unsigned: at its exit if it was bought, at its entry if sold short."""
        return self.quantity * (self.exit_price if self.side is Side.BUY else self.entry_price)

    @property
    def sold_at(self) -> datetime:
        """Return when the piece was sold: at its exit if it was bought, at its entry if sold short."""
        return self.closed_at if self.side is Side.BUY else self.opened_at


class Lots(NamedTuple):
    """The pieces of positions that were closed, and those that are still held, each the oldest first."""

    closed: tuple[ClosedLot, ...]
    held: tuple[OpenLot, ...]


def lots_of(fills: Iterable[OwnedFill]) -> Lots:
    """Return each piece of our positions as it was closed, first in, first out within its strategy, and what is held.

    The fills must be in the order of the books, and begin where each of these positions was flat. The gross of the
    closed pieces of one position is its `Trade.realized_before_fees_usd`.
    """
    closed, held = list[ClosedLot](), list[OpenLot]()
    for of_one in by_position(fills).values():
        ended, left = _fold(of_one)
        closed += ended
        held += left
    return Lots(
        tuple(sorted(closed, key=lambda lot: lot.closed_at)), tuple(sorted(held, key=lambda lot: lot.opened_at))
    )


def _fold(fills: Sequence[OwnedFill]) -> tuple[list[ClosedLot], list[OpenLot]]:
    """Return the closed and the open pieces of one strategy in one symbol."""
    closed, lots, trips = list[ClosedLot](), list[OpenLot](), 0
    for group in together(fills):
        # A fill alone never restates.
        restating, traded = divided(_held(lots), group) if len(group) > 1 else ([], group)
        if restating:
            lots = _restated(lots, restating)
        for owned in traded:
            gone, lots = _after(lots, owned, trips)
            closed += [_closed(lot, owned) for lot in gone]
            # All that is held at one time is of one trip.
            trips = max(trips, lots[0].trip + 1) if lots else trips
    return closed, lots


def _held(lots: Sequence[OpenLot]) -> Decimal:
    return sum((lot.quantity * lot.side.sign for lot in lots), _ZERO)


def _after(lots: Sequence[OpenLot], owned: OwnedFill, trips: int) -> tuple[list[OpenLot], list[OpenLot]]:
    """Return the pieces that one fill closes, and those that are held after it."""
    fill, gone, kept = owned.fill, list[OpenLot](), list(lots)
    if lots and lots[0].side is not fill.side:
        gone, kept = _taken(lots, fill.quantity)
    rest = fill.quantity - sum((lot.quantity for lot in gone), _ZERO)
    if rest:
        trade, trip = (kept[0].trade, kept[0].trip) if kept else ((owned.strategy, fill.symbol, fill.at), trips)
        kept.append(_opened(owned, rest, trade, trip))
    return gone, kept


def _taken(lots: Sequence[OpenLot], quantity: Decimal) -> tuple[list[OpenLot], list[OpenLot]]:
    """Return the oldest pieces of `quantity` shares together, and the others."""
    taken, others = list[OpenLot](), list[OpenLot]()
    for lot in lots:
        part = min(lot.quantity, quantity)
        quantity -= part
        if part:
            taken.append(lot if part == lot.quantity else replace(lot, quantity=part))
        if part < lot.quantity:
            others.append(replace(lot, quantity=lot.quantity - part) if part else lot)
    return taken, others


def _opened(owned: OwnedFill, quantity: Decimal, trade: Key, trip: int) -> OpenLot:
    fill = owned.fill
    return OpenLot(
        owned.strategy,
        fill.symbol,
        fill.side,
        quantity,
        fill.at,
        fill.price,
        fill.activity_id,
        fill.venue_order_id,
        owned.origin,
        trade,
        trip,
    )


def _closed(lot: OpenLot, owned: OwnedFill) -> ClosedLot:
    fill = owned.fill
    return ClosedLot(
        lot.strategy,
        lot.symbol,
        lot.side,
        lot.quantity,
        lot.opened_at,
        lot.entry_price,
        lot.entry_fill,
        lot.entry_order,
        lot.entry_origin,
        lot.trade,
        lot.trip,
        fill.at,
        fill.price,
        fill.activity_id,
        fill.venue_order_id,
        owned.origin,
    )


def _restated(lots: Sequence[OpenLot], restating: Sequence[OwnedFill]) -> list[OpenLot]:
    """Return the pieces after a split: the new shares and prices, each with the entry of the piece that it was."""
    after = list(lots)
    for owned in restating:
        after = _after(after, owned, 0)[1]
    before, held = sum((lot.quantity for lot in lots), _ZERO), sum((lot.quantity for lot in after), _ZERO)
    restated, done = list[OpenLot](), _ZERO
    for lot in after:
        # The middle of a piece lies in the piece that it was, even where shares were rounded.
        was = _at(lots, (done + lot.quantity / 2) * before / held)
        restated.append(replace(was, quantity=lot.quantity, entry_price=lot.entry_price))
        done += lot.quantity
    return restated


def _at(lots: Sequence[OpenLot], share: Decimal) -> OpenLot:
    """Return the piece in which a share lies, counted from the oldest."""
    reached = _ZERO
    for lot in lots:
        reached += lot.quantity
        if share < reached:
            return lot
    return lots[-1]
