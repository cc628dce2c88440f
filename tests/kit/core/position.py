"""The state of a position from all that the books have of it: orders, intents and fills, each counted once."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from tradebot.model.lifecycle import NOTHING, Event, Records, State, state_of
from tradebot.model.position import OwnedFill

Happening = Event | OwnedFill


class Known(NamedTuple):
    """What is known of a position: its orders, and its fills by their ids."""

    records: Records = Records()
    fills: Mapping[str, OwnedFill] = MappingProxyType({})

    def after(self, events: Iterable[Happening]) -> "Known":
        """Return what is known after these events, in whatever order they come."""
        found = [*events]
        fills = {one.fill.activity_id: one for one in found if isinstance(one, OwnedFill)}
        others = [one for one in found if not isinstance(one, OwnedFill)]
        return Known(self.records.after(others), {**fills, **self.fills})

    def state(self, owner: str = "flow", symbol: str = "AAPL") -> State:
        """Return the state that follows, if every fill is booked."""
        booked = defaultdict[str, Decimal](Decimal)
        for one in self.fills.values():
            booked[one.fill.venue_order_id] += one.fill.quantity
        fills = [one.fill for one in self.fills.values() if (one.strategy, one.fill.symbol) == (owner, symbol)]
        held = sum((fill.signed_quantity for fill in fills), Decimal(0))
        work = self.records.work(booked).get((owner, symbol), NOTHING)
        return state_of(owner, held, work, traded=bool(fills))
