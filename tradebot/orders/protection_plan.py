"""Plan how to fit separate stops and targets to a position, given the orders that rest now.

Only stops protect. Surplus stops are canceled loosest first, and none before other working stops cover every share.
Surplus targets are canceled farthest first. An order that the venue is still processing is left alone.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple

from tradebot.exits.rules import ExitLevels
from tradebot.model.candidate import Side
from tradebot.model.instrument import Listing
from tradebot.model.order import OrderStatus
from tradebot.model.position import Position
from tradebot.model.reasons import Reason
from tradebot.model.resting_orders import HoldingKey, Resting
from tradebot.orders.stop_protection import round_stop_to_tick

ZERO = Decimal(0)
NEAR = Decimal("0.2")
"""Orders are merged if their prices are within this fraction of the distance between entry and due price."""


class ProtectionState(NamedTuple):
    """The resting orders on a position's closing side, and how many shares they should cover, unsigned.

    `position` is None if there is no position for this side to close. `levels` are the levels of its exit rules. They
    are None if no order should be added or moved: the position is being closed, has no stop rule, or was assigned to
    the bot by a person. Orders that the venue is about to cancel are left out of `stops` and `targets`. `ending` is how
    many shares of such stops could still reverse the position. Without a `listing` no order is added or moved.
    """

    holding: HoldingKey
    side: Side
    shares: Decimal
    stops: tuple[Resting, ...]
    targets: tuple[Resting, ...]
    position: Position | None = None
    levels: ExitLevels | None = None
    ending: Decimal = ZERO
    listing: Listing | None = None

    @property
    def stop(self) -> Decimal | None:
        """Return the price in USD, on the tick, to which stops should move; None if they stay."""
        if self.listing is None or self.levels is None or self.levels.stop is None:
            return None
        return round_stop_to_tick(self.listing, self.levels.stop, self.side)


class ProtectionStep(NamedTuple):
    """One step of a protection plan: resize, move, cancel or place an order.

    `old` is the order to change, or None to place a new one. `shares` is the new size, or zero to cancel. The price is
    in USD. The step also replaces the orders in `others`; `word` names its exit rule.
    """

    why: Reason
    shares: Decimal = ZERO
    price: Decimal = ZERO
    old: Resting | None = None
    others: tuple[Resting, ...] = ()
    word: str | None = None


def stop_steps(protection: ProtectionState, looser_by: Decimal) -> Iterator[ProtectionStep]:
    """Yield the steps that fit the stops to the shares and the price.

    A stop is moved only if it would move by more than the fraction `looser_by` of its own price.
    """
    remaining = sorted(protection.stops, key=lambda leg: (price_of(leg) * -protection.side.sign, -leg.quantity))
    for rest in tuple(remaining):
        others = total_shares(other for other in remaining if other is not rest and other.can_trigger)
        if others >= protection.shares and not is_busy(rest):
            remaining.remove(rest)
            yield ProtectionStep(Reason.STOP_SPARE, old=rest)
    yield from _changes(protection, remaining, looser_by)
    missing = protection.shares - protection.ending - total_shares(remaining)
    if missing > 0 and protection.stop is not None:
        yield ProtectionStep(Reason.STOP_MISSING, missing, protection.stop)


def _changes(protection: ProtectionState, remaining: list[Resting], looser_by: Decimal) -> Iterator[ProtectionStep]:
    """Yield the steps that shrink or move stops that stay, the loosest first."""
    toward, stop = -protection.side.sign, protection.stop
    loose = [rest for rest in remaining if stop and (stop - price_of(rest)) * toward > price_of(rest) * looser_by]
    # An order for the uncovered part may already rest, or be on its way, at this price.
    wanting = protection.shares - total_shares(rest for rest in remaining if rest not in loose)
    excess = ZERO if any(map(is_busy, remaining)) else max(total_shares(remaining) - protection.shares, ZERO)
    for resting in (rest for rest in remaining if not is_busy(rest)):
        shares = min(resting.quantity - excess, wanting) if resting in loose else resting.quantity - excess
        if shares <= 0 or (shares == resting.quantity and resting not in loose):
            continue
        if resting in loose and stop:
            wanting -= shares
            yield ProtectionStep(Reason.STOP_TIGHTENED, shares, stop, resting)
        else:
            yield ProtectionStep(Reason.STOP_RESIZED, shares, price_of(resting), resting)
        excess -= resting.quantity - shares


def merge_stops(protection: ProtectionState, steps: tuple[ProtectionStep, ...]) -> tuple[ProtectionStep, ...]:
    """Replace several stops, or an old and a new one, by a single stop, unless some are surplus.

    The new stop has the tightest price. It works beside the old ones for a moment, so this needs reduce-only orders.
    """
    stop, new = protection.stop, sum((step.shares for step in steps if step.old is None), ZERO)
    if stop is None or protection.position is None or total_shares(protection.stops) > protection.shares:
        return steps
    way, toward = abs(protection.position.average_price - stop) * NEAR, -protection.side.sign
    near = [stop for stop in protection.stops if stop.can_trigger and stop.record.intent.protects and not is_busy(stop)]
    near = [rest for rest in near if (price_of(rest) - stop) * toward <= way]
    if len(near) + bool(new) < 2 or not near or any(step.old not in near for step in steps if step.old):
        return steps
    price = max((stop, *map(price_of, near)), key=lambda each: each * toward)
    return (ProtectionStep(Reason.STOP_RESIZED, total_shares(near) + new, price, near[0], tuple(near[1:])),)


def target_steps(protection: ProtectionState) -> Iterator[ProtectionStep]:
    """Yield the steps that cancel or shrink targets in excess of the shares."""
    excess = total_shares(protection.targets) - protection.shares
    for rest in sorted(protection.targets, key=lambda leg: price_of(leg) * protection.side.sign):
        if excess > 0 and not is_busy(rest):
            shares = max(rest.quantity - excess, ZERO)
            excess -= rest.quantity - shares
            yield ProtectionStep(Reason.STOP_RESIZED if shares else Reason.STOP_SPARE, shares, price_of(rest), rest)


def is_busy(rest: Resting) -> bool:
    """Return True if the venue is still processing an order: it is arriving, or being replaced."""
    orders = (order for order in (rest.limit, rest.stop) if order)
    return any(order.status.is_arriving or order.status is OrderStatus.PENDING_REPLACE for order in orders)


def total_shares(rests: Iterable[Resting]) -> Decimal:
    """Return the total shares of these orders, unsigned."""
    return sum((rest.quantity for rest in rests), ZERO)


def price_of(rest: Resting) -> Decimal:
    """Return the price of a stop or of a target in USD."""
    now, intent = rest.stop or rest.first, rest.record.intent
    price = (now.limit_price or intent.limit_price) if rest.is_target else (now.stop_price or intent.stop_price)
    assert price is not None, "a resting order must have a price"
    return price
