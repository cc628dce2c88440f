"""Bring targets that rest apart to the prices that are due, once the entry is over.

While an entry fills, its average price moves, and the prices of its targets with it. Following each fill would cost two
requests a target, so a target may be off by a part of its way from the entry until no entry works. Then each one that
was placed before the last fill, and is off by more than a tick, is moved once.
"""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from tradebot.model.candidate import Purpose
from tradebot.model.desk import Desk
from tradebot.model.order import Order
from tradebot.model.reasons import Reason
from tradebot.model.resting_orders import Resting
from tradebot.model.struct_tools import replace
from tradebot.orders.protection_plan import NEAR, NONE, ProtectionState, ProtectionStep, is_busy, price_of, total
from tradebot.orders.stop_protection import missing_targets, round_target_to_tick, shares_being_closed


def is_settled(desk: Desk, cover: ProtectionState) -> bool:
    """Return True if no entry of the strategy works in the symbol, or may work, so its average price stays."""
    strategy, symbol = cover.whose
    unknown = (record.intent for record in desk.books.unresolved_intents if record.intent.purpose is Purpose.OPEN)
    if any(intent.whose == cover.whose for intent in unknown):
        return False
    own = (order for order in desk.book.own_orders if (order.strategy, order.symbol) == (strategy, symbol))
    return all(order.side is cover.side for order in own)


def due_prices(cover: ProtectionState) -> Sequence[Decimal]:
    """Return where the rules want targets, in USD on the tick, the nearest first; none if they want none."""
    if cover.position is None or cover.asked is None or cover.listing is None:
        return ()
    entered = cover.position.average_price
    return [round_target_to_tick(cover.listing, target.price, cover.side, entered) for target in cover.asked.targets]


def at_due_price(cover: ProtectionState, rest: Resting, prices: Sequence[Decimal], *, settled: bool) -> Resting:
    """Return a target as if it were at the due price that it is for; as it is if none is near enough.

    Near enough is a part of the way from the entry while that fills, and one tick after it.
    """
    at, position, listing = price_of(rest), cover.position, cover.listing
    assert position is not None, "only what is held has targets that are due"
    assert listing is not None, "due prices are on a tick"

    def is_near(price: Decimal) -> bool:
        reach = listing.tick_at(price) if settled else abs(price - position.average_price) * NEAR
        return abs(price - at) <= reach

    nearest = min(filter(is_near, prices), key=lambda price: abs(price - at), default=at)
    limit: Order = replace(rest.first, limit_price=nearest)
    return replace(rest, limit=limit)


def moves(
    desk: Desk, cover: ProtectionState, can_edit: Callable[[Resting], bool], *, reduce_only: bool
) -> Iterator[ProtectionStep]:
    """Yield what brings targets to the due prices, where that is more than a tick away; nothing before it is settled.

    A venue that edits orders needs one request, unless the target grows too. Where orders only reduce, a new one is
    placed before the old one is canceled; elsewhere the old one is canceled, and the next pass places a new one.
    """
    prices, position, listing = due_prices(cover), cover.position, cover.listing
    if not prices or position is None or listing is None or cover.asked is None or not is_settled(desk, cover):
        return
    meant = [at_due_price(cover, rest, prices, settled=True) for rest in cover.targets]
    there = [rest for rest in meant if price_of(rest) in prices]
    filled = max(lot.at for lot in position.lots)
    # One that was placed later isn't off because of a fill: its level may be done, because a stop closed the shares.
    olds = (rest for rest, resting in zip(cover.targets, meant, strict=True) if resting not in there)
    off = [rest for rest in olds if rest.record.intent.at < filled]
    if not off or shares_being_closed(desk, position) or any(map(is_busy, cover.targets)):
        return
    room = max(cover.shares - total(cover.targets) + total(off), NONE)
    for at, part, word in missing_targets(desk, position, listing, cover.asked, there, room):
        if not off:
            return
        old = off.pop(0)
        if can_edit(old) and (part <= old.quantity or not reduce_only):
            yield ProtectionStep(Reason.TARGET_MOVED, min(part, old.quantity), at, old, word=word)
        elif reduce_only:
            yield ProtectionStep(Reason.TARGET_MISSING, part, at, None, (old,), word)
        else:
            yield ProtectionStep(Reason.TARGET_MOVED, old=old)
