"""A position: its state from all that the books have of it, each counted once, and what exit rules say of it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.kit.values import NOW, SESSION, held
from tradebot.exits.kind import ExitRule, Held, Measure, Moment
from tradebot.exits.rules import judge
from tradebot.model.decision import Decision
from tradebot.model.lifecycle import NOTHING, Event, Records, State, state_of
from tradebot.model.position import Outlook, OwnedFill
from tradebot.model.values import replace

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


def known(quantity: int = 10, age_s: float = 600, **outlook: object) -> Held:
    """Return a position bought, or sold short, at 100 USD, with this outlook."""
    return replace(held(str(quantity), age_s=age_s), outlook=replace(Outlook(), **outlook))  # type: ignore[arg-type]


def closes(rule: ExitRule, of: Held, price: str = "100") -> bool:
    """Return whether a rule closes a position now, at this price; the rule must be able to tell."""
    answer = rule.judge(of, Moment(NOW, Decimal(price), SESSION))
    assert isinstance(answer, Measure), answer
    return answer.closes


def evaluate(*given: Any, **named: Any) -> Decision:
    """Return the decision of all rules, without what they close."""
    return judge(*given, **named).decision
