"""Tax lots: which shares a sale closes, across the account, and how long they were held. US rules, for individuals.

Source: Treasury Regulation 1.1012-1(c), the earliest lot unless other shares are identified in time.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction
from functools import cached_property

from msgspec import Struct

from tradebot.model.values import replace
from tradebot.views.performance.account_trades import AccountTrade

_ONE_DAY = timedelta(days=1)


class Method(StrEnum):
    """Which lots a sale closes first: the oldest, the newest, or those with the highest cost.

    HIFO is specific identification of the shares with the highest basis; for short positions, of those sold lowest.
    """

    FIFO = "fifo"
    LIFO = "lifo"
    HIFO = "hifo"


class TaxLot(Struct, frozen=True, dict=True):
    """Shares that were bought, or sold short, at once: signed, in today's shares.

    `opening` is the trade that opened it; it is None for shares that were in the account before the books began, so
    their date and cost aren't known. `fee_usd` is what that trade paid in fees, in USD per share: it adds to what the
    shares cost, or is taken off what they brought (IRS Publication 550, 2024, "Stocks and Bonds").
    `carried_usd` are the losses that wash sales added to its basis, and `tacked_days` the time for which the shares
    sold at these losses were held; it counts as if these shares had been held. `replaced` says that the lot already
    stands for shares that were sold at a loss.
    """

    symbol: str
    quantity: Fraction
    opening: AccountTrade | None
    fee_usd: Fraction = Fraction(0)
    carried_usd: Fraction = Fraction(0)
    tacked_days: int = 0
    replaced: bool = False

    @cached_property
    def price(self) -> Fraction | None:
        """Return what a share cost with its fee, or brought after it if sold short, USD; None if that isn't known."""
        if self.opening is None or self.opening.price is None:
            return None
        return self.opening.price + self.sign * self.fee_usd

    @cached_property
    def opened(self) -> date | None:
        """Return the trade date; None if it isn't known. A plan's shares came at some time before it."""
        return self.opening.day if self.opening is not None and self.price is not None else None

    @property
    def held_from(self) -> date | None:
        """Return the date from which the holding period counts, with the time that wash sales added."""
        return self.opened and self.opened - self.tacked_days * _ONE_DAY

    @property
    def sign(self) -> int:
        """Return 1 for shares that were bought, and -1 for shares that were sold short."""
        return 1 if self.quantity > 0 else -1

    def part(self, quantity: Fraction) -> "TaxLot":
        """Return a piece of the lot of this many signed shares, with its share of what was carried."""
        if quantity == self.quantity:
            return self
        return replace(self, quantity=quantity, carried_usd=self.carried_usd * quantity / self.quantity)

    def joined(self, other: "TaxLot") -> "TaxLot":
        """Return both pieces of a lot as one."""
        return replace(self, quantity=self.quantity + other.quantity, carried_usd=self.carried_usd + other.carried_usd)


def in_order(lots: Sequence[TaxLot], method: Method) -> list[TaxLot]:
    """Return open lots in the order in which a sale closes them; they are given oldest first.

    Shares of unknown date were there first. Those of unknown cost are the last that HIFO picks.
    """
    match method:
        case Method.FIFO:
            return list(lots)
        case Method.LIFO:
            return list(reversed(lots))
        case Method.HIFO:
            return sorted(lots, key=_costliest_first)


def _costliest_first(lot: TaxLot) -> tuple[bool, Fraction]:
    if lot.price is None:
        return True, Fraction(0)
    return False, -lot.sign * lot.price - lot.carried_usd / abs(lot.quantity)


def take(lots: Sequence[TaxLot], quantity: Fraction, method: Method) -> tuple[list[TaxLot], list[TaxLot]]:
    """Return the pieces that a sale of `quantity` unsigned shares closes, and what is left of the lots, oldest first.

    The shares must not be more than the lots hold.
    """
    pieces, left = list[TaxLot](), {id(lot): lot for lot in lots}
    for lot in in_order(lots, method):
        if not quantity:
            break
        closed = min(quantity, abs(lot.quantity))
        quantity -= closed
        pieces.append(lot.part(closed * lot.sign))
        rest = lot.quantity - closed * lot.sign
        if rest:
            left[id(lot)] = lot.part(rest)
        else:
            del left[id(lot)]
    return pieces, list(left.values())


def is_long_term(held_from: date, sold: date) -> bool:
    """Return True if shares were held for more than one year: counted from the day after they were bought.

    Sources: IRS Publication 550 (2024), "Holding Period"; Rev. Rul. 66-97 for trade dates; Rev. Rul. 66-7 for the ends
    of months. So shares bought on 2023-02-28 are long-term from 2024-03-01 on, and those of 2024-02-28 from 2025-03-01
    on.
    """
    first = held_from + _ONE_DAY
    leap_day = (first.month, first.day) == (2, 29)
    return sold >= (date(first.year + 1, 3, 1) if leap_day else first.replace(year=first.year + 1))
