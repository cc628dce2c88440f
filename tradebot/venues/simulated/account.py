"""Define the state of a simulated account, and the file that stores it between two passes."""

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from msgspec import Struct

from tradebot.adapters.state.safe_open import read_plain
from tradebot.adapters.state.state_folder import SIMULATED, cannot_write, write_durably
from tradebot.adapters.text.canonical import CodecError
from tradebot.adapters.text.codec import decode, encode
from tradebot.errors import DamagedBooksError
from tradebot.model.account import Activity
from tradebot.model.instrument import AssetClass, notional
from tradebot.model.order import Fill, Order

KEPT = timedelta(days=30)
"""How long ended orders, fills and activities are stored; the books have them much sooner."""
PLACES = Decimal("0.0001")
ZERO = Decimal(0)


class SimulatedPosition(Struct, frozen=True):
    """A position: signed quantity, and its average price in USD."""

    quantity: Decimal
    average: Decimal
    asset_class: AssetClass
    multiplier: Decimal

    def after_fill(self, quantity: Decimal, price: Decimal) -> "SimulatedPosition":
        """Return the position after a fill of signed shares; a closing fill doesn't change the average price."""
        held_quantity, after = self.quantity, self.quantity + quantity
        if held_quantity * quantity >= 0:
            average = (held_quantity * self.average + quantity * price) / after if after else self.average
        else:
            average = self.average if held_quantity * after > 0 else price
        return SimulatedPosition(after, average, self.asset_class, self.multiplier)


class SimulatedAccount(Struct, frozen=True):
    """An account at one moment: USD, positions by symbol, orders by venue id, and fills.

    `reducing` has the ids of reduce-only orders. `looked_at` is the time up to which prices were applied, `day` the
    date of that session, and `last_equity` the equity at the end of the previous session. `made` counts orders and
    fills, for numbering them.
    """

    number: str
    cash: Decimal
    last_equity: Decimal
    equity: Decimal
    looked_at: datetime
    day: date
    made: int = 0
    holdings: Mapping[str, SimulatedPosition] = {}
    orders: Mapping[str, Order] = {}
    reducing: tuple[str, ...] = ()
    fills: tuple[Fill, ...] = ()
    activities: tuple[Activity, ...] = ()

    @property
    def working(self) -> tuple[Order, ...]:
        """Return the orders that may still fill, oldest first."""
        return tuple(order for order in self.orders.values() if not order.status.terminal)

    @property
    def cost(self) -> Decimal:
        """Return what the positions cost, in USD; a short position counts below zero."""
        return sum(
            (notional(position.quantity, position.average, position.multiplier) for position in self.holdings.values()),
            ZERO,
        )

    def worth(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Return the equity at these prices; a position without a price counts at its average price."""
        values = (
            notional(position.quantity, prices.get(symbol, position.average), position.multiplier)
            for symbol, position in self.holdings.items()
        )
        return self.cash + sum(values, ZERO)


def replacement_advice(folder: Path) -> str:
    """Return how to replace damaged shadow books, which can't be rebuilt."""
    return f"shadow books hold no real money: remove {folder}, and the strategy starts over in shadow"


def read_account(folder: Path) -> SimulatedAccount:
    """Return the account of a folder; raise DamagedBooksError if it can't be read."""
    try:
        return decode(SimulatedAccount, json.loads(read_plain(folder / SIMULATED)))
    except (OSError, CodecError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise DamagedBooksError(f"{folder / SIMULATED} can't be read: {why}", replacement_advice(folder)) from error


def write_account(folder: Path, account: SimulatedAccount) -> None:
    """Write an account durably before anything is reported; raise CannotWriteError if that fails."""
    try:
        write_durably(folder / SIMULATED, json.dumps(encode(account)) + "\n")
    except OSError as error:
        raise cannot_write(folder, error) from error
