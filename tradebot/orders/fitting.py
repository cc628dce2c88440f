"""What to do so that the stops and targets that rest apart fit a position: steps, decided from what rests now.

Only stops protect. Of more stops than are needed, the loosest go first, and none goes before others that can trigger
cover every share. Of more targets than are needed, the farthest go first. Nothing is decided about an order that the
venue is still busy with. An entry that fills in parts leaves a stop for each of them; where several stops can't turn a
position around, one for all of its shares takes their place.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from tradebot.exits.lists import Levels
from tradebot.model.candidate import Side
from tradebot.model.instrument import Listing
from tradebot.model.order import OrderStatus
from tradebot.model.position import Position
from tradebot.model.reasons import Reason
from tradebot.model.resting import Resting, Whose
from tradebot.orders.protecting import on_tick

NONE = Decimal(0)


class Cover(NamedTuple):
    """What rests for a position on the side that closes it, and how many shares that should be for, unsigned.

    `position` is None if nothing is held that this side closes. `asked` are the levels of its rules, or None if nothing
    is to be added or moved: it is on its way out, it has no stop rule, or a person gave it to the bot. Orders that the
    venue is about to cancel are left out of `stops` and `targets`; `ending` are the shares of such stops that may still
    turn the position around. Without a `listing` nothing is added or moved. More stops at about the same price than
    `most_stops` give way to one for all their shares; None if they stay as they are.
    """

    whose: Whose
    side: Side
    shares: Decimal
    stops: tuple[Resting, ...]
    targets: tuple[Resting, ...]
    position: Position | None = None
    asked: Levels | None = None
    ending: Decimal = NONE
    listing: Listing | None = None
    most_stops: int | None = None

    @property
    def stop(self) -> Decimal | None:
        """Return the price in USD, on the tick, at which the stops should be; None if they stay where they are."""
        if self.listing is None or self.asked is None or self.asked.stop is None:
            return None
        return on_tick(self.listing, self.asked.stop, self.side)


class Step(NamedTuple):
    """One thing to do: bring an order to so many shares and a price, or cancel it if that is none, or place a new one.

    `old` is that order, None for a new one; the price is in USD. Once a new one rests, its `parts` are canceled.
    """

    why: Reason
    shares: Decimal = NONE
    price: Decimal = NONE
    old: Resting | None = None
    parts: tuple[Resting, ...] = ()


def stop_steps(cover: Cover, looser_by: Decimal) -> Iterator[Step]:
    """Yield what brings the stops to the shares and the price; one is moved only by more than a fraction of its own."""
    toward, excess = -cover.side.sign, total(cover.stops) - cover.shares
    left = sorted(cover.stops, key=lambda one: (price_of(one) * toward, -one.quantity))
    for one in tuple(left):
        others = total(other for other in left if other is not one and other.can_trigger)
        if one.quantity <= excess and others >= cover.shares and not is_busy(one):
            left.remove(one)
            excess -= one.quantity
            yield Step(Reason.STOP_SPARE, old=one)
    changes = tuple(_changes(cover, left, looser_by))
    yield from changes
    missing = max(cover.shares - cover.ending - total(left), NONE)
    if cover.stop is None:
        return
    if cover.most_stops is not None and not changes and total(left) <= cover.shares and not any(map(is_busy, left)):
        merged = _merged(cover, left, missing, looser_by)
        if len(merged.parts) + (merged.shares > total(merged.parts)) > cover.most_stops:
            missing -= merged.shares - total(merged.parts)
            yield merged
    if missing > 0:
        yield Step(Reason.STOP_MISSING, missing, cover.stop)


def _merged(cover: Cover, left: Sequence[Resting], missing: Decimal, within: Decimal) -> Step:
    """Return the stop that would take the place of the most others, at the tightest of their prices.

    So no stop moves away from profit, and none moves closer to it than by a fraction of its price. Shares without a
    stop are a part of it if their price is among these.
    """
    assert cover.stop is not None, "without a level nothing is added"
    own, toward = cover.stop, -cover.side.sign

    def at(price: Decimal) -> Step:
        near = tuple(one for one in left if one.can_trigger and 0 <= (price - price_of(one)) * toward <= price * within)
        more = missing if 0 <= (price - own) * toward <= price * within else NONE
        return Step(Reason.STOP_MERGED, total(near) + more, price, parts=near)

    return max(map(at, (own, *map(price_of, left))), key=lambda step: (len(step.parts), step.shares))


def _changes(cover: Cover, left: list[Resting], looser_by: Decimal) -> Iterator[Step]:
    """Yield which of the stops that stay are made smaller or moved, the loosest first."""
    toward, stop = -cover.side.sign, cover.stop
    loose = [one for one in left if stop and (stop - price_of(one)) * toward > price_of(one) * looser_by]
    # Another one may rest, or be on its way, at the price where a loose one is to be.
    wanting = cover.shares - total(one for one in left if one not in loose)
    excess = NONE if any(map(is_busy, left)) else max(total(left) - cover.shares, NONE)
    for one in (one for one in left if not is_busy(one)):
        shares = min(one.quantity - excess, wanting) if one in loose else one.quantity - excess
        if shares <= 0 or (shares == one.quantity and one not in loose):
            continue
        if one in loose and stop:
            wanting -= shares
            yield Step(Reason.STOP_TIGHTENED, shares, stop, one)
        else:
            yield Step(Reason.STOP_RESIZED, shares, price_of(one), one)
        excess -= one.quantity - shares


def target_steps(cover: Cover) -> Iterator[Step]:
    """Yield what leaves targets for no more than the shares."""
    excess = total(cover.targets) - cover.shares
    for one in sorted(cover.targets, key=lambda one: price_of(one) * cover.side.sign):
        if excess > 0 and not is_busy(one):
            shares = max(one.quantity - excess, NONE)
            excess -= one.quantity - shares
            yield Step(Reason.STOP_RESIZED if shares else Reason.STOP_SPARE, shares, price_of(one), one)


def is_busy(one: Resting) -> bool:
    """Return True if the venue is still busy with an order: it is arriving, or being replaced."""
    orders = (order for order in (one.limit, one.stop) if order)
    return any(order.status.is_arriving or order.status is OrderStatus.PENDING_REPLACE for order in orders)


def total(rests: Iterable[Resting]) -> Decimal:
    """Return for how many shares these are together, unsigned."""
    return sum((one.quantity for one in rests), NONE)


def price_of(one: Resting) -> Decimal:
    """Return the price of a stop or of a target in USD."""
    now, asked = one.stop or one.first, one.record.intent
    price = (now.limit_price or asked.limit_price) if one.is_target else (now.stop_price or asked.stop_price)
    assert price is not None, "what rests has a price"
    return price
