"""The kinds of flow facts, one module each, which names its kind KIND, and has its row here."""

from collections.abc import Collection, Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType

from tradebot.model.kind import AnyKind
from tradebot.model.text import known_name

MODULES: Mapping[str, str] = MappingProxyType({
    "congress": "congress",
    "dark_pool": "dark_pool",
    "earnings": "earnings",
    "economic_calendar": "economic_calendar",
    "etf_flow": "etf_flow",
    "fails_to_deliver": "fails_to_deliver",
    "fda_calendar": "fda_calendar",
    "flow_alerts": "flow_alerts",
    "greek_exposure": "greek_exposure",
    "insider": "insider",
    "institutional": "institutional",
    "iv_rank": "iv_rank",
    "market_breadth": "market_breadth",
    "market_gamma": "market_gamma",
    "market_tide": "market_tide",
    "market_volatility": "market_volatility",
    "max_pain": "max_pain",
    "net_prem_ticks": "net_prem_ticks",
    "news": "news",
    "oi_change": "oi_change",
    "options_volume": "options_volume",
    "realized_volatility": "realized_volatility",
    "risk_reversal": "risk_reversal",
    "sector_tide": "sector_tide",
    "short_interest": "short_interest",
    "spot_gex": "spot_gex",
    "term_structure": "term_structure",
    "top_net_impact": "top_net_impact",
})  # fmt: skip
"""The module of each kind by its name, which configurations, records and stored rows have, and so never changes."""


@cache
def kind_names() -> tuple[str, ...]:
    """Return the names of all kinds without importing their modules."""
    return tuple(sorted(MODULES))


@cache
def kind_of(name: str) -> AnyKind:
    """Return the kind of this name; KeyError if there is none."""
    kind: AnyKind = import_module(f"{__name__}.{MODULES[name]}").KIND
    assert kind.name == name, f"{MODULES[name]}.py has the kind {kind.name}, not {name}"
    return kind


@cache
def kinds() -> Mapping[str, AnyKind]:
    return {name: kind_of(name) for name in kind_names()}


def checked_kind(name: str) -> str:
    """Return a name of a kind; ValueError naming the nearest one if there is no such kind."""
    return known_name(name, kind_names(), "kind of flow facts")


def in_order(names: Collection[str], poll_s: Mapping[str, int]) -> tuple[AnyKind, ...]:
    """Return the kinds of these names in the order in which they are fetched: that of the configured intervals."""
    configured = [name for name in poll_s if name in names]
    return tuple(map(kind_of, (*configured, *sorted(set(names) - set(configured)))))
