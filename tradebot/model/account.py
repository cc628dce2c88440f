"""The broker's account figures at one moment, its activities other than trades, and how the books record them."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct, field

from tradebot.model.instrument import ONE, AssetClass, notional
from tradebot.model.order import Order
from tradebot.model.position import EntryTerms, Origin, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Settlement


class ActivityKind(StrEnum):
    """The type of an account activity, under a name that doesn't depend on the venue.

    A FEE covers a day's trades, a COMMISSION one trade, a BORROW_FEE shares sold short, an OTHER_FEE anything else; a
    rebate is a negative fee. FUNDING is paid between holders of a perpetual. A TRANSFER is the owner's cash moved in or
    out, SHARES are shares moved without a trade, and an OPTION_TRADE comes from the exercise or assignment of an
    option. A CORRECTION gives new values for one execution.

    `moves_shares` is False for a type whose quantity is only the number of shares on which cash was paid.
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
    """The fill that a correction applies to, and the ids of corrections that may precede or follow this one."""

    fill_id: str
    earlier: tuple[str, ...] = ()
    later: tuple[str, ...] = ()


class Activity(Struct, frozen=True):
    """One row of the broker's activities other than fills, with the broker's own kind, signed shares and signed USD.

    `meaning` is the kind as the venue's adapter understands it. `price` is USD per share, if the broker gave one. A row
    that isn't `executed` was corrected or canceled. If the row is the fee of a fill, `fill_id` names that fill, and the
    row's own `id` is `order.fee_id(fill_id)`. Such a fee is booked once the books have the fill, unless the fill
    already included the fee. If the row `corrects` a fill, quantity (unsigned) and price are the fill's new values.
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
            # The amount reported for a correction isn't what it changes.
            return (
                " ".join([*filter(None, parts), day])
                + f", which is {self.quantity.normalize():f} at {self.price:f} now"
            )
        parts += [f"{self.quantity:+f} shares"] if self.quantity else []
        parts += [f"{self.net_amount:+f} USD"] if self.net_amount else []
        return " ".join([*filter(None, parts), day])


class Entry(Struct, frozen=True):
    """A booked activity; `amount` is its effect on cash in USD, excluding fills booked with it, and is often zero.

    The other fields are as in `Activity`, but `symbol` may be empty. `at` is None if an earlier version booked it.
    """

    activity_id: str
    kind: str
    amount: Decimal
    words: str
    at: datetime | None = None
    symbol: str = ""
    sub_kind: str = ""
    meaning: ActivityKind = ActivityKind.OTHER


class RestatedPosition(Struct, frozen=True):
    """A position whose best and worst price are converted because `old` shares became `new` shares, as in a split.

    `to_symbol` is the position's symbol afterward, usually unchanged.
    """

    strategy: str
    symbol: str
    opened_at: datetime
    to_symbol: str
    new: Decimal = Decimal(1)
    old: Decimal = Decimal(1)

    def of(self, terms: EntryTerms) -> EntryTerms:
        """Return the stored terms of the position with its prices converted."""
        best, worst = (price and price * self.old / self.new for price in (terms.best, terms.worst))
        return replace(terms, best=best, worst=worst)


class Booking(Struct, frozen=True):
    """Everything that a group of activities writes to the ledger, in one transaction.

    `acknowledged` are positions that aren't ours: symbols with signed shares.
    """

    entries: tuple[Entry, ...]
    fills: tuple[OwnedFill, ...] = ()
    acknowledged: tuple[tuple[str, Decimal], ...] = ()
    restated: tuple[RestatedPosition, ...] = ()


class CashKind(StrEnum):
    """The type of a cash movement. A TRANSFER is the owner's own money, so it is neither profit nor loss.

    FUNDING is paid between holders of a perpetual contract. An ADJUSTMENT was accepted by a person as part of a plan,
    or is any other payment to or from the broker.
    """

    FEE = "fee"
    DIVIDEND = "dividend"
    INTEREST = "interest"
    FUNDING = "funding"
    TRANSFER = "transfer"
    ADJUSTMENT = "adjustment"


class CashMovement(Struct, frozen=True):
    """A cash movement that no fill explains, in signed USD; `at` is when it happened at the broker.

    `kind` is the broker's own code, such as DIV or FEE, or empty for an accepted plan, and `sub_kind` the broker's code
    for a subtype, such as COM for a commission, or empty. `meaning` is the adapter's interpretation of both; it is None
    for a plan. `words` describe the movement. `symbol` is the instrument that paid a dividend or caused a fee; it is
    empty if unknown, or if the movement affects the whole account.
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
    """Account figures in USD; `blocked` lists the restrictions that the venue has set.

    In a margin account, `cash` is the collateral: equity minus the unrealized profit of open positions.
    `initial_margin` and `maintenance_margin` cover positions, not open orders, and `available` is the margin left for
    new orders. Each is None if the venue has no such figure or the bot doesn't use it.
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
        """Return the last four characters of the account number, for people and documents."""
        return self.number[-4:]


class EquityPeak(Struct, frozen=True, array_like=True):
    """The account's peak equity in USD.

    `seen_once` is an equity far above the peak that another reading has yet to confirm, or zero.
    """

    highest: Decimal
    seen_once: Decimal


class BrokerPosition(Struct, frozen=True):
    """The broker's net position in one instrument: signed quantity, plus value and price if the broker gave them.

    `market_value` is the value of the whole position in USD, even in a margin account. `free` is how many units no
    working order has reserved, unsigned; None if the venue doesn't say.
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

"""How far equity may differ from cash plus the positions' values, as a fraction of the larger of the two.

The venue computes one from the other, so a few percent may be fees and trades between the readings, but not a quarter.
"""


class AccountValue(Struct, frozen=True, array_like=True):
    """The sum of cash and positions in USD; `at_cost` is the value of positions without a known price.

    A position that was paid in full adds its value; one in a margin account adds only its unrealized profit.
    """

    total: Decimal
    at_cost: Decimal

    def explains(self, equity: Decimal) -> bool:
        """Return True if the sum of cash and positions is close to the broker's `equity` in USD."""
        return abs(equity - self.total) <= UNEXPLAINED * max(abs(equity), abs(self.total)) + self.at_cost


BESIDES = Decimal(1) / 1000

"""The maintenance margin, as a fraction of equity, that an account without positions may use for money that it owes."""


class BrokerView(Struct, frozen=True):
    """One reading of the account at the broker; `unreadable` counts the rows we couldn't parse.

    `steady` is False if our own orders changed during every attempt; positions and orders may then be from different
    moments. `orders_at` is the venue's time of its order list, or None. If two of our orders have the same client order
    id, `repeated` maps the second one's venue id to that client order id, and in `orders` the second one has no client
    order id.
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
        """Return True if no position is listed although the account ties up maintenance margin."""
        maintenance = self.account.maintenance_margin or Decimal(0)
        return not self.positions and maintenance > abs(self.account.equity) * BESIDES

    @property
    def whole_at(self) -> datetime | None:
        """Return the time of the venue's order list; None if the list can't prove that an order has ended.

        A list with an unreadable row proves nothing.
        """
        return self.orders_at if self.steady and not self.unreadable else None
