"""Look at each open position as exit rules see it, and keep the best and the worst price that it has seen."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from tradebot.desk.outlook import with_outlooks
from tradebot.exits.held import Held, best_price, worst_price
from tradebot.model.bar import Quote
from tradebot.model.desk import Desk
from tradebot.model.position import Kept, Key, Marks, Position
from tradebot.ports.world import World


def watch(world: World, desk: Desk) -> Mapping[Key, Held]:
    """Return each open position with what is known about it, and store the marks that moved, all in one write."""
    held = list(with_outlooks(world, desk, [_held(desk, position) for position in desk.positions]))
    moved = {one.position.key: Marks(one.best, one.kept.worst) for one in held if _moved(desk, one)}
    if moved and not world.dry_run:
        world.ledger.put_marks(moved)
    return {one.position.key: one for one in held}


def _held(desk: Desk, position: Position) -> Held:
    kept = desk.books.kept.get(position.key, Kept())
    quote = desk.quotes.get(position.symbol) if _same_shares(desk, position) else None
    marks = marked(position, quote, kept)
    known = replace(kept, best=marks.best, worst=marks.worst, original_quantity=position.original_quantity)
    return Held(position, marks.best, known)


def marked(position: Position, quote: Quote | None, kept: Kept) -> Marks:
    """Return the best and the worst price that a position has seen, this quote included."""
    return Marks(best_price(position, quote, kept.best), worst_price(position, quote, kept.worst))


def _moved(desk: Desk, held: Held) -> bool:
    kept = desk.books.kept.get(held.position.key, Kept())
    return _same_shares(desk, held.position) and (kept.best, kept.worst) != (held.best, held.kept.worst)


def _same_shares(desk: Desk, position: Position) -> bool:
    """Return False if the price is for other shares than we bought, as after a split that isn't booked yet."""
    return desk.position_ratios.get(position.symbol, Decimal(1)) == 1
