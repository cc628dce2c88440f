"""Compute lots and trades: each position piece by piece, in one fold over fills, never from quotes."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import accumulate
from typing import NamedTuple

from msgspec import Struct, field
from msgspec.structs import astuple

from tradebot.model.candidate import Side
from tradebot.model.instrument import ONE, notional
from tradebot.model.position import Key, Origin, OwnedFill, round_to_nine_places
from tradebot.model.struct_tools import replace
from tradebot.model.trade import Trade, fills_by_position, group_simultaneous, split_off_restatement

_ZERO = Decimal(0)


class OpenLot(Struct, frozen=True):
    """An open piece of a position: `quantity` is unsigned, and prices are in USD per share.

    A split restates the quantity and the price, and a rename the symbol; `opened_at` and the entry's ids stay. `trade`
    identifies the position by strategy, symbol and opening time; two of them may be opened at the same instant.
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
    multiplier: Decimal

    @property
    def cost_usd(self) -> Decimal:
        """Return the cost or short proceeds of the piece, unsigned."""
        return self.value_at(self.entry_price)

    @property
    def sold_at(self) -> datetime | None:
        """Return when the piece was sold: at its exit if bought first, at its entry if sold short; None if not yet."""
        return self.opened_at if self.side is Side.SELL else None

    @property
    def sold_usd(self) -> Decimal:
        """Return the value of the piece's sale, unsigned: at its exit if bought first, at its entry if sold short."""
        return self.cost_usd

    def value_at(self, price: Decimal) -> Decimal:
        """Return the unsigned value of the lot at a price in USD."""
        return notional(self.quantity, price, self.multiplier)

    def gain_at(self, price: Decimal) -> Decimal:
        """Return the piece's gain at a price in USD, before fees."""
        return notional(self.side.sign * self.quantity, price - self.entry_price, self.multiplier)


class ClosedLot(OpenLot, frozen=True):
    """A piece of a position that one fill closed, with its exit.

    An order's id is empty if no order made the fill. Quantity and prices are as of the day on which it was closed;
    later splits don't restate them.
    """

    closed_at: datetime
    exit_price: Decimal
    exit_fill: str
    exit_order: str
    origin: Origin
    by_venue: str

    @property
    def gross_usd(self) -> Decimal:
        return self.gain_at(self.exit_price)

    @property
    def sold_usd(self) -> Decimal:
        return self.value_at(self.exit_price if self.side is Side.BUY else self.entry_price)

    @property
    def sold_at(self) -> datetime:
        return self.closed_at if self.side is Side.BUY else self.opened_at


Owner = tuple[str, str]
"""The owner of a position and its symbol."""


class LotStep(NamedTuple):
    """A position's quantity after a fill, and that fill's cash in USD, negative for a purchase.

    `restated_at` is when the shares were last restated, as by a split.
    """

    at: datetime
    held: Sequence[OpenLot]
    cash_usd: Decimal
    restated_at: datetime | None


class Trip(NamedTuple):
    """A position from its first fill to its last: its closed pieces in the order of their exits, and its open ones.

    `trade` sums them up.
    """

    trade: Trade
    closed: Sequence[ClosedLot]
    held: Sequence[OpenLot]

    @property
    def lots(self) -> list[OpenLot]:
        return [*self.closed, *self.held]

    @property
    def first(self) -> OpenLot:
        return min(self.lots, key=lambda lot: lot.opened_at)


class Lots(NamedTuple):
    """The closed and open pieces of positions, and the positions that they belong to.

    Closed pieces are sorted by exit, open pieces and `trips` by entry, oldest first. `steps` are the quantities of each
    position after each of its fills, under its last symbol.
    """

    closed: tuple[ClosedLot, ...]
    held: tuple[OpenLot, ...]
    trips: tuple[Trip, ...]
    steps: Mapping[Owner, Sequence[LotStep]]


def lots_of(fills: Iterable[OwnedFill]) -> Lots:
    """Return each piece of our positions, closed first in, first out within its strategy, and the open ones.

    The fills must be in the order of the books, and begin where each of these positions was flat. The gross profit of
    the closed pieces of one position is its `Trade.realized_before_fees_usd`.
    """
    trips, steps = list[Trip](), dict[Owner, Sequence[LotStep]]()
    for owner, of_one in fills_by_position(fills).items():
        fold = _Fold()
        for group in group_simultaneous(of_one):
            fold.add(group)
        trips += [*fold.over, fold.going.trip(fold.lots)] if fold.lots else fold.over
        steps[owner] = fold.steps
    return Lots(
        tuple(sorted((lot for trip in trips for lot in trip.closed), key=lambda lot: lot.closed_at)),
        tuple(sorted((lot for trip in trips for lot in trip.held), key=lambda lot: lot.opened_at)),
        tuple(sorted(trips, key=lambda trip: trip.trade.opened_at)),
        steps,
    )


def trades(fills: Iterable[OwnedFill]) -> tuple[Trade, ...]:
    """Return a trade for each position of ours in these fills, in the order in which they were opened.

    The fills must be as for `lots_of`.
    """
    return tuple(trip.trade for trip in lots_of(fills).trips)


class _OpenTrip(Struct):
    """The open position: its closed pieces, and the totals of its fills, unsigned, in today's shares."""

    entered: Decimal = _ZERO
    paid: Decimal = _ZERO
    left: Decimal = _ZERO
    closed: list[ClosedLot] = field(default_factory=list)

    def restate(self, ratio: Decimal) -> None:
        self.entered, self.left = (round_to_nine_places(each * ratio) for each in (self.entered, self.left))

    def trip(self, open_lots: Sequence[OpenLot]) -> Trip:
        """Return the trade as a round trip; it has ended if no lots are open."""
        piece: OpenLot = open_lots[0] if open_lots else self.closed[0]
        received = realized = _ZERO
        for lot in self.closed:
            received += lot.value_at(lot.exit_price)
            realized += lot.gross_usd
        trade = Trade(
            strategy=piece.strategy,
            symbol=piece.symbol,
            side=piece.side,
            opened_at=piece.trade[2],
            closed_at=None if open_lots else self.closed[-1].closed_at,
            quantity=self.entered,
            closed_quantity=self.left,
            entry_price=self.paid / notional(self.entered, ONE, piece.multiplier),
            exit_price=received / notional(self.left, ONE, piece.multiplier) if self.left else None,
            realized_before_fees_usd=realized,
            exit_orders=tuple(dict.fromkeys(lot.exit_order for lot in self.closed if lot.exit_order)),
            reasons=(),
            entry_score=None,
            components=(),
            best=None,
            worst=None,
            multiplier=piece.multiplier,
        )
        return Trip(trade, self.closed, open_lots)


class _Fold:
    """The result of one strategy's fills in one symbol so far: closed positions and the open one."""

    def __init__(self) -> None:
        self.lots = list[OpenLot]()
        self.steps = list[LotStep]()
        self._restated_at: datetime | None = None
        self.over = list[Trip]()
        self.going = _OpenTrip()

    def add(self, group: list[OwnedFill]) -> None:
        # A single fill never restates.
        restating, traded = split_off_restatement(_signed_quantity(self.lots), group) if len(group) > 1 else ([], group)
        if restating:
            before = _signed_quantity(self.lots)
            self.lots = _restate_lots(self.lots, restating)
            self.going.restate(_signed_quantity(self.lots) / before)
            self._restated_at = restating[-1].fill.at
            cash_usd = sum((-owned.fill.notional for owned in restating), _ZERO)
            self.steps.append(LotStep(self._restated_at, self.lots, cash_usd, self._restated_at))
        for owned in traded:
            self._add(owned)

    def _add(self, owned: OwnedFill) -> None:
        fill, going = owned.fill, self.going
        gone, self.lots = _after(self.lots, owned)
        opened = fill.quantity
        if gone:
            closed = sum((lot.quantity for lot in gone), _ZERO)
            going.closed += [ClosedLot(*(*astuple(lot), *_fill_columns(owned), owned.fill.by_venue)) for lot in gone]
            going.left += closed
            opened -= closed
            if not self.lots or self.lots[0].side is fill.side:
                self.over.append(going.trip(()))
                self.going = going = _OpenTrip()
        if opened:
            going.entered += opened
            going.paid += notional(opened, fill.price, fill.multiplier)
        self.steps.append(LotStep(fill.at, self.lots, -fill.notional, self._restated_at))


def _signed_quantity(lots: Sequence[OpenLot]) -> Decimal:
    return sum((lot.quantity * lot.side.sign for lot in lots), _ZERO)


def _after(lots: list[OpenLot], owned: OwnedFill) -> tuple[list[OpenLot], list[OpenLot]]:
    """Return the pieces that one fill closes, and those open after it."""
    fill, gone, remaining = owned.fill, list[OpenLot](), owned.fill.quantity
    if lots and lots[0].side is not fill.side:
        gone, lots = _take_oldest(lots, remaining)
        remaining -= sum((lot.quantity for lot in gone), _ZERO)
    if remaining:
        lots = [*lots, open_lot(owned, remaining, lots[0].trade if lots else None)]
    return gone, lots


def _take_oldest(lots: list[OpenLot], quantity: Decimal) -> tuple[list[OpenLot], list[OpenLot]]:
    """Return the oldest pieces that add up to `quantity` shares, and the others."""
    if lots[0].quantity == quantity:
        return lots[:1], lots[1:]
    taken, others = list[OpenLot](), list[OpenLot]()
    for lot in lots:
        part = min(lot.quantity, quantity)
        quantity -= part
        if part:
            taken.append(lot if part == lot.quantity else replace(lot, quantity=part))
        if part < lot.quantity:
            others.append(replace(lot, quantity=lot.quantity - part) if part else lot)
    return taken, others


def _fill_columns(owned: OwnedFill) -> tuple[datetime, Decimal, str, str, Origin]:
    return owned.fill.at, owned.fill.price, owned.fill.activity_id, owned.fill.venue_order_id, owned.origin


def open_lot(owned: OwnedFill, quantity: Decimal | None = None, trade: Key | None = None) -> OpenLot:
    """Open a lot for a fill or part of it; it begins a new trade unless it belongs to one."""
    fill, strategy = owned.fill, owned.strategy
    trade, quantity = trade or (strategy, fill.symbol, fill.at), quantity or fill.quantity
    return OpenLot(strategy, fill.symbol, fill.side, quantity, *_fill_columns(owned), trade, fill.multiplier)


def _restate_lots(lots: list[OpenLot], restating: Sequence[OwnedFill]) -> list[OpenLot]:
    """Return the pieces after a split: the new shares and prices, each with its original entry."""
    after = lots
    for owned in restating:
        after = _after(after, owned)[1]
    reached, total = list(accumulate(lot.quantity for lot in lots)), sum((lot.quantity for lot in after), _ZERO)
    restated, done = list[OpenLot](), _ZERO
    for lot in after:
        # The middle of a new piece lies within its original piece, even where shares were rounded.
        index = bisect_right(reached, (done + lot.quantity / 2) * reached[-1] / total)
        was = lots[min(index, len(lots) - 1)]
        restated.append(replace(was, quantity=lot.quantity, entry_price=lot.entry_price))
        done += lot.quantity
    return restated
