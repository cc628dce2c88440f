"""Write into the books what an execution is since it was corrected: not what has changed, but what it is now.

So the order in which corrections were heard of doesn't matter, nor how many of them were missed. What is still held at
the execution's side costs what it does now; if it is closed, the difference is cash. That is what a margined account
does, and in one that pays in full both are the same cash.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from tradebot.model.activity import Activity, Booking, Corrects, Entry
from tradebot.model.instrument import ONE, notional
from tradebot.model.position import Origin, OwnedFill, Position, to_nine_places, unreported_fill
from tradebot.model.values import replace
from tradebot.reconciliation.before import BooksBefore

_ZERO = Decimal(0)


def corrected(held: BooksBefore, one: Activity, of: Corrects) -> Booking | None:
    """Return what a correction writes; None if the books don't have its fill."""
    first = next((owned for owned in held.fills if owned.fill.activity_id == of.fill_id), None)
    if first is None or one.quantity is None or one.price is None:
        return None
    fill, earlier = first.fill, frozenset(of.earlier)
    since = [owned.fill for owned in held.fills if owned.origin is Origin.ACTIVITY and owned.about in earlier]
    quantity = fill.signed_quantity + sum((each.signed_quantity for each in since), _ZERO)
    cost = fill.notional + sum((each.notional for each in since), _ZERO)
    cost -= sum((held.paid.get(name, _ZERO) for name in earlier), _ZERO)
    now = one.quantity * fill.side.sign
    added, at = now - quantity, max(one.at, *(owned.fill.at for owned in held.fills))
    change = notional(now, one.price, fill.multiplier) - cost - notional(added, one.price, fill.multiplier)
    position = next((each for each in held.positions(fill.symbol, at) if each.strategy == first.strategy), None)
    holds = position is not None and position.quantity * fill.side.sign > 0
    made = [*_costing(position, change, abs(quantity), at)] if position and holds and change else []
    if added:
        made.append(unreported_fill(first.strategy, "", fill.symbol, added, one.price, fill.multiplier, at))
    amount = _ZERO if holds else -change
    entry = Entry(one.id, one.kind, amount, one.words, one.at, one.symbol or "", one.sub_kind, one.meaning)
    return Booking((entry,), tuple(_named(one.id, made)))


def _costing(position: Position, change: Decimal, quantity: Decimal, at: datetime) -> Iterator[OwnedFill]:
    """Yield the fills that let a position cost more by a change, and nothing else: so many of its oldest units do.

    New lots open before the old ones close, each of them at its own price, so it keeps its age and makes no profit.
    """
    owner, symbol, multiplier = position.strategy, position.symbol, position.multiplier
    left = min(quantity, abs(position.quantity))
    more = change / notional(left.copy_sign(position.quantity), ONE, multiplier)
    if more != to_nine_places(more):
        # Thirds have no end, so one unit takes all of it.
        left = min(left, ONE)
        more = change / notional(left.copy_sign(position.quantity), ONE, multiplier)
    for lot in position.lots:
        dearer = min(left, abs(lot.quantity)).copy_sign(lot.quantity)
        left -= abs(dearer)
        for part, price in ((dearer, lot.price + more), (lot.quantity - dearer, lot.price)):
            if part:
                yield unreported_fill(owner, "", symbol, part, price, multiplier, at)
    for lot in position.lots:
        yield unreported_fill(owner, "", symbol, -lot.quantity, lot.price, multiplier, at)


def _named(name: str, fills: Sequence[OwnedFill]) -> Iterator[OwnedFill]:
    for part, owned in enumerate(fills):
        fill = replace(owned.fill, activity_id=f"activity:{name}:{part}")
        yield replace(owned, fill=fill, origin=Origin.ACTIVITY, about=name)
