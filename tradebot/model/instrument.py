"""What is traded, and the one place where a quantity and a price become money."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum


class AssetClass(StrEnum):
    """The kinds that a broker may report. Only US_EQUITY is traded; the others reconcile untouched."""

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


@dataclass(frozen=True, slots=True)
class Instrument:
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
    """Return quantity x price x multiplier in the instrument's currency, signed as the quantity is."""
    return quantity * price * instrument.multiplier
