"""Instruments, and the one function that turns a quantity and a price into money."""

from datetime import date
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum
from fractions import Fraction
from typing import TypeVar

from msgspec import Struct

Number = TypeVar("Number", Decimal, Fraction, float, int)
ONE = Decimal(1)
"""What shares are multiplied by."""
CURRENCY = "USD"
"""The currency of the books. An amount in another one is kept and shown as it is, and never added to theirs."""


def notional(quantity: Number, price: Number, multiplier: Number) -> Number:
    """Return what a quantity is worth at a price, with its sign: quantity x price x multiplier.

    The multiplier is what one unit is worth if its price is 1: 1 for shares, 50 USD for a contract of 50 USD a point.
    With a difference between two prices, it is what the quantity gains between them. Nothing else multiplies these.
    """
    return quantity * price * multiplier


class AssetClass(StrEnum):
    """The asset classes a broker may report. We trade only US_EQUITY; we reconcile the others but never touch them."""

    US_EQUITY = "us_equity"
    US_OPTION = "us_option"
    CRYPTO = "crypto"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> "AssetClass":
        return cls.UNKNOWN


class Right(StrEnum):
    """The right of an option."""

    CALL = "call"
    PUT = "put"


class Instrument(Struct, frozen=True):
    """One tradable thing at one venue; prices are per unit in `currency`."""

    symbol: str
    asset_class: AssetClass = AssetClass.US_EQUITY
    underlying: str | None = None
    expiry: date | None = None
    strike: Decimal | None = None
    right: Right | None = None
    multiplier: Decimal = Decimal(1)
    tick: Decimal = Decimal("0.01")
    lot: Decimal = Decimal(1)
    currency: str = "USD"
    calendar: str = "XNYS"

    def notional(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Return what a quantity is worth at a price, in the instrument's currency, with the sign of the quantity."""
        return notional(quantity, price, self.multiplier)


def whole_lots(instrument: Instrument, quantity: Decimal) -> Decimal:
    """Return a signed quantity rounded toward zero to whole lots."""
    return (quantity / instrument.lot).to_integral_value(rounding=ROUND_DOWN) * instrument.lot
