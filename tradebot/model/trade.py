"""Trades: each position from its first fill to its last, and the fills that belong to it.

A split changes a trade's shares but not its money; a rename changes its symbol. Profit comes from fills alone, before
fees, because the broker charges most fees to the account for a whole day; `views/trades` allocates them.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.candidate import Component, Side
from tradebot.model.decision import Decision
from tradebot.model.instrument import ONE
from tradebot.model.intent import Intent, IntentState
from tradebot.model.order import Order
from tradebot.model.position import FOREIGN, EntryTerms, Key, Origin, OwnedFill
from tradebot.model.struct_tools import replace


class TradeNote(Struct, frozen=True):
    """The tags and the note of one trade as last written; strategy, symbol and opening time identify the trade."""

    trade: Key
    tags: tuple[str, ...]
    note: str
    who: str
    at: datetime


_TOGETHER = frozenset({Origin.ACTIVITY, Origin.PLAN})
"""Origins whose fills with the same subject belong together: several fills restate one position."""


class Trade(Struct, frozen=True, omit_defaults=True):
    """One position from opening to closing; `closed_at` is None while it is open.

    `quantity` is how many shares were bought, or sold short, in all, and `closed_quantity` how many of them are closed,
    both unsigned and adjusted for splits. The prices are averages over the fills in USD per share; `exit_price` is None
    before the first exit. `realized_before_fees_usd` is the profit of the closed shares, first in, first out. The
    broker charges most fees to the account for a whole day, see `views.trades.fees`. `exit_orders` are the venue's ids
    of the orders that closed it, and `reasons` why they were sent, in the grammar of `exits.exit_reasons` or in a
    strategy's own words. The score and the fields after it are the position's stored terms, see `EntryTerms`; the
    multiplier comes from its fills.
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
    exit_orders: tuple[str, ...]
    reasons: tuple[str, ...]
    entry_score: float | None
    components: tuple[Component, ...]
    best: Decimal | None
    worst: Decimal | None
    multiplier: Decimal = ONE

    @property
    def key(self) -> Key:
        return self.strategy, self.symbol, self.opened_at

    @property
    def open_quantity(self) -> Decimal:
        return (self.quantity - self.closed_quantity) * self.side.sign

    def with_kept(self, terms: EntryTerms) -> "Trade":
        """Return the trade with its position's stored terms."""
        return replace(
            self, entry_score=terms.entry_score, components=terms.components, best=terms.best, worst=terms.worst
        )


def fills_by_position(fills: Iterable[OwnedFill]) -> dict[tuple[str, str], list[OwnedFill]]:
    """Return our fills by strategy and symbol; a renamed position's fills are under its last symbol.

    Fills proven by a statement replace the assumed ones.
    """
    positions: dict[tuple[str, str], list[OwnedFill]] = {}
    for owned in _under_last_name(_as_proven([owned for owned in fills if owned.strategy != FOREIGN])):
        positions.setdefault((owned.strategy, owned.fill.symbol), []).append(owned)
    return positions


def _as_proven(fills: list[OwnedFill]) -> list[OwnedFill]:
    """Return the fills without those that a statement disproved, and without the fills that reversed these."""
    disproved = {owned.about for owned in fills if owned.origin is Origin.STATEMENT}
    if not disproved:
        return fills
    remaining = (owned for owned in fills if owned.fill.activity_id not in disproved)
    return [owned for owned in remaining if owned.origin is not Origin.STATEMENT or owned.fill.venue_order_id]


def group_simultaneous(fills: Iterable[OwnedFill]) -> Iterator[list[OwnedFill]]:
    """Yield a position's fills in groups that take effect together; most groups have only one fill."""
    for is_alone, run in groupby(fills, key=lambda owned: owned.origin not in _TOGETHER):
        if is_alone:
            yield from ([owned] for owned in run)
        else:
            yield from (list(group) for _, group in groupby(run, key=lambda owned: owned.about))


class DisplacedClose(NamedTuple):
    """A close that makes room for another symbol: the closing order, its state, and the decisions about it."""

    intent: Intent
    state: IntentState
    verdicts: tuple[Decision, ...]


class Rename(NamedTuple):
    """A new symbol of a strategy's position, with the activity ids of the fills that moved it."""

    strategy: str
    old: str
    new: str
    at: datetime
    moved: frozenset[str]

    def of(self, key: Key) -> Key:
        """Return the key of a position after the rename."""
        strategy, symbol, opened_at = key
        concerned = (strategy, symbol) == (self.strategy, self.old) and opened_at <= self.at
        return (strategy, self.new, opened_at) if concerned else key


def renames(fills: Iterable[OwnedFill]) -> tuple[Rename, ...]:
    """Return the renames of our positions by the broker's activities, oldest first."""
    moves: dict[tuple[str, str], list[OwnedFill]] = {}
    for owned in fills:
        if owned.origin is Origin.ACTIVITY and owned.strategy != FOREIGN:
            moves.setdefault((owned.strategy, owned.about), []).append(owned)
    groups = (group for group in moves.values() if len({owned.fill.symbol for owned in group}) > 1)
    return tuple(sorted((_rename(group) for group in groups), key=lambda rename: rename.at))


def _rename(group: Sequence[OwnedFill]) -> Rename:
    when = max(owned.fill.at for owned in group)
    old = next(owned.fill.symbol for owned in group if owned.fill.at == when)
    (new,) = {owned.fill.symbol for owned in group} - {old}
    return Rename(group[0].strategy, old, new, when, frozenset(owned.fill.activity_id for owned in group))


def _under_last_name(fills: list[OwnedFill]) -> list[OwnedFill]:
    """Return the fills as if a renamed position had always had its last symbol, without the fills of the rename."""
    for rename in renames(fills):
        owned_fills = (owned for owned in fills if owned.fill.activity_id not in rename.moved)
        fills = [_rename_fill(owned, rename) for owned in owned_fills]
    return fills


def _rename_fill(owned: OwnedFill, by: Rename) -> OwnedFill:
    fill = owned.fill
    if (owned.strategy, fill.symbol) != (by.strategy, by.old) or fill.at > by.at:
        return owned
    return replace(owned, fill=replace(fill, symbol=by.new))


def split_off_restatement(held_quantity: Decimal, group: list[OwnedFill]) -> tuple[list[OwnedFill], list[OwnedFill]]:
    """Split a group of fills into those that only restate a position, as a split does, and those that trade.

    A restatement opens new lots and closes the old ones at their cost. Anything it closes beyond them is a fraction
    that the broker paid out.
    """
    if group[0].origin not in _TOGETHER:
        return [], group
    adds = [owned for owned in group if owned.fill.signed_quantity * held_quantity > 0]
    if not adds or len(adds) == len(group):
        return [], group
    restating, traded, remaining = adds, list[OwnedFill](), abs(held_quantity)
    for owned in group:
        if owned in adds:
            continue
        if remaining > 0:
            restating.append(owned)
            remaining -= owned.fill.quantity
        else:
            traded.append(owned)
    return restating, traded


class RestedStop(Struct, frozen=True):
    """A stop that the broker accepted to protect a position: when it was sent, and its price in USD per share.

    `side` is the stop's own: a long position is protected by a sell.
    """

    strategy: str
    symbol: str
    side: Side
    at: datetime
    price: Decimal


class FilledOrder(NamedTuple):
    """The fields of an order that fill statistics need; loading whole orders would take too long."""

    client_order_id: str
    stop_price: Decimal | None
    arrival_mid: Decimal | None


class OrderRequested(NamedTuple):
    """The fields of an intent that fill statistics need.

    `entry` has the values from which an entry was decided; None for any other order. `stop_price` is the price of a
    stop, including one attached to an entry.
    """

    client_order_id: str
    at: datetime
    why: str
    protects: bool
    decision_mid: Decimal | None
    send_mid: Decimal | None
    send_mid_at: datetime | None
    entry: EntryTerms | None = None
    stop_price: Decimal | None = None


OrderFacts = Order | FilledOrder
IntentFacts = Intent | OrderRequested
"""The source for a fill's facts: its order's intent, whole or in part."""


class OrderSent(NamedTuple):
    """A filled order, and the intents behind it, nearest first; empty if the bot didn't send it."""

    order: OrderFacts
    intents: tuple[IntentFacts, ...] = ()

    @property
    def traded_by(self) -> IntentFacts | None:
        """Return the intent that created the order.

        Return None if the order rested to protect a position, or if the bot didn't create it.
        """
        own = self.intents[0] if self.intents else None
        if own is None or own.protects or own.client_order_id != self.order.client_order_id:
            return None
        return own
