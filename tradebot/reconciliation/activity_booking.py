"""Turn the broker's activities into bookings: write what each activity proves, and leave open the activities that prove
nothing. All functions here are pure.

Cash movements are proven by the activity itself. Shares are proven if the books, restated by the activity, equal the
broker's positions; otherwise a person decides. A split becomes two fills for each lot: one takes out the old shares,
the other adds the new shares at the same cost. So positions are still computed from fills alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from itertools import groupby

from msgspec import Struct, field

from tradebot.model.account import Activity, ActivityKind, Booking, BrokerPosition, Corrects, Entry, RestatedPosition
from tradebot.model.instrument import ONE, notional
from tradebot.model.position import FOREIGN, Origin, OwnedFill, Position, round_to_nine_places, unreported_fill
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.venue_day import VenueDay

_ZERO = Decimal(0)


class BooksBefore(Struct, frozen=True):
    """The books before a booking: the fills of its symbols, oldest first, and acknowledged foreign positions.

    `paid` is the cash that each earlier correction has moved, by the correction's id.
    """

    fills: tuple[OwnedFill, ...]
    acknowledged: Mapping[str, Decimal]
    paid: Mapping[str, Decimal] = field(default_factory=dict)

    def after(self, booking: Booking) -> "BooksBefore":
        fills = (*self.fills, *booking.fills)
        acknowledged = {**self.acknowledged, **dict(booking.acknowledged)}
        return BooksBefore(tuple(sorted(fills, key=lambda owned: owned.fill.at)), acknowledged, self.paid)

    def total(self, symbol: str) -> Decimal:
        """Return the signed shares of a symbol over all owners."""
        filled = sum((o.fill.signed_quantity for o in self.fills if o.fill.symbol == symbol), _ZERO)
        return filled + self.acknowledged.get(symbol, _ZERO)

    def positions(self, symbol: str, at: datetime) -> list[Position]:
        """Return each owner's open position in a symbol at a moment, without acknowledged foreign positions."""
        fills = (owned for owned in self.fills if owned.fill.symbol == symbol and owned.fill.at <= at)
        return [position for position in Totals.of(fills).positions.values() if position.quantity]


LARGEST_RATIO = 1000
NEAR = Fraction(1, 200)
"""How far the broker's average price may differ from ours, as a fraction, because it counts closed lots differently."""
NINE_PLACES = Decimal("1e-9")
_ZERO = Decimal(0)


class BookingResult(Struct, frozen=True):
    """The result of booking activities: the bookings they prove, in order, and the activities that prove nothing."""

    proven: tuple[Booking, ...]
    doubtful: tuple[Activity, ...]


Broker = Mapping[str, BrokerPosition]


def book_all(
    books_before: BooksBefore, broker: Broker, activities: Iterable[Activity], venue: VenueDay
) -> BookingResult:
    """Turn activities into bookings in time order, retrying unproven ones until no more can be proven."""
    proven, waiting, before = list[Booking](), list(_groups(activities, venue)), -1
    while len(proven) > before:
        before, doubtful = len(proven), list[list[Activity]]()
        for index, group in enumerate(waiting, 1):
            booking = _booking(books_before, _before(broker, waiting[index:]), group)
            if booking is None:
                doubtful.append(group)
            else:
                proven.append(booking)
                books_before = books_before.after(booking) if booking.fills or booking.acknowledged else books_before
        waiting = doubtful
    return BookingResult(tuple(proven), tuple(row for group in waiting for row in group))


def _before(broker: Broker, later: Sequence[list[Activity]]) -> Broker:
    """Return what the broker must have held before later splits and renames of its positions, at the same cost."""
    quantity_by_symbol = dict(broker)
    for rows in reversed(later):
        if rows[0].meaning is ActivityKind.SPLIT and (after := quantity_by_symbol.get(str(rows[0].symbol))):
            quantity = after.quantity - sum((row.quantity or _ZERO for row in rows), _ZERO)
            before = replace(after, quantity=quantity)
            price = after.value_at(after.average_price) / before.value_at(ONE) if quantity else _ZERO
            quantity_by_symbol[after.symbol] = replace(before, average_price=price)
        elif rows[0].meaning is ActivityKind.RENAME and len({row.symbol for row in rows}) == 2:
            old, new = sorted(rows, key=lambda row: str(row.symbol) in quantity_by_symbol)
            if (after := quantity_by_symbol.get(str(new.symbol))) and new.quantity:
                quantity_by_symbol[str(old.symbol)] = replace(after, symbol=str(old.symbol), quantity=new.quantity)
                quantity_by_symbol[after.symbol] = replace(after, quantity=after.quantity - new.quantity)
    return quantity_by_symbol


def _groups(activities: Iterable[Activity], venue: VenueDay) -> Iterator[list[Activity]]:
    """Group activities that belong together: one split, one merger, or one day's renames; the rest stay alone."""

    def key(activity: Activity) -> tuple[object, ...]:
        day = venue.date_of(activity.at)
        if activity.meaning in (ActivityKind.SPLIT, ActivityKind.MERGER):
            return day, activity.meaning, activity.symbol or ""
        return (day, activity.meaning) if activity.meaning is ActivityKind.RENAME else (day, "", activity.id)

    executed = sorted((activity for activity in activities if activity.executed), key=lambda row: (row.at, row.id))
    groups = [list(rows) for _, rows in groupby(sorted(executed, key=lambda activity: str(key(activity))), key=key)]
    return iter(
        sorted((part for group in groups for part in _pair_renames(group)), key=lambda rows: (rows[0].at, rows[0].id))
    )


def _pair_renames(group: list[Activity]) -> Iterator[list[Activity]]:
    """Yield renames as pairs of old and new symbol; if a row has no partner or several, yield it alone."""
    if group[0].meaning is not ActivityKind.RENAME:
        yield group
        return
    for row in group:
        others = [other for other in group if (other.quantity or 0) == -(row.quantity or 0) and other is not row]
        rivals = [other for other in group if other.quantity == row.quantity and other is not row]
        if len(others) != 1 or rivals:
            yield [row]
        elif group.index(row) < group.index(others[0]):
            yield [row, others[0]]


def _booking(books_before: BooksBefore, broker: Broker, rows: list[Activity]) -> Booking | None:
    """Return the booking of one group, or None if the broker's data doesn't prove it."""
    first = rows[0]
    if first.corrects is not None:
        return book_correction(books_before, first, first.corrects)
    if first.symbol is None or all(row.quantity is None for row in rows) or not first.meaning.moves_shares:
        return Booking(_entries(rows))
    if first.meaning is ActivityKind.OPTION_TRADE:
        return _foreign_trade(first)
    if len(rows) == 2 and first.meaning is ActivityKind.RENAME:
        # If the symbol is the same, only the security's identifier has changed.
        return Booking(_entries(rows)) if rows[0].symbol == rows[1].symbol else _rename(books_before, broker, rows)
    ours = any(position.strategy != FOREIGN for position in books_before.positions(first.symbol, first.at))
    if not ours:
        return _others_shares(books_before, broker, rows)
    if first.meaning is ActivityKind.SPLIT:
        return _split(books_before, broker, rows)
    return _merger(books_before, broker, rows) if first.meaning is ActivityKind.MERGER else None


def _entries(rows: Sequence[Activity], fills: Sequence[OwnedFill] = ()) -> tuple[Entry, ...]:
    """Return one entry for each row; the first gets the cash that the fills don't account for."""
    # A share price with infinitely many decimals leaves a remainder of a few billionths of a cent.
    rest = sum((owned.fill.notional for owned in fills), _ZERO)
    first, *others = rows
    amounts = first.net_amount + (rest if abs(rest) >= NINE_PLACES else _ZERO), *(row.net_amount for row in others)
    return tuple(
        Entry(row.id, row.kind, amount, row.words, row.at, row.symbol or "", row.sub_kind, row.meaning)
        for row, amount in zip(rows, amounts, strict=True)
    )


def _foreign_trade(activity: Activity) -> Booking:
    """Book shares that someone else's option delivered or took at its strike as a foreign trade."""
    assert activity.symbol is not None
    assert activity.quantity is not None
    price = activity.price or abs(activity.net_amount / activity.quantity)
    fills = [unreported_fill(FOREIGN, "", activity.symbol, activity.quantity, price, ONE, activity.at)] if price else []
    return _move_shares([activity], activity, fills)


def _others_shares(books_before: BooksBefore, broker: Broker, rows: list[Activity]) -> Booking | None:
    """Book foreign shares that arrived or left, by adjusting the foreign quantity; None if that isn't proven."""
    first, change = rows[0], sum((row.quantity or _ZERO for row in rows), _ZERO)
    symbol = str(first.symbol)
    acknowledged = books_before.acknowledged.get(symbol, _ZERO)
    if acknowledged:
        return _if_agreed(
            books_before, broker, Booking(_entries(rows), acknowledged=((symbol, acknowledged + change),)), symbol
        )
    traded = books_before.positions(symbol, first.at)
    if not traded:
        # Their cash is a fact. Shares that we know nothing about can only become a finding.
        return Booking(_entries(rows)) if any(row.net_amount for row in rows) else None
    price = first.price or traded[0].average_price
    fills = [unreported_fill(FOREIGN, "", symbol, change, price, traded[0].multiplier, first.at)]
    return _if_agreed(books_before, broker, _move_shares(rows, first, fills), symbol)


def _move_shares(rows: Sequence[Activity], of: Activity, fills: Sequence[OwnedFill]) -> Booking:
    """Return a group's booking that moves shares by these fills, which are named after one of its rows."""
    booked = name_fills(f"activity:{of.id}", fills, Origin.ACTIVITY, of.id)
    return Booking(_entries(rows, booked), booked)


def _if_agreed(books_before: BooksBefore, broker: Broker, booking: Booking, *symbols: str) -> Booking | None:
    after = books_before.after(booking)
    agrees = (after.total(symbol) == (broker[symbol].quantity if symbol in broker else 0) for symbol in symbols)
    return booking if all(agrees) else None


def _split(books_before: BooksBefore, broker: Broker, rows: list[Activity]) -> Booking | None:
    """Book a split of our shares: adjust quantity, lots, best and worst price by a ratio that the broker's data proves.

    Return None if it doesn't prove one.
    """
    first, positions = rows[0], books_before.positions(str(rows[0].symbol), rows[0].at)
    symbol, theirs = str(first.symbol), broker.get(str(first.symbol))
    if len({position.quantity > 0 for position in positions}) != 1:
        return None
    before = sum((position.quantity for position in positions), _ZERO)
    after = before + sum((row.quantity or _ZERO for row in rows), _ZERO)
    if not after:
        return _if_agreed(books_before, broker, _move_shares(rows, first, [*_paid_out(positions, rows)]), symbol)
    average = sum((position.cost for position in positions), _ZERO) / notional(before, ONE, positions[0].multiplier)
    # If all shares were closed before the split was listed, only the quantities tell the ratio.
    ratio = ratio_of(before, after, average, theirs.average_price if theirs else None)
    if ratio is None:
        return None
    # A fraction can't be divided among several owners.
    if len(positions) > 1 and any((Fraction(position.quantity) * ratio).denominator != 1 for position in positions):
        return None
    fills = [fill for position in positions for fill in split_fills(position, ratio, first.at)]
    fills += _fraction(positions[0], ratio, after - before, rows) if len(positions) == 1 else []
    booking = replace(_move_shares(rows, first, fills), restated=tuple(restated_extremes(positions, symbol, ratio)))
    return _if_agreed(books_before, broker, booking, symbol)


def ratio_of(before: Decimal, after: Decimal, average: Decimal, theirs: Decimal | None) -> Fraction | None:
    """Return the new shares per old share: the simplest ratio that fits both the quantities and the average prices.

    The broker pays out fractions in cash, so several ratios may fit the quantities alone. `theirs` is the broker's
    average price; None if no shares are left there.
    """
    if before * after <= 0 or (theirs is not None and theirs <= 0):
        return None
    all_whole = before == before.to_integral_value() and after == after.to_integral_value()
    old, new = Fraction(abs(before)), Fraction(abs(after))
    low, top = new / old, (new + 1) / old
    if theirs is not None:
        price_ratio = Fraction(average) / Fraction(theirs)
        low, top = max(low, price_ratio * (1 - NEAR)), price_ratio * (1 + NEAR)
    high = min((new + 1 if all_whole else new) / old, top)
    if low > top:
        return None
    for parts in range(1, LARGEST_RATIO + 1):
        ratio = Fraction(-(-low * parts // 1), parts)
        if ratio < high or ratio == new / old == low:
            return ratio if ratio <= LARGEST_RATIO and ratio != 1 else None
    return None


def split_fills(position: Position, ratio: Fraction, at: datetime) -> Iterator[OwnedFill]:
    """Yield the fills that give a position `ratio` times its shares at the same cost.

    Each old lot closes at its cost, so there is no profit or loss. New lots open before old ones close, so the position
    never drops to zero and keeps its age.
    """
    # Open the new lots before closing the old ones, each at its cost, to keep the position's age and make no profit.
    owner, symbol, multiplier = position.strategy, position.symbol, position.multiplier
    done, before = _ZERO, Fraction(0)
    for lot in position.lots:
        before += Fraction(lot.quantity)
        total = round_shares(before * ratio)
        if total != done:
            price = notional(lot.quantity, lot.price, multiplier) / notional(total - done, ONE, multiplier)
            yield unreported_fill(owner, "", symbol, total - done, price, multiplier, at)
        done = total
    for lot in position.lots:
        yield unreported_fill(owner, "", symbol, -lot.quantity, lot.price, multiplier, at)


def round_shares(exact: Fraction) -> Decimal:
    """Round a number of shares toward zero to nine decimals, the broker's precision."""
    return (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(NINE_PLACES, ROUND_DOWN).normalize() + _ZERO


def _fraction(position: Position, ratio: Fraction, change: Decimal, rows: Sequence[Activity]) -> list[OwnedFill]:
    """Return the fill that closes a fraction the broker doesn't keep, at the price it paid, or else at cost."""
    rest = round_shares(Fraction(position.quantity) * ratio) - position.quantity - change
    if not rest:
        return []
    paid = sum((row.net_amount for row in rows), _ZERO)
    whole, multiplier = round_shares(Fraction(position.quantity) * ratio), position.multiplier
    price = abs((paid / rest if paid else position.cost / whole) / multiplier)
    return [unreported_fill(position.strategy, "", position.symbol, -rest, price, multiplier, rows[0].at)]


def _paid_out(positions: Sequence[Position], rows: Sequence[Activity]) -> Iterator[OwnedFill]:
    """Yield fills that close positions of which a split left under one share, at the price paid or else at cost."""
    paid = sum((row.net_amount for row in rows), _ZERO)
    price = abs(paid / sum((position.value_at(ONE) for position in positions), _ZERO))
    for holder in positions:
        closed = holder.strategy, "", holder.symbol, -holder.quantity, price or holder.average_price, holder.multiplier
        yield unreported_fill(*closed, rows[0].at)


def restated_extremes(
    positions: Iterable[Position], to: str, ratio: Fraction = Fraction(1)
) -> Iterator[RestatedPosition]:
    """Yield how to restate the best and the worst price of each of our positions.

    The position continues under the symbol `to`, with `ratio` new shares per old share.
    """
    new, old = Decimal(ratio.numerator), Decimal(ratio.denominator)
    for position in positions:
        if position.strategy != FOREIGN:
            yield RestatedPosition(position.strategy, position.symbol, position.opened_at, to, new, old)


def _rename(books_before: BooksBefore, broker: Broker, rows: list[Activity]) -> Booking | None:
    """Book a rename: move every owner's lots to the new symbol, keeping prices and age; None if it isn't proven."""
    totals = [books_before.total(str(row.symbol)) for row in rows]
    if not any(totals):
        return None
    gone, come = rows if totals[0] else rows[::-1]
    old, new = str(gone.symbol), str(come.symbol)
    positions, acknowledged = books_before.positions(old, gone.at), books_before.acknowledged.get(old, _ZERO)
    fills = [fill for position in positions for fill in _carry_lots(position, new, gone.at)]
    carried = ((old, _ZERO), (new, books_before.acknowledged.get(new, _ZERO) + acknowledged)) if acknowledged else ()
    best = tuple(restated_extremes(positions, new))
    return _if_agreed(
        books_before, broker, replace(_move_shares(rows, gone, fills), acknowledged=carried, restated=best), old, new
    )


def _carry_lots(position: Position, to: str, at: datetime) -> Iterator[OwnedFill]:
    """Yield the fills that close each lot and open it under the new symbol at its own time."""
    # Shares that were already closed become a lot that closes at once, which keeps the original quantity.
    owner, since, price, multiplier = position.strategy, position.opened_at, position.lots[0].price, position.multiplier
    gone = (position.original_quantity - abs(position.quantity)).copy_sign(position.quantity)
    for index, lot in enumerate(position.lots):
        yield unreported_fill(owner, "", position.symbol, -lot.quantity, lot.price, multiplier, at)
        if gone and not index:
            yield unreported_fill(owner, "", to, gone, price, multiplier, since)
        yield unreported_fill(owner, "", to, lot.quantity, lot.price, multiplier, lot.at if index else since)
    if gone:
        yield unreported_fill(owner, "", to, -gone, price, multiplier, since)


def _merger(books_before: BooksBefore, broker: Broker, rows: list[Activity]) -> Booking | None:
    """Book a cash merger: close every owner's shares at the price that was paid; None if it isn't proven."""
    first, symbol = rows[0], str(rows[0].symbol)
    if len(rows) != 1 or not first.price:
        return None
    positions = books_before.positions(symbol, first.at)
    fills = [
        unreported_fill(p.strategy, "", symbol, -p.quantity, first.price, p.multiplier, first.at) for p in positions
    ]
    noted = ((symbol, _ZERO),) if books_before.acknowledged.get(symbol) else ()
    return _if_agreed(books_before, broker, replace(_move_shares(rows, first, fills), acknowledged=noted), symbol)


def name_fills(name: str, fills: Sequence[OwnedFill], origin: Origin, about: str) -> tuple[OwnedFill, ...]:
    """Return the fills with this origin and unique activity ids: the name and a number."""
    return tuple(
        replace(owned, fill=replace(owned.fill, activity_id=f"{name}:{part}"), origin=origin, about=about)
        for part, owned in enumerate(fills)
    )


def book_correction(books_before: BooksBefore, activity: Activity, of: Corrects) -> Booking | None:
    """Build the booking of a correction; None if the books don't have its fill.

    A correction gives the current values of the execution, not the change. So corrections may come in any order, and
    one may be missed. Shares of the execution that are still open get its new price as their cost; for closed shares,
    the difference is booked as cash. This is how a margin account works, and in a cash account the total cost is the
    same.
    """
    first = next((owned for owned in books_before.fills if owned.fill.activity_id == of.fill_id), None)
    if first is None or activity.quantity is None or activity.price is None:
        return None
    fill, earlier = first.fill, frozenset(of.earlier)
    since = [owned.fill for owned in books_before.fills if owned.origin is Origin.ACTIVITY and owned.about in earlier]
    quantity = fill.signed_quantity + sum((each.signed_quantity for each in since), _ZERO)
    cost = fill.notional + sum((each.notional for each in since), _ZERO)
    cost -= sum((books_before.paid.get(name, _ZERO) for name in earlier), _ZERO)
    now = activity.quantity * fill.side.sign
    added, at = now - quantity, max(activity.at, *(owned.fill.at for owned in books_before.fills))
    change = notional(now, activity.price, fill.multiplier) - cost - notional(added, activity.price, fill.multiplier)
    position = next((each for each in books_before.positions(fill.symbol, at) if each.strategy == first.strategy), None)
    holds = position is not None and position.quantity * fill.side.sign > 0
    owned_fills = [*_costing(position, change, abs(quantity), at)] if position and holds and change else []
    if added:
        owned_fills.append(unreported_fill(first.strategy, "", fill.symbol, added, activity.price, fill.multiplier, at))
    amount = _ZERO if holds else -change
    entry = Entry(
        activity.id,
        activity.kind,
        amount,
        activity.words,
        activity.at,
        activity.symbol or "",
        activity.sub_kind,
        activity.meaning,
    )
    return Booking((entry,), tuple(_name_fills(activity.id, owned_fills)))


def _costing(position: Position, change: Decimal, quantity: Decimal, at: datetime) -> Iterator[OwnedFill]:
    """Yield the fills that change a position's cost by `change`, spread over its `quantity` oldest units.

    New lots open before the old ones close, each of them at its own price, so the position keeps its age and makes no
    profit.
    """
    owner, symbol, multiplier = position.strategy, position.symbol, position.multiplier
    remaining = min(quantity, abs(position.quantity))
    more = change / notional(remaining.copy_sign(position.quantity), ONE, multiplier)
    if more != round_to_nine_places(more):
        # Thirds have infinitely many digits, so one unit takes the whole amount.
        remaining = min(remaining, ONE)
        more = change / notional(remaining.copy_sign(position.quantity), ONE, multiplier)
    for lot in position.lots:
        dearer = min(remaining, abs(lot.quantity)).copy_sign(lot.quantity)
        remaining -= abs(dearer)
        for part, price in ((dearer, lot.price + more), (lot.quantity - dearer, lot.price)):
            if part:
                yield unreported_fill(owner, "", symbol, part, price, multiplier, at)
    for lot in position.lots:
        yield unreported_fill(owner, "", symbol, -lot.quantity, lot.price, multiplier, at)


def _name_fills(name: str, fills: Sequence[OwnedFill]) -> Iterator[OwnedFill]:
    for part, owned in enumerate(fills):
        fill = replace(owned.fill, activity_id=f"activity:{name}:{part}")
        yield replace(owned, fill=fill, origin=Origin.ACTIVITY, about=name)
