"""Positions and cash, computed exactly as folds over fills, first in, first out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tradebot.model.candidate import Component, Side
from tradebot.model.order import Fill
from tradebot.model.origin import Origin
from tradebot.model.scale_out import ScaleOutLevel

FOREIGN = ""
"""The strategy name of positions that aren't ours. They count toward limits and are never managed."""


@dataclass(frozen=True, slots=True)
class Lot:
    """An open piece of a position: signed quantity, entry price, entry time."""

    quantity: Decimal
    price: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class Position:
    """What one strategy holds in one symbol; `realized_pnl` is in USD over the whole ledger.

    `entered_at` is when the position last left zero or changed sides; a partial close doesn't change it. `traded_at` is
    the time of its last fill that no activity explains.
    """

    strategy: str
    symbol: str
    lots: tuple[Lot, ...]
    realized_pnl: Decimal
    entered_at: datetime | None = None
    traded_at: datetime | None = None

    @property
    def quantity(self) -> Decimal:
        """Return the signed quantity held."""
        return sum((lot.quantity for lot in self.lots), Decimal(0))

    @property
    def cost(self) -> Decimal:
        """Return the cost of the open lots, with the sign of the quantity."""
        return sum((lot.quantity * lot.price for lot in self.lots), Decimal(0))

    @property
    def average_price(self) -> Decimal:
        """Return the average entry price. The position must be open."""
        return self.cost / self.quantity

    @property
    def opened_at(self) -> datetime:
        """Return when the position was opened. The position must be open."""
        assert self.entered_at is not None, f"{self.symbol} is not held"
        return self.entered_at


@dataclass(frozen=True, slots=True)
class Kept:
    """What the ledger keeps of an open position besides its fills.

    `best` and `worst` are the best and the worst price seen since it was opened, or None before the first look. The two
    fractions are the distances from the entry price at which the entry itself asked to be closed; None if it didn't.
    `entry_score` and `components` are those that it was opened for. `original_quantity` is how many shares were bought
    or sold short in all since it was opened, unsigned. `targets` are the levels at which the entry itself asked to be
    closed in parts.
    """

    best: Decimal | None = None
    stop_loss_fraction: Decimal | None = None
    profit_target_fraction: Decimal | None = None
    worst: Decimal | None = None
    entry_score: float | None = None
    components: tuple[Component, ...] = ()
    original_quantity: Decimal | None = None
    targets: tuple[ScaleOutLevel, ...] = ()


ADOPTED = "adopted"
"""The strategy name of adopted positions. Their lots are managed, and their profit is reported separately."""


@dataclass(frozen=True, slots=True)
class OwnedFill:
    """A fill with the strategy that it belongs to, where it comes from, and what it is about."""

    strategy: str
    fill: Fill
    origin: Origin = Origin.VENUE
    about: str = ""


def unreported_fill(
    owner: str,
    activity_id: str,
    symbol: str,
    change: Decimal,
    price: Decimal,
    at: datetime,
    origin: Origin = Origin.UNKNOWN,
    about: str = "",
) -> OwnedFill:
    """Return a fill that no venue reported: it changes a position by `change` signed shares and is of no order."""
    side = Side.BUY if change > 0 else Side.SELL
    return OwnedFill(owner, Fill(activity_id, "", symbol, side, abs(change), price, at), origin, about)


def apply_fill(position: Position, fill: Fill) -> Position:
    """Return the position after one fill: it closes opposite lots first in, first out; the rest opens a new lot."""
    lots = list(position.lots)
    left, realized = fill.signed_quantity, position.realized_pnl
    while left and lots and (lots[0].quantity > 0) != (left > 0):
        oldest = lots[0]
        closed = max(-left, oldest.quantity) if oldest.quantity < 0 else min(-left, oldest.quantity)
        realized += closed * (fill.price - oldest.price)
        left += closed
        lots[0] = Lot(oldest.quantity - closed, oldest.price, oldest.at)
        if not lots[0].quantity:
            lots.pop(0)
    if left:
        lots.append(Lot(left, fill.price, fill.at))
    entered_at = position.entered_at if position.lots and _same_side(position.lots, lots) else fill.at
    opened = entered_at if lots else None
    return Position(position.strategy, position.symbol, tuple(lots), realized, opened, position.traded_at)


def _same_side(before: Sequence[Lot], after: Sequence[Lot]) -> bool:
    return bool(after) and (before[0].quantity > 0) == (after[0].quantity > 0)
