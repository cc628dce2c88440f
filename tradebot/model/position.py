"""Positions and cash, computed exactly as folds over fills, first in, first out.

The same fold computes a position's history: its original quantity, its cost and profit, and each round trip of the last
month. A split scales the original quantity by its ratio. A rename also moves the shares that were already closed, as a
lot that is closed at once. Only the best and worst prices are stored separately, because no fill contains them.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from tradebot.model.candidate import Component, ScaleOutLevel, Side
from tradebot.model.instrument import ONE, Instrument, notional
from tradebot.model.order import Fill
from tradebot.model.struct_tools import replace


class Origin(StrEnum):
    """What wrote a fill, a cash movement or a note about foreign shares.

    The parentheses after each origin say what `about` contains. VENUE is an execution. PLAN is an accepted plan (its
    id). ADOPTION takes a position over or leaves it alone (its symbol). ACTIVITY is one of the broker's account
    activities (its id). GIVEN_BACK moves a fill to its owner (the fill's id). TAKEN_OVER adds the shares that one of
    our orders traded before the books began (the order's venue id). ASSUMED is a close that nobody saw, booked at the
    price of the order that was resting (its venue id). STATEMENT is the fill that an account statement proves instead
    (the assumed fill's id).
    """

    VENUE = "venue"
    PLAN = "plan"
    ADOPTION = "adoption"
    ACTIVITY = "activity"
    GIVEN_BACK = "given_back"
    TAKEN_OVER = "taken_over"
    ASSUMED = "assumed"
    STATEMENT = "statement"
    UNKNOWN = "unknown"


class ExitInputs(Struct, frozen=True, array_like=True):
    """What exit rules know about a symbol with a position; None and empty mean unknown.

    `scores` are the scores that its strategy gave the symbol since the position was opened: one for each entry pass,
    oldest first, in -1..1 with the sign of the direction. `noise` is the standard deviation of the change from one
    score to the next over the stored sessions. `flow` is the current direction of options flow, in -1..1.
    `open_interest_kept` is the share of the contracts behind the entry that were still open the next morning. `regime`
    is the market's regime by name. `event_at` is when the next event of the company is due. `momentum` is the return of
    the last hour, and `movement` the distance from the highest to the lowest price since the position was opened, both
    as fractions. `liquidation` is the distance from the mark to the liquidation price, as a fraction of the mark.
    """

    scores: tuple[float, ...] = ()
    noise: float | None = None
    flow: float | None = None
    open_interest_kept: Decimal | None = None
    regime: str | None = None
    event_at: datetime | None = None
    momentum: Decimal | None = None
    movement: Decimal | None = None
    liquidation: Decimal | None = None


ZERO, NINE_PLACES = Decimal(0), Decimal("1e-9")
FOREIGN = ""
"""The strategy name of positions that aren't ours. They count toward limits and are never managed."""


Key = tuple[str, str, datetime]
"""The key of an open position: its strategy, its symbol, and when it was opened."""


class Lot(Struct, frozen=True, array_like=True):
    """An open piece of a position: signed quantity, entry price, entry time."""

    quantity: Decimal
    price: Decimal
    at: datetime


class Position(Struct, frozen=True, array_like=True):
    """One strategy's position in one symbol; `realized_pnl` is in USD over the whole ledger.

    `entered_at` is when the position last left zero or changed sides; a partial close doesn't change it. `traded_at` is
    the time of its last fill that no activity explains, `lost_at` the time of the last fill that closed shares at a
    loss. `closed_at` is when its last shares were gone, for whatever reason; None while it is open.

    The following fields are about the time since it was entered, and keep their values until it is entered again.
    `original_quantity` is how many shares were bought or sold short in all, unsigned; a split scales it by its ratio.
    `lost_quantity` is how many of them were closed at a loss. `entry_cost` is the cost or proceeds of all of them in
    USD. `realized_before` is the `realized_pnl` at entry. `entered_by` is the activity that brought the shares under
    this symbol, such as a rename, or empty. `multiplier` is copied from the fill that entered it.
    """

    strategy: str
    symbol: str
    lots: tuple[Lot, ...]
    realized_pnl: Decimal
    entered_at: datetime | None = None
    traded_at: datetime | None = None
    original_quantity: Decimal = Decimal(0)
    entry_cost: Decimal = Decimal(0)
    realized_before: Decimal = Decimal(0)
    entered_by: str = ""
    lost_at: datetime | None = None
    closed_at: datetime | None = None
    multiplier: Decimal = ONE
    lost_quantity: Decimal = Decimal(0)

    @property
    def quantity(self) -> Decimal:
        # Most positions have one lot, and a pass reads this thirty times for each.
        return self.lots[0].quantity if len(self.lots) == 1 else sum((lot.quantity for lot in self.lots), ZERO)

    @property
    def cost(self) -> Decimal:
        """Return the cost of the open lots in USD, with the sign of the quantity."""
        return sum((notional(lot.quantity, lot.price, self.multiplier) for lot in self.lots), ZERO)

    def value_at(self, price: Decimal) -> Decimal:
        """Return the signed value in USD at a price."""
        return notional(self.quantity, price, self.multiplier)

    @property
    def average_price(self) -> Decimal:
        """Return the average entry price. The position must be open."""
        return self.lots[0].price if len(self.lots) == 1 else self.cost / self.value_at(ONE)

    @property
    def holding(self) -> tuple[str, str]:
        """Return the strategy and the symbol of the position."""
        return self.strategy, self.symbol

    @property
    def key(self) -> Key:
        """Return the key that identifies the position while it is open."""
        return self.strategy, self.symbol, self.opened_at

    @property
    def opened_at(self) -> datetime:
        """Return when the position was opened. The position must be open."""
        assert self.entered_at is not None, f"{self.symbol} has no position"
        return self.entered_at


class RoundTrip(Struct, frozen=True, array_like=True):
    """A position that was opened and closed again.

    `profit` is in USD, negative for a loss, before the broker's fees; `cost` is the cost or short proceeds of all its
    shares in USD, unsigned.
    """

    strategy: str
    symbol: str
    closed_at: datetime
    profit: Decimal
    cost: Decimal
    opened_at: datetime


class Marks(Struct, frozen=True):
    """The best and the worst price of a position in USD; `worst` is None if an earlier version stored only the best."""

    best: Decimal
    worst: Decimal | None


class EntryTerms(Struct, frozen=True):
    """The stored terms of an open position, apart from its fills.

    `best` and `worst` are the best and the worst price seen since it was opened, or None before the first check. The
    fractions of the stop and the target are the distances from the entry price that the entry set; None if it set none.
    `atr_fraction` is the average true range at entry, and `invalid_fraction` the distance at which the reason for the
    trade is gone, both as fractions of the entry price; None if not given. `entry_score` and `components` come from its
    entry. `original_quantity` is how many shares were bought or sold short in all since it was opened, unsigned.
    `targets` are the entry's own scale-out levels. `instrument` is that of the opening order, or None; in a pass, it is
    the instrument as the venue lists it now. Only a pass knows the `minimum`, the smallest quantity of an order. It is
    `turned` if one of our closing orders opened it, because the shares were already gone when that order filled.
    `cluster` is the setup that its entry named, or empty. `first_gain` is the gain at the midpoint when a pass with a
    quote first saw the position, as a fraction of its price; None before that. `worst_price` is the price in USD at
    which the gates computed the entry's cost and risk.
    """

    best: Decimal | None = None
    stop_loss_fraction: Decimal | None = None
    profit_target_fraction: Decimal | None = None
    worst: Decimal | None = None
    entry_score: float | None = None
    components: tuple[Component, ...] = ()
    original_quantity: Decimal | None = None
    targets: tuple[ScaleOutLevel, ...] = ()
    instrument: Instrument | None = None
    turned: bool = False
    atr_fraction: Decimal | None = None
    invalid_fraction: Decimal | None = None
    cluster: str = ""
    first_gain: Decimal | None = None
    minimum: Decimal | None = None
    worst_price: Decimal | None = None


def complete(terms: EntryTerms | None, position: Position) -> EntryTerms:
    """Return the stored terms of an open position, completed from its fills; empty terms if none are stored."""
    return replace(terms or EntryTerms(), original_quantity=position.original_quantity)


ADOPTED = "adopted"
"""The strategy name of adopted positions. Their lots are managed, and their profit is reported separately."""


class OwnedFill(Struct, frozen=True):
    """A fill with the strategy that owns it, its origin, and the record that it refers to."""

    strategy: str
    fill: Fill
    origin: Origin = Origin.VENUE
    about: str = ""


def round_to_nine_places(number: Decimal) -> Decimal:
    """Round a number to nine decimals, to drop digits that come only from a division."""
    return number.quantize(NINE_PLACES).normalize() + ZERO


def unreported_fill(
    owner: str,
    activity_id: str,
    symbol: str,
    change: Decimal,
    price: Decimal,
    multiplier: Decimal,
    at: datetime,
    origin: Origin = Origin.UNKNOWN,
    about: str = "",
) -> OwnedFill:
    """Build a fill that no venue reported: it changes a position by `change` signed shares and has no order."""
    side = Side.of(change)
    return OwnedFill(owner, Fill(activity_id, "", symbol, side, abs(change), price, at, multiplier), origin, about)


def apply_fill(position: Position, fill: Fill) -> Position:
    """Apply one fill to a position: it closes opposite lots first in, first out; any remainder opens a new lot."""
    old_lots, lots = position.lots, list(position.lots)
    remaining, realized = fill.signed_quantity, position.realized_pnl
    while remaining and lots and (lots[0].quantity > 0) != (remaining > 0):
        oldest = lots[0]
        closed = max(-remaining, oldest.quantity) if oldest.quantity < 0 else min(-remaining, oldest.quantity)
        realized += notional(closed, fill.price - oldest.price, position.multiplier)
        remaining += closed
        lots[0] = Lot(oldest.quantity - closed, oldest.price, oldest.at)
        if not lots[0].quantity:
            lots.pop(0)
    if remaining:
        lots.append(Lot(remaining, fill.price, fill.at))
    entered_at, multiplier = fill.at, fill.multiplier
    if _same_side(old_lots, lots):
        entered_at, multiplier = position.opened_at, position.multiplier
    # Totals over many years of fills call this, and `replace` would take most of the time.
    return Position(
        position.strategy,
        position.symbol,
        tuple(lots),
        realized,
        entered_at if lots else None,
        position.traded_at,
        position.original_quantity,
        position.entry_cost,
        position.realized_before,
        position.entered_by,
        position.lost_at,
        None if lots else fill.at,
        multiplier,
        position.lost_quantity,
    )


def add(position: Position, owned: OwnedFill) -> Position:
    """Apply one fill of the position's owner, and update the counts since the entry.

    A split opens new lots before it closes the old ones, so each of its fills scales the original quantity in the same
    proportion as the quantity. A rename moves all shares to the new symbol, even those already closed, so its fills
    count like any others.
    """
    fill, after = owned.fill, apply_fill(position, owned.fill)
    of_activity = owned.origin is Origin.ACTIVITY
    traded_at = position.traded_at if of_activity else fill.at
    loses = after.realized_pnl < position.realized_pnl
    lost_at = fill.at if loses else position.lost_at
    original, lost, cost = position.original_quantity, position.lost_quantity, position.entry_cost
    if after.lots and not _same_side(position.lots, after.lots):
        return replace(
            after,
            traded_at=traded_at,
            lost_at=lost_at,
            original_quantity=abs(after.quantity),
            entry_cost=abs(after.cost),
            realized_before=after.realized_pnl,
            entered_by=owned.about if of_activity else "",
            lost_quantity=ZERO,
        )
    if after.lots:
        old_quantity, holds = abs(position.quantity), abs(after.quantity)
        if of_activity and owned.about != position.entered_by:
            original, lost = (round_to_nine_places(count * holds / old_quantity) for count in (original, lost))
        else:
            original += max(holds - old_quantity, ZERO)
            lost += max(old_quantity - holds, ZERO) if loses else ZERO
            cost += (
                notional(holds - old_quantity, fill.price, fill.multiplier)
                if of_activity or holds > old_quantity
                else ZERO
            )
    return replace(
        after,
        traded_at=traded_at,
        lost_at=lost_at,
        original_quantity=original,
        entry_cost=cost,
        lost_quantity=lost,
    )


def round_trip(before: Position, after: Position, owned: OwnedFill) -> RoundTrip | None:
    """Return the round trip that a fill completed, if the position was ours; otherwise None.

    Shares that leave without an execution and without a profit or loss were only moved, as by a rename.
    """
    if before.strategy == FOREIGN or not before.lots or _same_side(before.lots, after.lots):
        return None
    profit = after.realized_pnl - before.realized_before
    if not profit and owned.origin is not Origin.VENUE:
        return None
    return RoundTrip(before.strategy, before.symbol, owned.fill.at, profit, before.entry_cost, before.opened_at)


def _same_side(before: Sequence[Lot], after: Sequence[Lot]) -> bool:
    return bool(before) and bool(after) and (before[0].quantity > 0) == (after[0].quantity > 0)
