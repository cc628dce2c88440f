"""The books as they were before a booking."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from msgspec import Struct, field

from tradebot.model.account import Booking
from tradebot.model.position import OwnedFill, Position
from tradebot.model.totals import Totals

_ZERO = Decimal(0)


class BooksBefore(Struct, frozen=True):
    """The books before a booking: the fills of its symbols, oldest first, and acknowledged foreign positions.

    `paid` is the cash that earlier corrections have moved, by their ids.
    """

    fills: tuple[OwnedFill, ...]
    acknowledged: Mapping[str, Decimal]
    paid: Mapping[str, Decimal] = field(default_factory=dict)

    def after(self, booking: Booking) -> "BooksBefore":
        fills = (*self.fills, *booking.fills)
        acknowledged = {**self.acknowledged, **dict(booking.acknowledged)}
        return BooksBefore(tuple(sorted(fills, key=lambda owned: owned.fill.at)), acknowledged, self.paid)

    def total(self, symbol: str) -> Decimal:
        """Return the signed shares of a symbol over all owners."""
        filled = sum((o.fill.signed_quantity for o in self.fills if o.fill.symbol == symbol), _ZERO)
        return filled + self.acknowledged.get(symbol, _ZERO)

    def positions(self, symbol: str, at: datetime) -> list[Position]:
        """Return each owner's open position in a symbol at a moment, without acknowledged foreign positions."""
        fills = (owned for owned in self.fills if owned.fill.symbol == symbol and owned.fill.at <= at)
        return [position for position in Totals.of(fills).positions.values() if position.quantity]
