"""What is known of a position besides its pieces: why it ended, what it risked, and what its fills cost."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from tradebot.model.origin import Origin
from tradebot.model.position import Kept, OwnedFill
from tradebot.model.values import replace
from tradebot.views.performance.history import History
from tradebot.views.performance.lots import Trip
from tradebot.views.performance.reasons import why_closed
from tradebot.views.performance.risk import Entered, Risk, Stops, initial_risk
from tradebot.views.slippage import Made

BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
PLACES = (35, 30, 25, 20, 15, 10, 5)
"""Where the letters of an id begin in the 40 bits of a digest that it takes: each has 5."""
_ZERO = Decimal(0)


class TripFacts:
    """Tells about positions from one account's past."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._fills = {owned.fill.activity_id: owned for owned in history.fills}
        self._stops = Stops(history.stops)
        self._restated = _restated(history.fills)
        self._closed_by: dict[str, Decimal] = defaultdict(Decimal)
        for lot in history.lots.closed:
            self._closed_by[lot.exit_fill] += lot.quantity

    def name(self, trip: Trip) -> str:
        """Return the id of a trade: letters made from its first fill, which stays its first whatever follows."""
        digest = hashlib.sha256(trip.first.entry_fill.encode()).digest()
        number = int.from_bytes(digest[:5], "big")
        return "".join([BASE32[number >> shift & 31] for shift in PLACES])

    def names(self, trip: Trip) -> Mapping[str, None]:
        """Return the symbols that a trade has had."""
        trade = trip.trade
        if (trade.strategy, trade.symbol) not in self._history.former_names:
            return {trade.symbol: None}
        entries = (self._fills[lot.entry_fill].fill.symbol for lot in trip.lots)
        return dict.fromkeys((trade.symbol, *entries))

    def kept(self, trip: Trip) -> Kept:
        """Return what the books keep of a trade besides its fills."""
        return self._history.kept.get(trip.trade.key, _NOTHING)

    def fees_usd(self, trip: Trip) -> Decimal:
        """Return a trade's share of the days' fees, in signed USD."""
        fees = self._history.fees
        return sum((fees.of(lot) for lot in trip.lots), _ZERO) if fees.shares else _ZERO

    def reasons(self, trip: Trip) -> tuple[str, ...]:
        """Return why the pieces of a trade were closed, each reason once."""
        return tuple(dict.fromkeys([why_closed(lot, self._history.sent) for lot in trip.closed]))

    def risk(self, trip: Trip) -> Risk | None:
        """Return what a trade risked when it began; None if that isn't known."""
        stop = self._stops.first_of(trip.trade, self.names(trip))
        raw = self._entered(trip) if stop else ()
        entered = [Entered(owned.fill.at, owned.fill.quantity, owned.fill.price) for owned in raw]
        return initial_risk(trip.trade, entered, stop, self.kept(trip).stop_loss_fraction, self.restated_at(trip))

    def restated_at(self, trip: Trip) -> datetime | None:
        """Return when a trade was first restated, such as by a split; None if it never was."""
        if not self._restated:
            return None
        trade, names = trip.trade, self.names(trip)
        times = (at for name in names for at in self._restated.get((trade.strategy, name), ()))
        end = trade.closed_at
        return min((at for at in times if trade.opened_at < at and (end is None or at <= end)), default=None)

    def made(self, trip: Trip) -> Iterator[Made]:
        """Yield each fill of a trade that an order of ours made; a fill of two trades is divided."""
        parts = dict[str, Decimal]()
        for lot in trip.closed:
            parts[lot.exit_fill] = parts.get(lot.exit_fill, _ZERO) + lot.quantity
        for owned in self._entered(trip):
            name = owned.fill.activity_id
            parts[name] = parts.get(name, _ZERO) + owned.fill.quantity
        for name, part in parts.items():
            fill = self._fills[name].fill
            sent = self._history.sent.get(fill.venue_order_id)
            own = sent.traded_by if sent else None
            if sent and own:
                yield Made(fill if part == fill.quantity else replace(fill, quantity=part), sent.order, own)

    def _entered(self, trip: Trip) -> list[OwnedFill]:
        """Return the fills that opened a trade, as they happened, without what they closed of the one before."""
        found = [self._fills[name] for name in dict.fromkeys(lot.entry_fill for lot in trip.lots)]
        return [_less(owned, self._closed_by.get(owned.fill.activity_id, _ZERO)) for owned in found]


_NOTHING = Kept()


def _restated(fills: Iterable[OwnedFill]) -> Mapping[tuple[str, str], list[datetime]]:
    """Return when activities and plans changed the shares of each strategy and symbol without an order."""
    found = defaultdict[tuple[str, str], list[datetime]](list)
    for owned in fills:
        if owned.origin in (Origin.ACTIVITY, Origin.PLAN):
            found[owned.strategy, owned.fill.symbol].append(owned.fill.at)
    return found


def _less(owned: OwnedFill, part: Decimal) -> OwnedFill:
    return replace(owned, fill=replace(owned.fill, quantity=owned.fill.quantity - part)) if part else owned
