"""The broker's view of the account at one moment."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tradebot.model.instrument import AssetClass
from tradebot.model.order import Order

OPTION_MULTIPLIER = 100
"""Shares of a standard US option contract, for a position that came without a market value."""


@dataclass(frozen=True, slots=True)
class Account:
    """Account figures in USD; `blocked` names the venue's own blocks that are set."""

    number: str
    status: str
    cash: Decimal
    equity: Decimal
    last_equity: Decimal
    buying_power: Decimal
    blocked: tuple[str, ...]

    @property
    def tail(self) -> str:
        """Return the last four characters of the number, for people and documents."""
        return self.number[-4:]


@dataclass(frozen=True, slots=True)
class EquityPeak:
    """The highest equity that is believed, and a jump that waits to be seen again (zero where none does), USD."""

    highest: Decimal
    seen_once: Decimal


@dataclass(frozen=True, slots=True)
class BrokerPosition:
    """The broker's net position in one instrument: signed quantity, with value and price where it gave them."""

    symbol: str
    asset_class: AssetClass
    quantity: Decimal
    average_price: Decimal
    market_value: Decimal | None
    current_price: Decimal | None = None

    @property
    def value(self) -> Decimal:
        """Return the signed value in USD: the venue's own, or what the position cost where it gave none."""
        return self.value_at(self.average_price) if self.market_value is None else self.market_value

    def value_at(self, price: Decimal) -> Decimal:
        """Return the signed value in USD at a price for one share, or for one share of a contract."""
        multiplier = OPTION_MULTIPLIER if self.asset_class is AssetClass.US_OPTION else 1
        return self.quantity * price * multiplier


@dataclass(frozen=True, slots=True)
class Worth:
    """What cash and positions add up to in USD; `at_cost` is how much of it is positions without a market value."""

    total: Decimal
    at_cost: Decimal


@dataclass(frozen=True, slots=True)
class BrokerView:
    """One reading of the broker; `unreadable` counts the rows that could not be read.

    `steady` is False where our own orders moved during each attempt, so positions and orders may be of two moments.
    """

    at: datetime
    account: Account
    positions: tuple[BrokerPosition, ...]
    orders: tuple[Order, ...]
    unreadable: int = 0
    steady: bool = True
