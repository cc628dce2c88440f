"""The broker's view of the account at one moment."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tradebot.model.instrument import AssetClass
from tradebot.model.order import Order


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
class BrokerPosition:
    """The broker's net position in one instrument: signed quantity, and its market value where it gave one."""

    symbol: str
    asset_class: AssetClass
    quantity: Decimal
    average_price: Decimal
    market_value: Decimal | None


@dataclass(frozen=True, slots=True)
class BrokerView:
    """One consistent reading of the broker; `unreadable` counts the rows that could not be read."""

    at: datetime
    account: Account
    positions: tuple[BrokerPosition, ...]
    orders: tuple[Order, ...]
    unreadable: int = 0
