"""The kinds of flow facts: each is declared in its subject's file and listed here."""

from collections.abc import Collection, Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType

from tradebot.model.fact_kind import AnyKind, Kind
from tradebot.model.sentences import known_name

SUBJECTS: Mapping[str, str] = MappingProxyType({
    "congress": "insiders",
    "dark_pool": "dark_pool",
    "earnings": "calendars",
    "economic_calendar": "calendars",
    "etf_flow": "market",
    "fails_to_deliver": "shorts",
    "fda_calendar": "calendars",
    "flow_alerts": "alerts",
    "greek_exposure": "open_interest",
    "insider": "insiders",
    "institutional": "insiders",
    "iv_rank": "volatility",
    "market_breadth": "market",
    "market_gamma": "market",
    "market_tide": "market",
    "market_volatility": "market",
    "max_pain": "open_interest",
    "net_prem_ticks": "premium",
    "news": "market",
    "oi_change": "open_interest",
    "options_volume": "alerts",
    "realized_volatility": "volatility",
    "risk_reversal": "volatility",
    "sector_tide": "market",
    "short_interest": "shorts",
    "spot_gex": "open_interest",
    "term_structure": "volatility",
    "top_net_impact": "premium",
})  # fmt: skip
"""The file of each kind, by the kind's name.

Configurations, records and stored rows contain these names, so they never change.
"""


@cache
def kind_names() -> tuple[str, ...]:
    """Return the names of all kinds without importing their files."""
    return tuple(sorted(SUBJECTS))


@cache
def kind_of(name: str) -> AnyKind:
    """Return the kind of this name; raise KeyError if there is none."""
    declared = vars(import_module(f"tradebot.signals.subjects.{SUBJECTS[name]}")).values()
    kind = next((kind for kind in declared if isinstance(kind, Kind) and kind.name == name), None)
    assert kind is not None, f"{SUBJECTS[name]}.py has no kind {name}"
    return kind


@cache
def kinds() -> Mapping[str, AnyKind]:
    return {name: kind_of(name) for name in kind_names()}


def checked_kind(name: str) -> str:
    """Return the name of a kind; raise ValueError naming the nearest one if there is no such kind."""
    return known_name(name, kind_names(), "kind of flow facts")


def in_order(names: Collection[str], poll_s: Mapping[str, int]) -> tuple[AnyKind, ...]:
    """Return the kinds with these names in fetching order, which is the order of the configured intervals."""
    configured = [name for name in poll_s if name in names]
    return tuple(map(kind_of, (*configured, *sorted(set(names) - set(configured)))))
