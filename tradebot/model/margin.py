"""Margin: how much the positions of a margin account use, and how far each is from liquidation.

The venue requires a fraction of a position's notional, to open it (initial) and to keep it (maintenance). The fraction
comes from the instrument's margin level with the largest threshold that the position reaches, and it applies to the
whole position. All positions share the account's equity. The venue liquidates once equity, at mark prices, is no more
than the total maintenance margin. A liquidation price assumes that only one instrument moves.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cached_property
from operator import attrgetter
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.candidate import Side
from tradebot.model.instrument import Listing, MarginLevel
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

ZERO, ALL = Decimal(0), Decimal(1)
Place = tuple[str, Side]
"""One side of an instrument, by its symbol."""
_NEARNESS = attrgetter("distance", "symbol")


class Need(NamedTuple):
    """The initial and maintenance margin of a position, in USD."""

    initial: Decimal = ZERO
    maintenance: Decimal = ZERO


def level_at(levels: Iterable[MarginLevel], quantity: Decimal, usd: Decimal = ZERO) -> MarginLevel | None:
    """Return the level with the largest threshold that a position of this size reaches, or None.

    `usd` is its unsigned notional.
    """
    size, highest = abs(quantity), None
    for level in levels:
        if level.from_quantity <= size and level.from_usd <= usd and (highest is None or _is_above(level, highest)):
            highest = level
    return highest


def _is_above(level: MarginLevel, other: MarginLevel) -> bool:
    return (level.from_quantity, level.from_usd) > (other.from_quantity, other.from_usd)


def need_of(levels: Iterable[MarginLevel], quantity: Decimal, usd: Decimal) -> Need | None:
    """Return the margin required for a position of this quantity and unsigned USD notional; None if no level
    applies.
    """
    level = level_at(levels, quantity, usd)
    return None if level is None else Need(level.initial * usd, level.maintenance * usd)


def liquidation_distance(side: Side, usd: Decimal, fraction: Decimal, headroom: Decimal) -> Decimal:
    """Return the distance from the mark to the liquidation price, as a fraction of the mark; zero if it is reached.

    `usd` is the position's unsigned notional at the mark, `fraction` is the maintenance fraction of its level, and
    `headroom` is equity minus the maintenance margin of all positions. A price move against the position by a fraction
    d costs `usd * d` of equity, while the position's own margin changes by `fraction * usd * d`: it falls with a long
    position's price and rises with a short one's. A long position's price can't fall by more than 1.
    """
    lost = usd * (1 - side.sign * fraction)
    if headroom <= 0:
        return ZERO
    if side is Side.SELL:
        return headroom / lost
    return min(headroom / lost, ALL) if lost > 0 else ALL


def liquidation_price(side: Side, mark: Decimal, distance: Decimal) -> Decimal | None:
    """Return the liquidation price: the mark, moved against the position by the fraction `distance`; None if it isn't
    above zero.
    """
    price = mark * (1 - side.sign * distance)
    return price if price > 0 else None


class PositionReach(Struct, frozen=True):
    """How large a position may become on one side of an instrument if its orders fill at their worst prices.

    It has the unsigned quantity, the notional at these prices in USD, and the loss against the mark in USD.
    """

    quantity: Decimal = ZERO
    usd: Decimal = ZERO
    loss: Decimal = ZERO

    def with_more(self, quantity: Decimal, usd: Decimal, loss: Decimal) -> "PositionReach":
        return PositionReach(self.quantity + quantity, self.usd + usd, self.loss + loss)


class Liquidation(Struct, frozen=True):
    """A symbol's distance to its liquidation price, as a fraction of the mark, and that price in USD.

    The price is None if a long position can't be liquidated by its own price alone; the distance is then 1. The mark is
    None in records of an earlier version.
    """

    symbol: str
    distance: Decimal
    price: Decimal | None
    mark: Decimal | None = None


class MarginSeen(Struct, frozen=True):
    """The margin of an account's positions as a pass observed it, in USD.

    Figures are the venue's, None if it gave none. `liquidations` are the positions' distances to liquidation, nearest
    first.
    """

    initial: Decimal | None
    maintenance: Decimal | None
    available: Decimal | None
    liquidations: tuple[Liquidation, ...]


class Margin(Struct, frozen=True, dict=True):
    """The margin of an account in USD, with every open order filled in the worst case.

    `initial`, `maintenance` and `available` are the venue's own figures for current positions; None if it gave none.
    `held` has the current positions, and `reaches` their worst case, both by symbol and side. `marks` are the prices at
    which the venue liquidates. If the venue requires more for current positions than its levels say, the difference is
    added.
    """

    initial: Decimal | None
    maintenance: Decimal | None
    available: Decimal | None
    listings: Mapping[str, Listing]
    marks: Mapping[str, Decimal]
    held: Mapping[Place, PositionReach]
    reaches: Mapping[Place, PositionReach]

    def lacking(self, *symbols: str) -> tuple[Reason, str | None] | None:
        """Return which input of the margin figures is missing, and for which symbols; None if all are known.

        `symbols` are checked in addition to the symbols of positions and orders.
        """
        if None in (self.initial, self.maintenance, self.available):
            return Reason.MARGIN_UNKNOWN, None
        reasons = Reason.MARGIN_LEVELS_UNKNOWN, Reason.MARK_UNKNOWN
        for reason, of_reaches, of_others in zip(reasons, self._lacks, self._lacks_of(symbols), strict=True):
            if lacks := sorted(of_reaches | of_others):
                return reason, ", ".join(lacks[:3])
        return None

    @cached_property
    def _lacks(self) -> tuple[frozenset[str], frozenset[str]]:
        """Return the symbols of positions and orders without margin levels, and those without a mark."""
        return self._lacks_of(symbol for symbol, _ in self.reaches)

    def _lacks_of(self, symbols: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
        names = frozenset(symbols)
        without_level = frozenset(symbol for symbol in names if not self._level(symbol, PositionReach()))
        return without_level, names.difference(self.marks)

    @cached_property
    def without_orders(self) -> "Margin":
        """Return the margin without open orders."""
        return replace(self, reaches=self.held)

    def with_order(self, symbol: str, side: Side, quantity: Decimal, usd: Decimal, price: Decimal | None) -> "Margin":
        """Return the margin with one more order that may fill; `price` is its worst price, if it has one."""
        before, loss = self.reaches.get((symbol, side), PositionReach()), self._loss(symbol, side, quantity, price)
        after = replace(self, reaches={**self.reaches, (symbol, side): before.with_more(quantity, usd, loss)})
        # All gates ask for these figures of each candidate, and only those of its own symbol differ.
        of_symbol = {key: reach for key, reach in after.reaches.items() if key[0] == symbol}
        lacks = (others | own for others, own in zip(self._lacks, self._lacks_of((symbol,)), strict=True))
        after.__dict__.update(
            _held_needs=self._held_needs, _needs={**self._needs, **self._of_symbols(of_symbol)}, _lacks=tuple(lacks)
        )
        return after

    def initial_of(self, symbol: str, side: Side, quantity: Decimal, usd: Decimal) -> Decimal:
        """Return the additional initial margin of an order; it may move the whole position to another margin level."""
        before = self.reaches.get((symbol, side), PositionReach())
        after = before.with_more(quantity, usd, ZERO)
        return self._need(symbol, after).initial - self._need(symbol, before).initial

    @cached_property
    def initial_usd(self) -> Decimal:
        """Return the initial margin of all positions and open orders."""
        extra_usd = (self.initial or ZERO) - sum((need.initial for need in self._held_needs), ZERO)
        return max(extra_usd, ZERO) + sum((need.initial for need in self._needs.values()), ZERO)

    @cached_property
    def maintenance_usd(self) -> Decimal:
        """Return the maintenance margin of all positions and open orders."""
        extra_usd = (self.maintenance or ZERO) - sum((need.maintenance for need in self._held_needs), ZERO)
        return max(extra_usd, ZERO) + sum((need.maintenance for need in self._needs.values()), ZERO)

    @cached_property
    def loss(self) -> Decimal:
        """Return the loss of the open orders against the marks if they fill at their worst prices."""
        by_symbol = {symbol: ZERO for symbol, _ in self.reaches}
        for (symbol, _), reach in self.reaches.items():
            by_symbol[symbol] = max(by_symbol[symbol], reach.loss)
        return sum(by_symbol.values(), ZERO)

    def liquidations(self, equity: Decimal) -> tuple[Liquidation, ...]:
        """Return each symbol's distance to liquidation, nearest first; `equity` is in USD.

        Symbols with missing inputs are left out.
        """
        remaining = equity - self.loss
        by_symbol = dict[str, Liquidation]()
        for (symbol, side), reach in self.reaches.items():
            level = self._level(symbol, reach)
            if reach.quantity and level and symbol in self.marks:
                distance = self._distance(symbol, side, reach, level.maintenance, remaining)
                mark = self.marks[symbol]
                liquidation = Liquidation(symbol, distance, liquidation_price(side, mark, distance), mark)
                by_symbol[symbol] = min(by_symbol.get(symbol, liquidation), liquidation, key=_NEARNESS)
        return tuple(sorted(by_symbol.values(), key=_NEARNESS))

    def as_observed(self, equity: Decimal) -> MarginSeen:
        """Return the margin figures to record: the venue's own, and how far our positions are from liquidation."""
        return MarginSeen(self.initial, self.maintenance, self.available, self.without_orders.liquidations(equity))

    def _distance(self, symbol: str, side: Side, reach: PositionReach, fraction: Decimal, equity: Decimal) -> Decimal:
        usd = self.listings[symbol].instrument.notional(reach.quantity, self.marks[symbol])
        others = self.maintenance_usd - self._needs[symbol].maintenance
        return liquidation_distance(side, usd, fraction, equity - others - fraction * usd)

    def _level(self, symbol: str, reach: PositionReach) -> MarginLevel | None:
        listing = self.listings.get(symbol)
        return level_at(listing.margin_levels, reach.quantity, self._worth(listing, reach)) if listing else None

    def _need(self, symbol: str, reach: PositionReach) -> Need:
        """Return the margin of a reach, at its worst prices or at the mark, whichever is more; zero if unknown."""
        listing = self.listings.get(symbol)
        if listing is None:
            return Need()
        return need_of(listing.margin_levels, reach.quantity, self._worth(listing, reach)) or Need()

    def _worth(self, listing: Listing, reach: PositionReach) -> Decimal:
        at_mark = listing.instrument.notional(reach.quantity, self.marks.get(listing.symbol, ZERO))
        return max(reach.usd, at_mark)

    @cached_property
    def _needs(self) -> Mapping[str, Need]:
        """Return each symbol's margin on its larger side, because the venue requires it for the net position only."""
        return self._of_symbols(self.reaches)

    @cached_property
    def _held_needs(self) -> tuple[Need, ...]:
        return tuple(self._of_symbols(self.held).values())

    def _of_symbols(self, reaches: Mapping[Place, PositionReach]) -> Mapping[str, Need]:
        needs = dict[str, Need]()
        for (symbol, _), reach in reaches.items():
            need, other = self._need(symbol, reach), needs.get(symbol, Need())
            needs[symbol] = Need(max(need.initial, other.initial), max(need.maintenance, other.maintenance))
        return needs

    def _loss(self, symbol: str, side: Side, quantity: Decimal, price: Decimal | None) -> Decimal:
        listing, mark = self.listings.get(symbol), self.marks.get(symbol)
        if listing is None or mark is None or price is None:
            return ZERO
        return max(side.sign * listing.instrument.notional(quantity, price - mark), ZERO)
