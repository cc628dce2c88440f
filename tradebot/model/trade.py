"""Trades: what became of each position from its first fill to its last, as a fold over fills and never from quotes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

from tradebot.model.candidate import Component, Side
from tradebot.model.origin import Origin
from tradebot.model.position import FOREIGN, Kept, Key, OwnedFill, Position, apply_fill

NINE_PLACES = Decimal("1e-9")
_ZERO = Decimal(0)
_TOGETHER = frozenset({Origin.ACTIVITY, Origin.PLAN})
"""Origins whose fills belong together if they are about the same thing: several fills restate one position."""


@dataclass(frozen=True, slots=True)
class Trade:
    """One position from when it was opened until it is closed; `closed_at` is None while shares are held.

    `quantity` is how many shares were bought, or sold short, in all, and `closed_quantity` how many of them are closed,
    both unsigned and in today's shares if there was a split. The prices are averages over the fills in USD per share;
    `exit_price` is None before the first exit. `realized_before_fees_usd` is the profit of what is closed, first in,
    first out. The broker charges fees to the account for a whole day, see `views.performance.fees`.
    `exit_orders` are the venue's ids of the orders that closed it, and `reasons` why they were sent, in the grammar
    of `exits.why` or in a strategy's own words. The last four are what the books keep of a position besides its fills,
    see `Kept`.
    """

    strategy: str
    symbol: str
    side: Side
    opened_at: datetime
    closed_at: datetime | None
    quantity: Decimal
    closed_quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal | None
    realized_before_fees_usd: Decimal
    exit_orders: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    entry_score: float | None = None
    components: tuple[Component, ...] = ()
    best: Decimal | None = None
    worst: Decimal | None = None

    @property
    def open_quantity(self) -> Decimal:
        """Return the signed shares that are still held."""
        return (self.quantity - self.closed_quantity) * self.side.sign

    def with_kept(self, kept: Kept) -> "Trade":
        """Return the trade with what the books keep of its position besides fills."""
        return replace(
            self,
            entry_score=kept.entry_score,
            components=kept.components,
            best=kept.best,
            worst=kept.worst,
        )


def trades(fills: Iterable[OwnedFill]) -> tuple[Trade, ...]:
    """Return a trade for each position of ours in these fills, in the order in which they were opened.

    The fills must be in the order of the books, and begin where each of these positions was flat.
    """
    found = (trade for of_one in by_position(fills).values() for trade in _of_position(of_one))
    return tuple(sorted(found, key=lambda trade: trade.opened_at))


def by_position(fills: Iterable[OwnedFill]) -> dict[tuple[str, str], list[OwnedFill]]:
    """Return our fills by strategy and symbol, those of a renamed position as if it had always had its last symbol."""
    positions: dict[tuple[str, str], list[OwnedFill]] = {}
    for owned in _under_last_name([owned for owned in fills if owned.strategy != FOREIGN]):
        positions.setdefault((owned.strategy, owned.fill.symbol), []).append(owned)
    return positions


def together(fills: Iterable[OwnedFill]) -> Iterator[list[OwnedFill]]:
    """Yield the fills of one position in the groups in which they have an effect: most have it alone."""
    for is_alone, run in groupby(fills, key=lambda owned: owned.origin not in _TOGETHER):
        if is_alone:
            yield from ([owned] for owned in run)
        else:
            yield from (list(group) for _, group in groupby(run, key=lambda owned: owned.about))


class Rename(NamedTuple):
    """A new symbol for what a strategy held under an old one, with the activity ids of the fills that moved it."""

    strategy: str
    old: str
    new: str
    at: datetime
    moved: frozenset[str]

    def of(self, key: Key) -> Key:
        """Return what names a position from now on."""
        strategy, symbol, opened_at = key
        concerned = (strategy, symbol) == (self.strategy, self.old) and opened_at <= self.at
        return (strategy, self.new, opened_at) if concerned else key


def renames(fills: Iterable[OwnedFill]) -> tuple[Rename, ...]:
    """Return the new symbols that the broker's activities gave to positions of ours, oldest first."""
    moves: dict[tuple[str, str], list[OwnedFill]] = {}
    for owned in fills:
        if owned.origin is Origin.ACTIVITY and owned.strategy != FOREIGN:
            moves.setdefault((owned.strategy, owned.about), []).append(owned)
    groups = (group for group in moves.values() if len({owned.fill.symbol for owned in group}) > 1)
    return tuple(sorted((_rename(group) for group in groups), key=lambda one: one.at))


def _rename(group: Sequence[OwnedFill]) -> Rename:
    when = max(owned.fill.at for owned in group)
    old = next(owned.fill.symbol for owned in group if owned.fill.at == when)
    (new,) = {owned.fill.symbol for owned in group} - {old}
    return Rename(group[0].strategy, old, new, when, frozenset(owned.fill.activity_id for owned in group))


def _under_last_name(fills: list[OwnedFill]) -> list[OwnedFill]:
    """Return the fills as if a renamed position had always had its last symbol, without those that moved it there."""
    for one in renames(fills):
        kept = (owned for owned in fills if owned.fill.activity_id not in one.moved)
        fills = [_renamed(owned, one) for owned in kept]
    return fills


def _renamed(owned: OwnedFill, by: Rename) -> OwnedFill:
    fill = owned.fill
    if (owned.strategy, fill.symbol) != (by.strategy, by.old) or fill.at > by.at:
        return owned
    return replace(owned, fill=replace(fill, symbol=by.new))


class _Sums(NamedTuple):
    """What the fills of one trade add up to so far, unsigned and in today's shares."""

    entered: Decimal = _ZERO
    paid: Decimal = _ZERO
    left: Decimal = _ZERO
    received: Decimal = _ZERO
    realized: Decimal = _ZERO
    orders: tuple[str, ...] = ()


def _of_position(fills: list[OwnedFill]) -> Iterator[Trade]:
    """Yield the trades of one strategy in one symbol, oldest first."""
    position, sums = Position(fills[0].strategy, fills[0].fill.symbol, (), _ZERO), _Sums()
    for group in together(fills):
        restating, traded = divided(position.quantity, group)
        if restating:
            held = position.quantity
            for owned in restating:
                position = apply_fill(position, owned.fill)
            sums = _restated(sums, position.quantity / held)
        for owned in traded:
            before, position = position, apply_fill(position, owned.fill)
            closing = _closing(before.quantity, owned.fill.signed_quantity)
            if closing:
                sums = _closed(sums, owned, closing, position.realized_pnl - before.realized_pnl)
            if closing and closing == abs(before.quantity):
                yield _trade(before, sums, owned.fill.at)
                sums = _Sums()
            opening = owned.fill.quantity - closing
            if opening:
                entered, paid = sums.entered + opening, sums.paid + opening * owned.fill.price
                sums = _Sums(entered, paid, *sums[2:])
    if position.quantity:
        yield _trade(position, sums, None)


def divided(held: Decimal, group: list[OwnedFill]) -> tuple[list[OwnedFill], list[OwnedFill]]:
    """Return the fills of a group that only restate a position of `held` shares, as a split does, and those that trade.

    A restatement opens new lots and closes the old ones at their cost. What it closes beyond them is a fraction that
    the broker paid for.
    """
    if group[0].origin not in _TOGETHER:
        return [], group
    adds = [owned for owned in group if owned.fill.signed_quantity * held > 0]
    if not adds or len(adds) == len(group):
        return [], group
    restating, traded, left = adds, list[OwnedFill](), abs(held)
    for owned in group:
        if owned in adds:
            continue
        if left > 0:
            restating.append(owned)
            left -= owned.fill.quantity
        else:
            traded.append(owned)
    return restating, traded


def _restated(sums: _Sums, ratio: Decimal) -> _Sums:
    entered, left = ((each * ratio).quantize(NINE_PLACES).normalize() + _ZERO for each in (sums.entered, sums.left))
    return sums._replace(entered=entered, left=left)


def _closing(held: Decimal, change: Decimal) -> Decimal:
    """Return how many shares of a position a change closes, unsigned."""
    return min(abs(held), abs(change)) if held * change < 0 else _ZERO


def _closed(sums: _Sums, owned: OwnedFill, quantity: Decimal, realized: Decimal) -> _Sums:
    order = owned.fill.venue_order_id
    return _Sums(
        sums.entered,
        sums.paid,
        sums.left + quantity,
        sums.received + quantity * owned.fill.price,
        sums.realized + realized,
        sums.orders if not order or order in sums.orders else (*sums.orders, order),
    )


def _trade(position: Position, sums: _Sums, closed_at: datetime | None) -> Trade:
    return Trade(
        strategy=position.strategy,
        symbol=position.symbol,
        side=Side.BUY if position.quantity > 0 else Side.SELL,
        opened_at=position.opened_at,
        closed_at=closed_at,
        quantity=sums.entered,
        closed_quantity=sums.left,
        entry_price=sums.paid / sums.entered,
        exit_price=sums.received / sums.left if sums.left else None,
        realized_before_fees_usd=sums.realized,
        exit_orders=sums.orders,
    )
