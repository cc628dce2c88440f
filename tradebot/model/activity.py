"""What changes an account without an order, as the broker tells it, and what the books write for it."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tradebot.model.position import OwnedFill

SPLIT, RENAME, MERGER, OPTION_TRADE = "SPLIT", "NC", "MA", "OPTRD"


@dataclass(frozen=True, slots=True)
class Activity:
    """One line of the broker's activities that is no fill: its own word for the kind, signed shares, signed USD.

    `price` is USD a share where the broker gives one. One that is not `executed` was corrected or taken back.
    """

    id: str
    kind: str
    sub_kind: str
    symbol: str | None
    quantity: Decimal | None
    price: Decimal | None
    net_amount: Decimal
    at: datetime
    executed: bool = True

    @property
    def words(self) -> str:
        """Return what it says, for people and records: kind, symbol, shares, cash, day."""
        parts = [f"{self.kind}/{self.sub_kind}" if self.sub_kind else self.kind, self.symbol]
        parts += [f"{self.quantity:+f} shares"] if self.quantity else []
        parts += [f"{self.net_amount:+f} USD"] if self.net_amount else []
        return " ".join([*filter(None, parts), f"of {self.at:%Y-%m-%d}"])


@dataclass(frozen=True, slots=True)
class Entry:
    """One activity as it is booked: `amount` is what it moved in USD beside the fills that stand for it, often zero.

    `kind` is the broker's own word for it.
    """

    activity_id: str
    kind: str
    amount: Decimal
    words: str


@dataclass(frozen=True, slots=True)
class Restated:
    """A position whose best price is restated: it was seen in prices of `old` shares, and counts in those of `new`.

    `to_symbol` is the name that the position has from now on, mostly the one it had.
    """

    strategy: str
    symbol: str
    opened_at: datetime
    to_symbol: str
    new: Decimal = Decimal(1)
    old: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Booking:
    """What some activities write, all of it or nothing, once: `acknowledged` are others' positions by symbol."""

    entries: tuple[Entry, ...]
    fills: tuple[OwnedFill, ...] = ()
    acknowledged: tuple[tuple[str, Decimal], ...] = ()
    restated: tuple[Restated, ...] = ()
