"""Share the account's fees among the sales that they were charged for."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from tradebot.model.candidate import Side
from tradebot.model.cash import CashMovement
from tradebot.model.position import NINE_PLACES
from tradebot.views.performance.days import day_of
from tradebot.views.performance.lots import AnyLot, ClosedLot

LATEST = timedelta(days=4)
"""How long after a sale its fee may be booked: on Tuesday after a long weekend for a sale on Friday."""
ASSUMPTION = (
    "The broker charges fees to the account for a whole day. They are shared among the lots that were sold on that "
    "day, or else on the last day of sales up to 4 days before, by the value they were sold for: the SEC and FINRA "
    "charge sales."
)
"""What a trade's fees rest on; it is shown wherever they are."""

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class FeeShare:
    """What one fee took from one lot, in signed USD: a charge is negative."""

    fee: CashMovement
    lot: AnyLot
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Allotted:
    """Each lot's share of each fee, and the fees that no sale explains; together they are the fees.

    `by_lot` is what all fees took from a lot, by the lot's `id`: two pieces of one purchase can be equal.
    """

    shares: tuple[FeeShare, ...]
    left: tuple[CashMovement, ...]
    by_lot: Mapping[int, Decimal]

    def of(self, lot: AnyLot) -> Decimal:
        """Return what all fees took from one of the lots that were given, in signed USD."""
        return self.by_lot.get(id(lot), _ZERO)


def allotted(fees: Iterable[CashMovement], lots: Iterable[AnyLot]) -> Allotted:
    """Share each fee among the lots that were sold on its day in New York, by the value they were sold for.

    If nothing was sold that day, the fee belongs to the last day with sales before it, but at most `LATEST` earlier:
    the broker books some fees in the morning after. Shares are exact to nine decimals, and add up to the fee. An open
    lot counts if it was sold short, at its entry; a lot that isn't sold yet takes no part.
    """
    charged, shares, left = list(fees), list[FeeShare](), list[CashMovement]()
    sales = _sales(lots) if charged else {}
    for fee in charged:
        of_day = sales.get(_day_of_sales(fee, sales), ())
        shares += _divided(fee, of_day)
        left += [] if of_day else [fee]
    by_lot = defaultdict[int, Decimal](Decimal)
    for share in shares:
        by_lot[id(share.lot)] += share.usd
    return Allotted(tuple(shares), tuple(left), by_lot)


def sold(lot: AnyLot) -> tuple[date, Decimal] | None:
    """Return the New York day on which a lot was sold and its value in USD; None if it isn't sold yet."""
    if isinstance(lot, ClosedLot):
        at, usd = lot.sold_at, lot.sold_usd
    elif lot.side is Side.SELL:
        at, usd = lot.opened_at, lot.cost_usd
    else:
        return None
    return day_of(at), usd


def _sales(lots: Iterable[AnyLot]) -> Mapping[date, Sequence[AnyLot]]:
    """Return the lots that were sold on each day, in an order that no order of the lots changes."""
    found: dict[date, list[AnyLot]] = {}
    for lot in lots:
        sale = sold(lot)
        if sale is not None and sale[1]:
            found.setdefault(sale[0], []).append(lot)
    return {day: sorted(of_day, key=_name) for day, of_day in found.items()}


def _name(lot: AnyLot) -> tuple[str, str, str, str, Decimal]:
    exit_fill = lot.exit_fill if isinstance(lot, ClosedLot) else ""
    return lot.strategy, lot.symbol, lot.entry_fill, exit_fill, lot.quantity


def _day_of_sales(fee: CashMovement, sales: Mapping[date, object]) -> date:
    """Return the last day with sales up to a fee's day; the fee's own day if there is none that is near enough."""
    booked = day_of(fee.at)
    days = (booked - timedelta(days=back) for back in range(LATEST.days + 1))
    return next((day for day in days if day in sales), booked)


def _divided(fee: CashMovement, lots: Sequence[AnyLot]) -> Iterator[FeeShare]:
    """Yield the shares of one fee: each is what the fee has reached after its lot, less what it had reached before."""
    values = [sale[1] for lot in lots if (sale := sold(lot))]
    whole, reached, given = sum(values, _ZERO), _ZERO, _ZERO
    for lot, value in zip(lots, values, strict=True):
        reached += value
        up_to = fee.amount_usd if lot is lots[-1] else (fee.amount_usd * reached / whole).quantize(NINE_PLACES)
        yield FeeShare(fee, lot, up_to - given)
        given = up_to
