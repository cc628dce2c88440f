"""A position: its state from all that the books have of it, each counted once, and what exit rules say of it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.kit.values import NOW, SESSION, held
from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.app.settings import shipped_path
from tradebot.exits.exit_rule import ExitMoment, ExitRule, Measure, WatchedPosition
from tradebot.exits.rules import evaluate_rules
from tradebot.model.bar import Quote
from tradebot.model.decision import Decision
from tradebot.model.lifecycle import NOTHING, Event, Records, State, state_of
from tradebot.model.position import ExitInputs, OwnedFill
from tradebot.model.registry import Coin, CoinHealth, DataState, Figures, Rank, RegistryRules, Tier
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace

# The rules of the registry as they ship, and coins to judge by them.


@cache
def rules() -> RegistryRules:
    """Return what a bot at Kraken Futures begins with, switched on."""
    section = load_yaml(shipped_path("venues") / "kraken_futures.yaml", shipped=True)["registry"]
    assert isinstance(section, dict)
    return RegistryRules.model_validate({**section, "enabled": True})


def figures(volume: int | str | None, spread: str = "0.001", price: str = "1") -> Figures:
    """Return complete figures, or some without a volume."""
    return Figures(None if volume is None else Decimal(volume), Decimal(spread), Decimal(price))


def quoted(bid: str, ask: str, volume: str | None = "1000000", at: datetime = NOW) -> Quote:
    """Return a quote of a coin."""
    of_day = None if volume is None else Decimal(volume)
    return Quote("PF_ADAUSD", at, Decimal(bid), Decimal(ask), Decimal(bid), None, "test", day_volume_usd=of_day)


def candles(count: int, newest: datetime, timeframe: str = "4Hour", hours: int = 4) -> Series:
    """Return candles of which the newest began at a moment."""
    from array import array

    starts = array("q", [int((newest - timedelta(hours=hours) * back).timestamp()) for back in reversed(range(count))])
    ones = array("d", [1.0] * count)
    return Series("PF_ADAUSD", timeframe, True, starts, ones, ones, ones, ones, ones)


def coin(
    symbol: str,
    tier: Tier | None = Tier.A,
    health: CoinHealth = CoinHealth.HEALTHY,
    at: datetime = NOW,
    known: bool = True,
) -> Coin:
    """Return a coin that was looked at once."""
    return Coin(symbol, Rank(tier, known, figures("6000000"), at, at), DataState(health, at, at))


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


def known(quantity: int = 10, age_s: float = 600, **outlook: object) -> WatchedPosition:
    """Return a position bought, or sold short, at 100 USD, with this outlook."""
    return replace(held(str(quantity), age_s=age_s), outlook=replace(ExitInputs(), **outlook))  # type: ignore[arg-type]


def closes(rule: ExitRule, of: WatchedPosition, price: str = "100") -> bool:
    """Return whether a rule closes a position now, at this price; the rule must be able to tell."""
    answer = rule.judge(of, ExitMoment(NOW, Decimal(price), SESSION))
    assert isinstance(answer, Measure), answer
    return answer.closes


def evaluate(*given: Any, **named: Any) -> Decision:
    """Return the decision of all rules, without what they close."""
    return evaluate_rules(*given, **named).decision
