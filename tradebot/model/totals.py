"""Running totals of an account's fills. Each fill is added once, so no pass has to read them all."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property

from msgspec import Struct, field

from tradebot.model.position import FOREIGN, Origin, OwnedFill, Position, RoundTrip, add, round_trip
from tradebot.model.venue import Settlement

TRIPS_KEPT = timedelta(days=31)
MOST_TRIPS = 500
"""How long round trips are stored after they ended, and how many of the newest."""


class Totals(Struct, frozen=True, dict=True):
    """The running totals of an account's fills.

    `positions` are by strategy and symbol, in the order of their first fills; closed positions stay, with their
    realized profit. `spent` is the net cash paid for all fills in USD, negative if more was received. `last_price` has
    the price of each symbol's last fill, and `last_traded` the time of its last fill that no activity explains.
    `last_at` is the time of the last fill, and `count` the number of fills. `round_trips` are our positions closed in
    the month before `last_at`, in closing order; only the newest if there are many. `fees` are the known fees charged
    with fills in USD.
    """

    positions: Mapping[tuple[str, str], Position] = field(default_factory=dict)
    spent: Decimal = Decimal(0)
    last_price: Mapping[str, Decimal] = field(default_factory=dict)
    last_traded: Mapping[str, datetime] = field(default_factory=dict)
    last_at: datetime | None = None
    count: int = 0
    round_trips: tuple[RoundTrip, ...] = ()
    fees: Decimal = Decimal(0)

    @classmethod
    def of(cls, fills: Iterable[OwnedFill]) -> "Totals":
        """Compute the totals of these fills, oldest first."""
        return cls().after(fills)

    def after(self, fills: Iterable[OwnedFill]) -> "Totals":
        """Return the totals with later fills added, oldest first; positions are counted first in, first out."""
        positions, spent, last_at, count = dict(self.positions), self.spent, self.last_at, self.count
        last_price, last_traded = dict(self.last_price), dict(self.last_traded)
        trips, fees = list(self.round_trips), self.fees
        for owned in fills:
            fill, key = owned.fill, (owned.strategy, owned.fill.symbol)
            before = positions.get(key) or Position(*key, (), Decimal(0))
            after = positions[key] = add(before, owned)
            trip = round_trip(before, after, owned)
            trips += [trip] if trip else []
            spent += fill.notional
            if fill.fee:
                fees += fill.fee.usd
            last_price[fill.symbol] = fill.price
            if owned.origin is not Origin.ACTIVITY:
                last_traded[fill.symbol] = fill.at
            last_at = fill.at
            count += 1
        if count == self.count:
            return self
        recent = [trip for trip in trips if last_at and trip.closed_at > last_at - TRIPS_KEPT][-MOST_TRIPS:]
        return Totals(positions, spent, last_price, last_traded, last_at, count, tuple(recent), fees)

    def own_positions(self) -> tuple[Position, ...]:
        """Return our open positions, in the order of their first fills."""
        return self._own_positions

    def cash(self, opening: Decimal, settlement: Settlement) -> Decimal:
        """Return the exact cash in USD that is left of the opening cash after all fills."""
        return opening + (self.realized_usd if settlement is Settlement.MARGINED else -self.spent) - self.fees

    @cached_property
    def cost(self) -> Decimal:
        """Return the cost of all open positions in USD; negative if more was sold short."""
        return sum((position.cost for position in self.positions.values()), Decimal(0))

    @property
    def realized_usd(self) -> Decimal:
        """Return the realized profit before fees in USD."""
        return self.cost - self.spent

    def quantities(self, acknowledged: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Return signed quantities by symbol over all owners, with acknowledged foreign ones and without zeros."""
        return _quantities(self.positions.values(), acknowledged) if acknowledged else dict(self._quantities)

    def own_quantities(self) -> dict[str, Decimal]:
        """Return our own signed quantities by symbol, over all strategies, excluding zeros."""
        return dict(self._own_quantities)

    def foreign_quantities(self, acknowledged: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Return the signed quantities that aren't ours, by symbol: acknowledged foreign positions, and shares that
        others traded.
        """
        return _quantities(self._of_others, acknowledged)

    # A pass reads these a dozen times, and closed positions accumulate over the years.
    @cached_property
    def _own_positions(self) -> tuple[Position, ...]:
        return tuple(p for p in self.positions.values() if p.quantity and p.strategy != FOREIGN)

    @cached_property
    def _quantities(self) -> dict[str, Decimal]:
        return _quantities(self.positions.values(), {})

    @cached_property
    def _own_quantities(self) -> dict[str, Decimal]:
        return _quantities((p for p in self.positions.values() if p.strategy != FOREIGN), {})

    @cached_property
    def _of_others(self) -> tuple[Position, ...]:
        return tuple(p for p in self.positions.values() if p.strategy == FOREIGN)


def _quantities(positions: Iterable[Position], start: Mapping[str, Decimal]) -> dict[str, Decimal]:
    quantity_by_symbol = dict(start)
    for position in positions:
        quantity_by_symbol[position.symbol] = quantity_by_symbol.get(position.symbol, Decimal(0)) + position.quantity
    return {symbol: quantity for symbol, quantity in quantity_by_symbol.items() if quantity}
