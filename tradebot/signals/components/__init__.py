"""The components of the flow score, one module each, which names it COMPONENT, and has its row here."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType

from tradebot.model.text import known_name
from tradebot.signals.scoring import ScoreComponent

MODULES: Mapping[str, str] = MappingProxyType({
    "burst": "burst",
    "calendar_catalyst": "calendar_catalyst",
    "clusters": "clusters",
    "congress": "congress",
    "dark_pool": "dark_pool",
    "etf_flow": "etf_flow",
    "event_alignment": "event_alignment",
    "flow": "flow",
    "freshness": "freshness",
    "greek_exposure": "greek_exposure",
    "insider": "insider",
    "institutional": "institutional",
    "iv_rank": "iv_rank",
    "iv_term_skew": "iv_term_skew",
    "market_tide": "market_tide",
    "max_pain": "max_pain",
    "net_premium": "net_premium",
    "oi_change": "oi_change",
    "realized_volatility": "realized_volatility",
    "regime": "regime",
    "sector_tide": "sector_tide",
    "shorts": "shorts",
    "smile_slope": "smile_slope",
    "spot_gex": "spot_gex",
    "squeeze": "squeeze",
    "squeeze_score": "squeeze_score",
    "staircase": "staircase",
    "sweep_block": "sweep_block",
    "top_net_impact": "top_net_impact",
    "toxicity": "toxicity",
    "whale_persistence": "whale_persistence",
})  # fmt: skip
"""The module of each component by its name, which configurations and records have, and so never changes."""


@cache
def component_names() -> tuple[str, ...]:
    """Return the names of all components without importing their modules."""
    return tuple(sorted(MODULES))


@cache
def component_of(name: str) -> ScoreComponent:
    """Return the component of this name; ValueError naming the nearest one if there is none."""
    module = MODULES[checked_component(name)]
    component: ScoreComponent = import_module(f"{__name__}.{module}").COMPONENT
    assert component.name == name, f"{module}.py has the component {component.name}, not {name}"
    return component


def checked_component(name: str) -> str:
    """Return a name of a component; ValueError naming the nearest one if there is no such component."""
    return known_name(name, component_names(), "component")
