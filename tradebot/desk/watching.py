"""Look at each open position as exit rules see it, and keep the best and the worst price that it has seen."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from tradebot.desk.outlook import with_outlooks
from tradebot.exits.held import Held, best_price, worst_price
from tradebot.exits.lists import Exits, in_force, nearest_stop
from tradebot.exits.rules import ExitCall, judge
from tradebot.model.bar import Quote
from tradebot.model.desk import Desk
from tradebot.model.outlook import Outlook
from tradebot.model.position import Kept, Key, Marks, Position
from tradebot.model.trading import TradingState
from tradebot.ports.world import World


def watch(world: World, desk: Desk) -> Mapping[Key, Held]:
    """Return each open position with what is known about it, and store the marks that moved, all in one write."""
    held = [_held(desk, position) for position in desk.positions]
    moved = {one.position.key: Marks(one.best, one.kept.worst) for one in held if _moved(desk, one)}
    if moved and not world.dry_run:
        world.ledger.put_marks(moved)
    return {one.position.key: one for one in held}


def look(world: World, desk: Desk) -> Desk:
    """Return the desk with what the exit rules of its positions read besides prices."""
    held = with_outlooks(world, desk, [_held(desk, position) for position in desk.positions])
    return replace(desk, outlooks={one.position.key: one.outlook for one in held})


def nearest_stops(world: World, desk: Desk) -> Mapping[str, Decimal]:
    """Return the smallest move against a position that closes it, by symbol, as a fraction; none if it has no stop."""
    stops = dict[str, Decimal]()
    for position in desk.positions:
        fraction = nearest_stop(_rules(world, position, desk.books.kept.get(position.key, Kept())))
        if fraction is not None:
            stops[position.symbol] = min(fraction, stops.get(position.symbol, fraction))
    return stops


def _rules(world: World, position: Position, kept: Kept) -> Exits:
    return in_force(world.rules.exits_of(position.strategy), kept)


def closed_by_price(world: World, desk: Desk) -> Mapping[str, Mapping[Key, Decimal | None]]:
    """Return the positions that rules would close at the desk's quotes, by symbol, with the shares; None means all.

    Only rules that look at a price are asked. The desk has been looked at.
    """
    closed = defaultdict[str, dict[Key, Decimal | None]](dict)
    for position, call in _called_by_price(world, desk):
        if call.decision.passed:
            closed[position.symbol][position.key] = call.shares
    return closed


def _called_by_price(world: World, desk: Desk) -> Iterator[tuple[Position, ExitCall]]:
    for one in (_held(desk, position) for position in desk.positions):
        rules = tuple(rule for rule in _rules(world, one.position, one.kept) if rule.looks_at_price)
        quote, ratio = desk.quotes.get(one.position.symbol), desk.position_ratios.get(one.position.symbol, Decimal(1))
        yield one.position, judge(one, quote, desk.now, rules, TradingState.ACTIVE, ratio)


def _held(desk: Desk, position: Position) -> Held:
    kept = desk.books.kept.get(position.key, Kept())
    quote = desk.quotes.get(position.symbol) if _same_shares(desk, position) else None
    marks = marked(position, quote, kept)
    known = replace(kept, best=marks.best, worst=marks.worst, original_quantity=position.original_quantity)
    return Held(position, marks.best, known, desk.outlooks.get(position.key, Outlook()))


def marked(position: Position, quote: Quote | None, kept: Kept) -> Marks:
    """Return the best and the worst price that a position has seen, this quote included."""
    return Marks(best_price(position, quote, kept.best), worst_price(position, quote, kept.worst))


def _moved(desk: Desk, held: Held) -> bool:
    kept = desk.books.kept.get(held.position.key, Kept())
    return _same_shares(desk, held.position) and (kept.best, kept.worst) != (held.best, held.kept.worst)


def _same_shares(desk: Desk, position: Position) -> bool:
    """Return False if the price is for other shares than we bought, as after a split that isn't booked yet."""
    return desk.position_ratios.get(position.symbol, Decimal(1)) == 1
