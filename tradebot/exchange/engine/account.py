"""Cash, positions, and the margin that follows from them; exact, since fills are added and never rounded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from tradebot.exchange.market.bars import usd

MULTIPLIER = 2
"""Regulation T: two dollars of stock for each dollar of equity."""
_INITIAL = Decimal("0.5")
_MAINTENANCE_LONG = Decimal("0.25")
_MAINTENANCE_SHORT = Decimal("0.30")
_ZERO = Decimal(0)

Prices = Callable[[str], int]


@dataclass(slots=True)
class Position:
    """Shares held (negative when short) and their average entry price in USD."""

    symbol: str
    qty: Decimal
    average: Decimal


@dataclass(frozen=True, slots=True)
class Balances:
    """What an account is worth at given prices, in USD. Short values are negative."""

    cash: Decimal
    long_value: Decimal
    short_value: Decimal

    @property
    def equity(self) -> Decimal:
        """Return cash and positions together."""
        return self.cash + self.long_value + self.short_value

    @property
    def initial_margin(self) -> Decimal:
        """Return half of what is held, long and short."""
        return (self.long_value - self.short_value) * _INITIAL

    @property
    def maintenance_margin(self) -> Decimal:
        """Return a quarter of what is held long and three tenths of what is held short."""
        return self.long_value * _MAINTENANCE_LONG - self.short_value * _MAINTENANCE_SHORT

    def buying_power(self, reserved: Decimal) -> Decimal:
        """Return twice the equity beyond initial margin, less what open orders hold; never negative."""
        free = max(self.equity - self.initial_margin, _ZERO) * MULTIPLIER
        return max(free - reserved, _ZERO)


class Account:
    """The fold of all fills."""

    def __init__(self, cash: Decimal) -> None:
        self.cash = cash
        self.positions: dict[str, Position] = {}

    def qty(self, symbol: str) -> Decimal:
        """Return the signed shares held of a symbol."""
        held = self.positions.get(symbol)
        return held.qty if held else _ZERO

    def apply(self, symbol: str, signed_qty: Decimal, price: int) -> None:
        """Book one fill: shares against cash, the average entry price moved by what was added."""
        cost = usd(price)
        self.cash -= signed_qty * cost
        held = self.positions.get(symbol)
        if held is None:
            self.positions[symbol] = Position(symbol, signed_qty, cost)
            return
        total = held.qty + signed_qty
        if held.qty * signed_qty > 0:
            held.average = (held.average * held.qty + cost * signed_qty) / total
        held.qty = total
        if not total:
            del self.positions[symbol]

    def balances(self, prices: Prices) -> Balances:
        """Return what the account is worth at these prices."""
        values = [held.qty * usd(prices(held.symbol)) for held in self.positions.values()]
        return Balances(self.cash, _sum(v for v in values if v > 0), _sum(v for v in values if v < 0))


def _sum(values: Iterable[Decimal]) -> Decimal:
    return sum(values, _ZERO)
