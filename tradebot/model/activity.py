"""What changes an account without an order, as the broker reports it, and what the books record for it."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from tradebot.model.position import Kept, OwnedFill
from tradebot.model.values import replace


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
