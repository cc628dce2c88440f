"""Classify cash movements, and allocate fees to the fills and sales that they were charged for."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from msgspec import Struct

from tradebot.model.account import ActivityKind, CashKind, CashMovement
from tradebot.model.order import Fill, fee_id
from tradebot.model.position import NINE_PLACES, Origin, OwnedFill
from tradebot.model.venue import Settlement
from tradebot.model.venue_day import VenueDay
from tradebot.views.trades.lots import ClosedLot, OpenLot

LATEST = timedelta(days=4)
"""How long after a sale its fee may be booked: on Tuesday after a long weekend for a sale on Friday."""
_ZERO = Decimal(0)
Moments = Mapping[tuple[str, datetime], Collection[str]]
"""The ids of the fills that the broker reported, by symbol (as it was named then) and moment."""
_Part = tuple[OpenLot, Decimal]
"""A lot, and the value in USD that its share of a fee is based on."""


def fees_assumption(settlement: Settlement) -> str:
    """Return the assumption behind a trade's fees, which is shown wherever fees are shown."""
    charged = ": the SEC and FINRA charge sales" if settlement is Settlement.PAID else ""
    return (
        "A fee with the symbol and the time of a fill, such as a commission, belongs to that fill. The broker"
        " charges all other fees to the account for a whole day. These are shared among the lots that were sold"
        " on that day, or else on the last day with sales up to 4 days before. Each lot's share depends on the"
        f" value it was sold for{charged}."
    )


class FeeShare(Struct, frozen=True):
    """The part of one fee that belongs to one lot, in signed USD: a charge is negative."""

    fee: CashMovement
    lot: OpenLot
    usd: Decimal


class FeeAllocation(Struct, frozen=True):
    """Each lot's part of each fee, and the fees that belong to no fill or sale (`left`). Together they add up to all
    fees.
    """

    shares: tuple[FeeShare, ...]
    left: tuple[CashMovement, ...]
    by_lot: Mapping[int, Decimal]
    """The sum of each lot's fees, by the lot's `id()`, because two pieces of one purchase can be equal."""

    def of(self, lot: OpenLot) -> Decimal:
        """Return the sum of a given lot's fees, in signed USD."""
        return self.by_lot.get(id(lot), _ZERO)


def allocate_fees(
    fees: Iterable[CashMovement], lots: Iterable[OpenLot], fills: Moments, day: VenueDay
) -> FeeAllocation:
    """Allocate each fee to its fill, or to fills of its symbol and time, or else to the lots sold on its day.

    A fill's fee is shared among the pieces that it opened and closed, and a day's fee among its sales, by value. Days
    are the venue's. If nothing was sold that day, the fee belongs to the last day with sales before it, but at most
    `LATEST` earlier: the broker books some fees in the morning after. For an open lot that was sold short, its entry is
    the sale. A lot that isn't sold yet takes no part. Fees for borrowing stock belong to no sale. The parts of a fee
    are exact to nine decimals, and add up to the fee.
    """
    charged, shares, remaining = list(fees), list[FeeShare](), list[CashMovement]()
    # This order doesn't depend on the order of the lots, nor on that of fills of one moment.
    ordered = sorted(lots, key=_name) if charged else []
    sales, of_fills = _sales(ordered, day), _of_fills(ordered)
    by_fee = {fee_id(name): (name,) for names in fills.values() for name in names} if charged else {}
    for fee in charged:
        named = by_fee.get(fee.about) or sorted(fills.get((fee.symbol, fee.at), ()))
        among = [part for name in named for part in of_fills.get(name, ())]
        if not among and fee.meaning is not ActivityKind.BORROW_FEE:
            among = sales.get(_day_of_sales(fee, sales, day), [])
        shares += _divide_fee(fee, among)
        remaining += [] if among else [fee]
    by_lot = defaultdict[int, Decimal](Decimal)
    for share in shares:
        by_lot[id(share.lot)] += share.usd
    return FeeAllocation(tuple(shares), tuple(remaining), by_lot)


def fee_with(fill: Fill) -> CashMovement:
    """Return a fill's own fee as a cash movement."""
    assert fill.fee is not None, "the fill came with a fee"
    about = fee_id(fill.activity_id)
    kind = ActivityKind.COMMISSION
    return CashMovement(fill.at, -fill.fee.usd, kind, Origin.VENUE, about, "", fill.symbol, meaning=kind)


def fill_times(fills: Iterable[OwnedFill]) -> Moments:
    """Return the ids of the fills that the venue reported, by symbol and time."""
    by_fill = defaultdict[tuple[str, datetime], list[str]](list)
    for owned in fills:
        if owned.origin is Origin.VENUE:
            by_fill[owned.fill.symbol, owned.fill.at].append(owned.fill.activity_id)
    return by_fill


def _sales(lots: Iterable[OpenLot], day: VenueDay) -> Mapping[date, list[_Part]]:
    by_day = defaultdict[date, list[_Part]](list)
    for lot in lots:
        if lot.sold_at and lot.sold_usd:
            by_day[day.date_of(lot.sold_at)].append((lot, lot.sold_usd))
    return by_day


def _of_fills(lots: Iterable[OpenLot]) -> Mapping[str, list[_Part]]:
    by_fill = defaultdict[str, list[_Part]](list)
    for lot in lots:
        ends = [(lot.entry_fill, lot.entry_price)]
        ends += [(lot.exit_fill, lot.exit_price)] if isinstance(lot, ClosedLot) else []
        for name, price in ends:
            if price:
                by_fill[name].append((lot, lot.value_at(price)))
    return by_fill


def _name(lot: OpenLot) -> tuple[str, str, str, str, Decimal]:
    exit_fill = lot.exit_fill if isinstance(lot, ClosedLot) else ""
    return lot.strategy, lot.symbol, lot.entry_fill, exit_fill, lot.quantity


def _day_of_sales(fee: CashMovement, sales: Mapping[date, object], day: VenueDay) -> date:
    """Return the last day with sales up to a fee's day; the fee's own day if there is none that is near enough."""
    booked = day.date_of(fee.at)
    days = (booked - timedelta(days=back) for back in range(LATEST.days + 1))
    return next((each for each in days if each in sales), booked)


def _divide_fee(fee: CashMovement, among: Sequence[_Part]) -> Iterator[FeeShare]:
    """Yield each lot's share of one fee: the rounded running total after the lot minus the one before it."""
    whole, reached, allocated = sum((value for _, value in among), _ZERO), _ZERO, _ZERO
    for index, (lot, value) in enumerate(among, 1):
        reached += value
        up_to = fee.amount_usd if index == len(among) else (fee.amount_usd * reached / whole).quantize(NINE_PLACES)
        yield FeeShare(fee, lot, up_to - allocated)
        allocated = up_to


_KINDS: Mapping[CashKind, tuple[ActivityKind, ...]] = {
    CashKind.FEE: (ActivityKind.FEE, ActivityKind.COMMISSION, ActivityKind.BORROW_FEE, ActivityKind.OTHER_FEE),
    CashKind.DIVIDEND: (ActivityKind.DIVIDEND, ActivityKind.RETURN_OF_CAPITAL, ActivityKind.STOCK_DIVIDEND),
    CashKind.INTEREST: (ActivityKind.INTEREST,),
    CashKind.FUNDING: (ActivityKind.FUNDING,),
    # This includes shares that came without a trade: the books buy them at their price, and this adds the cash back.
    CashKind.TRANSFER: (ActivityKind.TRANSFER, ActivityKind.SHARES),
}
_KIND_OF = {meaning: kind for kind, meanings in _KINDS.items() for meaning in meanings}


def cash_kind(movement: CashMovement) -> CashKind:
    """Return the kind of a movement for the account's owner, from the broker's word and the origin.

    Adopted shares enter the books at the broker's average price, and shares that are left to their owner leave the
    books at that price. The cash that balances this isn't profit, so it counts as a transfer.
    """
    if movement.origin is Origin.ADOPTION:
        # Adopted shares enter the books at the broker's average price, so the cash that compensates for it is no
        # profit.
        return CashKind.TRANSFER
    assert movement.meaning or not movement.kind, "an adapter says what its venue's words mean"
    return _KIND_OF.get(movement.meaning or ActivityKind.OTHER, CashKind.ADJUSTMENT)
