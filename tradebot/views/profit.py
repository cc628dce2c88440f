"""Profit of an account, computed from its ledger."""

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct

from tradebot.model.totals import Totals
from tradebot.model.venue import Settlement


class Profit(Struct, frozen=True, omit_defaults=True):
    """Profit in USD, computed from the ledger; `fees` were paid with fills.

    `position_value` is what positions add to the cash: their value, or in a margined account their unrealized profit.
    """

    opening_cash: Decimal
    cash: Decimal
    position_value: Decimal
    realized: Decimal
    unrealized: Decimal
    fees: Decimal = Decimal(0)

    @property
    def equity(self) -> Decimal:
        return self.cash + self.position_value

    @property
    def total(self) -> Decimal:
        return self.realized + self.unrealized - self.fees


def profit(
    opening_cash: Decimal,
    totals: Totals,
    marks: Mapping[str, Decimal],
    adjustments: Decimal = Decimal(0),
    settlement: Settlement = Settlement.PAID,
) -> Profit:
    """Return the profit of all fills, valuing open positions at `marks` (USD per share, one for each held symbol)."""
    positions = totals.positions.values()
    value = sum((p.value_at(marks[p.symbol]) for p in positions if p.quantity), Decimal(0))
    realized, unrealized = sum((p.realized_pnl for p in positions), Decimal(0)), value - totals.cost
    cash = totals.cash(opening_cash, settlement) + adjustments
    added = unrealized if settlement is Settlement.MARGINED else value
    return Profit(opening_cash, cash, added, realized, unrealized, totals.fees)
