"""The broker's view of the account at one moment, what changes it without an order, and what the books record then."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct, field

from tradebot.model.instrument import ONE, AssetClass, notional
from tradebot.model.order import Order
from tradebot.model.position import Kept, Origin, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Settlement


class ActivityKind(StrEnum):
    """What an activity is, whatever its venue calls it.

    A FEE is charged for trades by a day's sum, a COMMISSION for one trade, a BORROW_FEE for shares sold short; an
    OTHER_FEE is for neither, and a rebate gives one back. FUNDING is what the holders of a perpetual pay one another.
    A TRANSFER is the owner's cash that came or left, SHARES are those that did so without a trade, and an OPTION_TRADE
    is what an option delivered or took at its strike. A CORRECTION says what one execution is from now on.

    A kind `moves_shares` unless its quantity, if it has one, is only the number of shares that cash was paid on.
    """

    moves_shares: bool

    def __new__(cls, value: str, moves_shares: bool = True) -> "ActivityKind":
        kind = str.__new__(cls, value)
        kind._value_, kind.moves_shares = value, moves_shares
        return kind

    FEE = "fee", False
    COMMISSION = "commission", False
    BORROW_FEE = "borrow_fee", False
    OTHER_FEE = "other_fee", False
    DIVIDEND = "dividend", False
    RETURN_OF_CAPITAL = "return_of_capital", False
    STOCK_DIVIDEND = "stock_dividend"
    INTEREST = "interest", False
    FUNDING = "funding", False
    TRANSFER = "transfer", False
    SHARES = "shares"
    SPLIT = "split"
    RENAME = "rename"
    MERGER = "merger"
    OPTION_TRADE = "option_trade"
    CORRECTION = "correction"
    OTHER = "other"


class Corrects(Struct, frozen=True):
    """Which fill a correction is of, and the ids of all corrections that may have been before and after it."""

    fill_id: str
    earlier: tuple[str, ...] = ()
    later: tuple[str, ...] = ()


class Activity(Struct, frozen=True):
    """One row of the broker's activities that isn't a fill: the broker's own kind, signed shares, signed USD.

    `meaning` is what it is, by the venue's adapter. `price` is USD per share, if the broker gave one. A row that isn't
    `executed` was corrected or canceled. `fill_id` names the fill whose fee it is, if it is the fee of one: its id is
    then that of `order.fee_id`, and it is booked once the books have the fill, if that came without its fee. One that
    `corrects` a fill has the quantity, unsigned, and the price that this is of now.
    """

    id: str
    kind: str
    sub_kind: str
    symbol: str | None
    quantity: Decimal | None
    price: Decimal | None
    net_amount: Decimal
    at: datetime
    meaning: ActivityKind
    executed: bool = True
    fill_id: str = ""
    corrects: Corrects | None = None

    @property
    def words(self) -> str:
        """Return a description for people and records: kind, symbol, shares, cash, day."""
        parts = [f"{self.kind}/{self.sub_kind}" if self.sub_kind else self.kind, self.symbol]
        day = f"of {self.at:%Y-%m-%d}"
        if self.corrects is not None and self.quantity is not None and self.price is not None:
            # What is told of a correction isn't what it adds.
            return (
                " ".join([*filter(None, parts), day])
                + f", which is {self.quantity.normalize():f} at {self.price:f} now"
            )
        parts += [f"{self.quantity:+f} shares"] if self.quantity else []
        parts += [f"{self.net_amount:+f} USD"] if self.net_amount else []
        return " ".join([*filter(None, parts), day])


class Entry(Struct, frozen=True):
    """A booked activity: `amount` is the USD it moved in addition to its fills, often zero.

    The rest is as in `Activity`, but `symbol` may be empty. `at` is None if only an earlier version booked it.
    """

    activity_id: str
    kind: str
    amount: Decimal
    words: str
    at: datetime | None = None
    symbol: str = ""
    sub_kind: str = ""
    meaning: ActivityKind = ActivityKind.OTHER


class Restated(Struct, frozen=True):
    """A position whose best and worst price are converted, as in a split: from `old` shares to `new` shares.

    `to_symbol` is the position's symbol from now on, usually unchanged.
    """

    strategy: str
    symbol: str
    opened_at: datetime
    to_symbol: str
    new: Decimal = Decimal(1)
    old: Decimal = Decimal(1)

    def of(self, kept: Kept) -> Kept:
        """Return what is kept of the position from now on."""
        best, worst = (price and price * self.old / self.new for price in (kept.best, kept.worst))
        return replace(kept, best=best, worst=worst)


class Booking(Struct, frozen=True):
    """Everything that a group of activities writes, once and atomically.

    `acknowledged` are positions that aren't ours, by symbol.
    """

    entries: tuple[Entry, ...]
    fills: tuple[OwnedFill, ...] = ()
    acknowledged: tuple[tuple[str, Decimal], ...] = ()
    restated: tuple[Restated, ...] = ()


class CashKind(StrEnum):
    """What a movement of cash is to its owner. A TRANSFER is the owner's own money, so it is neither profit nor loss.

    FUNDING is what the holders of a perpetual contract pay one another. An ADJUSTMENT is what a person accepted with a
    plan, or what the broker paid or took in another way.
    """

    FEE = "fee"
    DIVIDEND = "dividend"
    INTEREST = "interest"
    FUNDING = "funding"
    TRANSFER = "transfer"
    ADJUSTMENT = "adjustment"


class CashMovement(Struct, frozen=True):
    """A movement of cash that no fill explains: signed USD, and `at` is when it happened at the broker.

    `kind` is the broker's own word, such as DIV or FEE, or empty for a person's accepted plan. `words` describe it.
    `symbol` is what a dividend was paid on, or what was traded for a fee; it is empty for what concerns the whole
    account, and where it isn't known. `sub_kind` is the broker's finer word, such as COM for a commission, or empty.
    `meaning` is what these words mean; it is None for a person's plan.
    """

    at: datetime
    amount_usd: Decimal
    kind: str
    origin: Origin
    about: str
    words: str
    symbol: str = ""
    sub_kind: str = ""
    meaning: ActivityKind | None = None


class Account(Struct, frozen=True):
    """Account figures in USD; `blocked` lists the blocks that the venue has set.

    The `cash` of a margined account is its collateral: the equity without the unrealized profit of its positions.
    `initial_margin` and `maintenance_margin` are of the positions, without open orders, and `available` is the margin
    that is left for new orders; None if the venue has no such figure that the bot uses.
    """

    number: str
    status: str
    cash: Decimal
    equity: Decimal
    last_equity: Decimal
    buying_power: Decimal
    blocked: tuple[str, ...]
    settlement: Settlement = Settlement.PAID
    initial_margin: Decimal | None = None
    maintenance_margin: Decimal | None = None
    available: Decimal | None = None

    @property
    def tail(self) -> str:
        """Return the last four characters of the number, for people and documents."""
        return self.number[-4:]


class EquityPeak(Struct, frozen=True, array_like=True):
    """The highest equity that counts, and a jump that counts only if it is seen again (zero if none), USD."""

    highest: Decimal
    seen_once: Decimal


class BrokerPosition(Struct, frozen=True):
    """The broker's net position in one instrument: signed quantity, plus value and price if the broker gave them.

    `market_value` is the whole position's in USD, also in an account that pays only a margin for it. `free` is how many
    of its units no working order claims, unsigned; None if the venue doesn't tell.
    """

    symbol: str
    asset_class: AssetClass
    quantity: Decimal
    average_price: Decimal
    market_value: Decimal | None
    current_price: Decimal | None = None
    multiplier: Decimal = ONE
    free: Decimal | None = None

    @property
    def value(self) -> Decimal:
        """Return the signed value in USD: the venue's own figure, or the position's cost if the venue gave none."""
        return self.value_at(self.average_price) if self.market_value is None else self.market_value

    def value_at(self, price: Decimal) -> Decimal:
        """Return the signed value in USD at a price per share (for options, per share of the contract)."""
        return notional(self.quantity, price, self.multiplier)


UNEXPLAINED = Decimal("0.25")

"""How far equity may be from cash plus what positions add to it, as a share of the larger of the two.

The venue computes one from the other, so a few percent may be fees and trades between the readings, and not a quarter.
"""


class Worth(Struct, frozen=True, array_like=True):
    """The sum of cash and positions in USD; `at_cost` is the value of positions of which no price is known.

    A position that is paid for adds its value, one in a margined account only its unrealized profit.
    """

    total: Decimal
    at_cost: Decimal

    def explains(self, equity: Decimal) -> bool:
        """Return True if the parts roughly add up to an equity in USD."""
        return abs(equity - self.total) <= UNEXPLAINED * max(abs(equity), abs(self.total)) + self.at_cost


BESIDES = Decimal(1) / 1000

"""How much margin an account may tie up without a position, as a fraction of its equity: for money that it owes."""


class BrokerView(Struct, frozen=True):
    """One reading of the account at the broker; `unreadable` counts the rows we couldn't parse.

    `steady` is False if our own orders changed during every attempt; positions and orders may then be from different
    moments. `orders_at` is of when the venue says that its list of orders is; None if it doesn't say. `repeated` are
    orders that the venue lists under the id of another order of ours, by its own ids; in `orders` they have none.
    """

    account: Account
    positions: tuple[BrokerPosition, ...]
    orders: tuple[Order, ...]
    unreadable: int = 0
    steady: bool = True
    orders_at: datetime | None = None
    repeated: Mapping[str, str] = field(default_factory=dict)

    @property
    def hides_positions(self) -> bool:
        """Return True if no position is listed though the account ties up margin to keep some."""
        kept = self.account.maintenance_margin or Decimal(0)
        return not self.positions and kept > abs(self.account.equity) * BESIDES

    @property
    def whole_at(self) -> datetime | None:
        """Return when the list of orders was told, if it may prove that an order is over: each row could be read."""
        return self.orders_at if self.steady and not self.unreadable else None
