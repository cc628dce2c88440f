"""Instruments, and the one function that turns a quantity and a price into money."""

from datetime import date
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum

from msgspec import Struct


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


def notional(instrument: Instrument, quantity: Decimal, price: Decimal) -> Decimal:
    """Return quantity x price x multiplier in the instrument's currency, with the sign of the quantity."""
    return quantity * price * instrument.multiplier


def whole_lots(instrument: Instrument, quantity: Decimal) -> Decimal:
    """Return a signed quantity rounded toward zero to whole lots."""
    return (quantity / instrument.lot).to_integral_value(rounding=ROUND_DOWN) * instrument.lot
