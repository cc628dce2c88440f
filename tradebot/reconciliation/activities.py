"""The broker's activities as bookings: what each proves is written into the books, what it leaves open is not. Pure.

Cash that came or went is proven by the activity that moved it. Shares are proven where the books, restated as the
activity says, hold exactly what the broker holds; where they do not, a person decides.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from itertools import groupby

from tradebot.model.account import BrokerPosition
from tradebot.model.activity import (
    MERGER,
    OPTION_TRADE,
    RENAME,
    SPLIT,
    Activity,
    Booking,
    Entry,
    Restated,
)
from tradebot.model.origin import Origin
from tradebot.model.position import FOREIGN, OwnedFill, Position, fold_positions, unreported_fill

CASH_ONLY = frozenset(
    [
        "ACATC",
        "CFEE",
        "CGD",
        "CSD",
        "CSW",
        "DIV",
        "DIVCGL",
        "DIVCGS",
        "DIVFEE",
        "DIVFT",
        "DIVNRA",
        "DIVROC",
        "DIVTW",
        "DIVTXEX",
        "FEE",
        "INT",
        "INTNRA",
        "INTTW",
        "JNLC",
        "PTC",
        "PTR",
    ]
)
"""Kinds whose `quantity`, where they have one, is what they were paid on: it moves no shares."""
STOCK_DIVIDEND = "SDIV"
LARGEST_RATIO = 1000
NEAR = Fraction(1, 200)
"""So far, as a part of it, the broker's average price may stand from ours: the two count closed lots differently."""
NINE_PLACES = Decimal("1e-9")
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Held:
    """What the books hold before a booking: all fills, oldest first, and others' positions that are known."""

    fills: tuple[OwnedFill, ...]
    acknowledged: Mapping[str, Decimal]

    def after(self, booking: Booking) -> "Held":
        """Return the books with one booking more."""
        fills = (*self.fills, *booking.fills)
        known = {**self.acknowledged, **dict(booking.acknowledged)}
        return Held(tuple(sorted(fills, key=lambda owned: owned.fill.at)), known)

    def total(self, symbol: str) -> Decimal:
        """Return the signed shares of a symbol, whoever's."""
        told = sum((o.fill.signed_quantity for o in self.fills if o.fill.symbol == symbol), _ZERO)
        return told + self.acknowledged.get(symbol, _ZERO)

    def positions(self, symbol: str, at: datetime) -> list[Position]:
        """Return each owner's open position in a symbol at a moment; what is only known of others is not among them."""
        fills = (owned for owned in self.fills if owned.fill.symbol == symbol and owned.fill.at <= at)
        return [position for position in fold_positions(fills).values() if position.quantity]


@dataclass(frozen=True, slots=True)
class Booked:
    """What activities came to: bookings that they prove, in order, and those that prove nothing by themselves."""

    proven: tuple[Booking, ...]
    doubtful: tuple[Activity, ...]


Broker = Mapping[str, BrokerPosition]


def book_all(held: Held, broker: Broker, activities: Iterable[Activity]) -> Booked:
    """Return what activities write into the books, one after the other as they happened.

    What one proves may be what another one lacked, so the rest is looked at again until nothing more is proven.
    """
    proven, waiting, before = list[Booking](), list(_groups(activities)), -1
    while len(proven) > before:
        before, doubtful = len(proven), list[list[Activity]]()
        for group in waiting:
            booking = _booking(held, broker, group)
            if booking is None:
                doubtful.append(group)
            else:
                proven.append(booking)
                held = held.after(booking) if booking.fills or booking.acknowledged else held
        waiting = doubtful
    return Booked(tuple(proven), tuple(row for group in waiting for row in group))


def _groups(activities: Iterable[Activity]) -> Iterator[list[Activity]]:
    """Yield what belongs together: the rows of one split or one merger, those of a day's new names, any other alone."""

    def key(one: Activity) -> tuple[object, ...]:
        if one.kind in (SPLIT, MERGER):
            return one.at.date(), one.kind, one.symbol or ""
        return (one.at.date(), one.kind) if one.kind == RENAME else (one.at.date(), "", one.id)

    executed = sorted((one for one in activities if one.executed), key=lambda one: (one.at, one.id))
    groups = [list(rows) for _, rows in groupby(sorted(executed, key=lambda one: str(key(one))), key=key)]
    return iter(sorted((part for group in groups for part in _pairs(group)), key=lambda rows: (rows[0].at, rows[0].id)))


def _pairs(group: list[Activity]) -> Iterator[list[Activity]]:
    """Yield new names as pairs: the one that goes first; where two may be meant, or none, each row alone."""
    if group[0].kind != RENAME:
        yield group
        return
    for row in group:
        others = [other for other in group if (other.quantity or 0) == -(row.quantity or 0) and other is not row]
        rivals = [other for other in group if other.quantity == row.quantity and other is not row]
        if len(others) != 1 or rivals:
            yield [row]
        elif group.index(row) < group.index(others[0]):
            yield [row, others[0]]


def _booking(held: Held, broker: Broker, rows: list[Activity]) -> Booking | None:
    """Return what one group writes; None where the broker's word does not settle it."""
    first = rows[0]
    if first.symbol is None or all(row.quantity is None for row in rows) or _cash_only(first):
        return Booking(_entries(rows))
    if first.kind == OPTION_TRADE:
        return _foreign_trade(first)
    if len(rows) == 2 and first.kind == RENAME:
        # Under the same symbol only the number of the security is new.
        return Booking(_entries(rows)) if rows[0].symbol == rows[1].symbol else _rename(held, broker, rows)
    ours = any(position.strategy != FOREIGN for position in held.positions(first.symbol, first.at))
    if not ours:
        return _of_others(held, broker, rows)
    kinds: Mapping[str, Callable[[Held, Broker, list[Activity]], Booking | None]] = {SPLIT: _split, MERGER: _merger}
    return kinds[first.kind](held, broker, rows) if first.kind in kinds else None


def _cash_only(one: Activity) -> bool:
    return one.kind in CASH_ONLY and one.sub_kind != STOCK_DIVIDEND


def _entries(rows: Sequence[Activity], fills: Sequence[OwnedFill] = ()) -> tuple[Entry, ...]:
    """Return one entry for each row; the cash that the fills do not account for is the first one's.

    A share's price that is no finite decimal leaves a trace of a cent's billionth, which is no money.
    """
    rest = sum((owned.fill.signed_quantity * owned.fill.price for owned in fills), _ZERO)
    first, *others = rows
    amount = first.net_amount + (rest if abs(rest) >= NINE_PLACES else _ZERO)
    first_entry = Entry(first.id, first.kind, amount, first.words)
    return first_entry, *(Entry(row.id, row.kind, row.net_amount, row.words) for row in others)


def _foreign_trade(one: Activity) -> Booking:
    """Shares that an option of somebody else's brought or took at its strike: somebody else's trade."""
    assert one.symbol is not None
    assert one.quantity is not None
    price = one.price or abs(one.net_amount / one.quantity)
    fills = [unreported_fill(FOREIGN, "", one.symbol, one.quantity, price, one.at)] if price else []
    told = _named(one.id, fills)
    return Booking(_entries([one], told), told)


def _of_others(held: Held, broker: Broker, rows: list[Activity]) -> Booking | None:
    """Shares of others that came or went: what is known of them follows."""
    first, change = rows[0], sum((row.quantity or _ZERO for row in rows), _ZERO)
    symbol = str(first.symbol)
    known = held.acknowledged.get(symbol, _ZERO)
    if known:
        booking = Booking(_entries(rows), acknowledged=((symbol, known + change),))
        return booking if _agrees(held.after(booking), broker, symbol) else None
    traded = held.positions(symbol, first.at)
    if not traded:
        # Their cash is a fact; of shares that nobody here knows the activity stays what a finding can show.
        return Booking(_entries(rows)) if any(row.net_amount for row in rows) else None
    price = first.price or traded[0].average_price
    told = _named(first.id, [unreported_fill(FOREIGN, "", symbol, change, price, first.at)])
    booking = Booking(_entries(rows, told), told)
    return booking if _agrees(held.after(booking), broker, symbol) else None


def _agrees(held: Held, broker: Broker, *symbols: str) -> bool:
    return all(held.total(symbol) == (broker[symbol].quantity if symbol in broker else 0) for symbol in symbols)


def _split(held: Held, broker: Broker, rows: list[Activity]) -> Booking | None:
    """A split of our shares: quantity, lots and best price by one exact ratio, which shares and averages must bear out.

    With others' older shares beside ours, or a fraction to be divided between two owners, it is nobody's to guess.
    """
    first, positions = rows[0], held.positions(str(rows[0].symbol), rows[0].at)
    symbol, there = str(first.symbol), broker.get(str(first.symbol))
    if there is None or len({position.quantity > 0 for position in positions}) != 1:
        return None
    before = sum((position.quantity for position in positions), _ZERO)
    after = before + sum((row.quantity or _ZERO for row in rows), _ZERO)
    average = sum((position.cost for position in positions), _ZERO) / before
    ratio = ratio_of(before, after, average, there.average_price)
    if ratio is None or (len(positions) > 1 and not _whole(positions, ratio)):
        return None
    fills = [told for position in positions for told in restated(position, ratio, first.at)]
    fills += _fraction(positions[0], ratio, after - before, rows) if len(positions) == 1 else []
    told = _named(first.id, fills)
    booking = Booking(_entries(rows, told), told, restated=tuple(marks(positions, symbol, ratio)))
    return booking if _agrees(held.after(booking), broker, symbol) else None


def _whole(positions: Iterable[Position], ratio: Fraction) -> bool:
    """Tell whether every owner has whole shares afterwards, so that no fraction is to be divided."""
    return all((Fraction(position.quantity) * ratio).denominator == 1 for position in positions)


def ratio_of(before: Decimal, after: Decimal, average: Decimal, theirs: Decimal) -> Fraction | None:
    """Return the new shares for each old one: the simplest ratio that shares and average prices both bear out.

    The broker leaves whole shares and pays the fraction in cash, so shares alone may fit several ratios.
    """
    if before * after <= 0 or theirs <= 0:
        return None
    whole = before == before.to_integral_value() and after == after.to_integral_value()
    old, new = Fraction(abs(before)), Fraction(abs(after))
    told = Fraction(average) / Fraction(theirs)
    low, top = max(new / old, told * (1 - NEAR)), told * (1 + NEAR)
    high = min((new + 1 if whole else new) / old, top)
    if low > top:
        return None
    for parts in range(1, LARGEST_RATIO + 1):
        ratio = Fraction(-(-low * parts // 1), parts)
        if ratio < high or ratio == new / old == low:
            return ratio if ratio <= LARGEST_RATIO and ratio != 1 else None
    return None


def restated(position: Position, ratio: Fraction, at: datetime) -> Iterator[OwnedFill]:
    """Yield what turns a position into `ratio` times its shares at the same cost: the new lots come, then the old go.

    Each old lot closes at what it cost, so nothing is made or lost, and the position never stands at zero in between:
    it is no younger afterwards.
    """
    owner, symbol = position.strategy, position.symbol
    done, before = _ZERO, Fraction(0)
    for lot in position.lots:
        before += Fraction(lot.quantity)
        total = shares(before * ratio)
        if total != done:
            yield unreported_fill(owner, "", symbol, total - done, lot.quantity * lot.price / (total - done), at)
        done = total
    for lot in position.lots:
        yield unreported_fill(owner, "", symbol, -lot.quantity, lot.price, at)


def shares(exact: Fraction) -> Decimal:
    """Return a number of shares to nine places, as the broker keeps them, toward zero."""
    return (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(NINE_PLACES, ROUND_DOWN).normalize() + _ZERO


def _fraction(position: Position, ratio: Fraction, change: Decimal, rows: Sequence[Activity]) -> list[OwnedFill]:
    """Return the closing of the fraction that the broker does not keep: at what it paid, or at cost until it pays."""
    rest = shares(Fraction(position.quantity) * ratio) - position.quantity - change
    if not rest:
        return []
    paid = sum((row.net_amount for row in rows), _ZERO)
    price = abs(paid / rest) if paid else abs(position.cost / shares(Fraction(position.quantity) * ratio))
    return [unreported_fill(position.strategy, "", position.symbol, -rest, price, rows[0].at)]


def marks(positions: Iterable[Position], to: str, ratio: Fraction = Fraction(1)) -> Iterator[Restated]:
    """Yield what becomes of the best prices of our positions, which count as those of `to` from now on."""
    new, old = Decimal(ratio.numerator), Decimal(ratio.denominator)
    for position in positions:
        if position.strategy != FOREIGN:
            yield Restated(position.strategy, position.symbol, position.opened_at, to, new, old)


def _rename(held: Held, broker: Broker, rows: list[Activity]) -> Booking | None:
    """Carry every owner's lots over to the new name, at their prices and with their age."""
    totals = [held.total(str(row.symbol)) for row in rows]
    if not any(totals):
        return None
    gone, come = rows if totals[0] else rows[::-1]
    old, new = str(gone.symbol), str(come.symbol)
    positions, known = held.positions(old, gone.at), held.acknowledged.get(old, _ZERO)
    fills = [told for position in positions for told in _carried(position, new, gone.at)]
    told = _named(gone.id, fills)
    carried = ((old, _ZERO), (new, held.acknowledged.get(new, _ZERO) + known)) if known else ()
    booking = Booking(_entries(rows, told), told, carried, tuple(marks(positions, new)))
    return booking if _agrees(held.after(booking), broker, old, new) else None


def _carried(position: Position, to: str, at: datetime) -> Iterator[OwnedFill]:
    for place, lot in enumerate(position.lots):
        since = lot.at if place else position.opened_at
        yield unreported_fill(position.strategy, "", position.symbol, -lot.quantity, lot.price, at)
        yield unreported_fill(position.strategy, "", to, lot.quantity, lot.price, since)


def _merger(held: Held, broker: Broker, rows: list[Activity]) -> Booking | None:
    """Shares that were bought out for cash: every owner's are closed at the price."""
    first, symbol = rows[0], str(rows[0].symbol)
    known = held.acknowledged.get(symbol, _ZERO)
    if len(rows) != 1 or not first.price:
        return None
    positions = held.positions(symbol, first.at)
    fills = [
        unreported_fill(position.strategy, "", symbol, -position.quantity, first.price, first.at)
        for position in positions
    ]
    told = _named(first.id, fills)
    booking = Booking(_entries(rows, told), told, ((symbol, _ZERO),) if known else ())
    return booking if _agrees(held.after(booking), broker, symbol) else None


def _named(activity_id: str, fills: Sequence[OwnedFill]) -> tuple[OwnedFill, ...]:
    return named(f"activity:{activity_id}", fills, Origin.ACTIVITY, activity_id)


def named(name: str, fills: Sequence[OwnedFill], origin: Origin, about: str) -> tuple[OwnedFill, ...]:
    """Return fills that say what they stand for, each with a name of its own."""
    return tuple(
        replace(owned, fill=replace(owned.fill, activity_id=f"{name}:{part}"), origin=origin, about=about)
        for part, owned in enumerate(fills)
    )
