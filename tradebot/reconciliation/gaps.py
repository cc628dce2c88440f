"""Gaps in protection: whole shares of our positions for which no stop at the venue can trigger, since when, and why.

A gap lasts until the shares are gone or a stop rests. Sending an exit ends no gap, whatever its answer. A fill that the
next pass protects in time is no gap.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from tradebot.exits.held import Held, best_price
from tradebot.exits.lists import Exits, in_force, levels
from tradebot.model.books import Books
from tradebot.model.candidate import Purpose
from tradebot.model.instrument import Instrument, whole_lots
from tradebot.model.intent import IntentRecord, IntentState, Operation
from tradebot.model.lifecycle import can_trigger
from tradebot.model.limits import ExitRules, Protection
from tradebot.model.order import Order, OrderStatus
from tradebot.model.position import ADOPTED, Position
from tradebot.model.record import EXITING, NOT_PLACED, REFUSED, Gap
from tradebot.model.resting import Resting, Whose

_NO_LOSS = frozenset({OrderStatus.FILLED, OrderStatus.REJECTED, OrderStatus.REPLACED})
"""States in which a stop can't trigger, although none was lost: it acted, never rested, or goes on as another."""


class _Lapse(NamedTuple):
    """A stop that could trigger until then, and its state since."""

    at: datetime
    state: str


def gaps(
    books: Books, resting: Mapping[Whose, Sequence[Resting]], exits: ExitRules, exits_of: Callable[[str], Exits]
) -> Iterator[Gap]:
    """Yield our positions of which whole shares have no stop at the venue that can trigger.

    Positions that need none are left out: by the configuration, because no rule has a stop now, or as adopted.
    """
    if exits.protection is Protection.BOT:
        return
    for position in books.totals.own_positions():
        rests = resting.get(position.whose, ())
        bare = _whole(position) - sum((_protected(books, pair) for pair in rests), Decimal(0))
        if bare > 0 and position.strategy != ADOPTED and _has_stop(books, position, exits_of):
            yield _gap(books, position, bare)


def _whole(position: Position) -> Decimal:
    return whole_lots(Instrument(position.symbol), abs(position.quantity))


def _protected(books: Books, pair: Resting) -> Decimal:
    """Return for how many shares a stop can trigger, or will by the next look because it was sent just now."""
    sent = pair.record.intent
    arrives = sent.at >= books.at and sent.protects and (pair.stop is None or pair.stop.status.is_arriving)
    if pair.ending or any(_is_canceled_now(books, order) for order in (pair.limit, pair.stop) if order):
        return Decimal(0)
    return pair.quantity if pair.can_trigger or arrives else Decimal(0)


def _is_canceled_now(books: Books, order: Order) -> bool:
    """Return True if a cancel was sent just now, which the venue's last report doesn't show yet."""
    cancels = (record for record in books.intents if record.intent.operation is Operation.CANCEL)
    sent = (record for record in cancels if record.intent.at >= books.at and record.state is not IntentState.REJECTED)
    return any(record.intent.target_venue_id in (order.venue_id, order.parent) for record in sent)


def _has_stop(books: Books, position: Position, exits_of: Callable[[str], Exits]) -> bool:
    kept = books.kept_of(position)
    held = Held(position, best_price(position, None, kept.best), kept)
    return levels(held, in_force(exits_of(position.strategy), kept)).stop is not None


def _gap(books: Books, position: Position, bare: Decimal) -> Gap:
    bought = _bought(position, bare)
    last = max((one for one in _lapses(books, position) if one.at >= bought), default=None)
    if _is_exiting(books, position):
        why = EXITING
    elif last is not None:
        why = last.state
    else:
        why = _never_rested(books, position)
    return Gap(position.strategy, position.symbol, bare, last.at if last else bought, why)


def _bought(position: Position, bare: Decimal) -> datetime:
    """Return when the first of the shares without a stop was bought: the newest shares are the ones without.

    With none that has one, that is when the position was opened, whatever a split has made of its lots.
    """
    if bare >= _whole(position):
        return position.opened_at
    for lot in sorted(position.lots, key=lambda lot: lot.at, reverse=True):
        bare -= abs(lot.quantity)
        if bare <= 0:
            return lot.at
    return position.opened_at


def _lapses(books: Books, position: Position) -> Iterator[_Lapse]:
    """Yield the stops of a position that can't trigger anymore."""
    known = {order.venue_id: order for order in books.orders}
    for order in books.orders:
        record = books.intent_behind(order) if order.stop_price is not None else None
        if record is None or not (record.intent.rests and _is_of(record, position)):
            continue
        if not order.status.terminal and _is_canceled_now(books, order):
            yield _Lapse(books.at, OrderStatus.PENDING_CANCEL.value)
            continue
        parent = known.get(order.parent or "")
        waits = can_trigger(order, record.intent) or order.status.is_arriving
        acted = order.status in _NO_LOSS or (parent is not None and parent.status is OrderStatus.FILLED)
        if not (waits or acted):
            yield _Lapse(_ended(order, record), order.status.value)


def _ended(order: Order, record: IntentRecord) -> datetime:
    return order.updated_at or order.submitted_at or record.intent.at


def _is_exiting(books: Books, position: Position) -> bool:
    """Return True if an exit works, or may: its outcome isn't known."""
    behind = (books.intent_behind(order) for order in books.working if order.stop_price is None)
    sent = (record for record in (*behind, *books.unresolved) if record and record.intent.makes_order)
    exits = (record for record in sent if record.intent.purpose is not Purpose.OPEN and not record.intent.protects)
    return any(_is_of(record, position) for record in exits)


def _never_rested(books: Books, position: Position) -> str:
    """Return why no stop has rested yet."""
    sent = [record for record in books.intents if record.intent.protects and _is_of(record, position)]
    last = next((r for r in reversed(sent) if r.intent.makes_order and r.intent.at >= position.opened_at), None)
    if last is None:
        return NOT_PLACED
    return REFUSED if last.state is IntentState.REJECTED else OrderStatus.UNKNOWN.value


def _is_of(record: IntentRecord, position: Position) -> bool:
    return (record.intent.key.strategy, record.intent.key.symbol) == position.whose
