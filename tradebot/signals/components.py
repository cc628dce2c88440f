"""The components of the flow score: each is declared in its subject's file and listed here."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType

from tradebot.model.sentences import known_name
from tradebot.signals.scoring import ScoreComponent

SUBJECTS: Mapping[str, str] = MappingProxyType({
    "burst": "patterns",
    "calendar_catalyst": "calendars",
    "clusters": "patterns",
    "congress": "insiders",
    "dark_pool": "dark_pool",
    "etf_flow": "market",
    "event_alignment": "calendars",
    "flow": "alerts",
    "freshness": "patterns",
    "greek_exposure": "open_interest",
    "insider": "insiders",
    "institutional": "insiders",
    "iv_rank": "volatility",
    "iv_term_skew": "volatility",
    "market_tide": "market",
    "max_pain": "open_interest",
    "net_premium": "premium",
    "oi_change": "open_interest",
    "realized_volatility": "volatility",
    "regime": "market",
    "sector_tide": "market",
    "shorts": "shorts",
    "smile_slope": "volatility",
    "spot_gex": "open_interest",
    "squeeze": "shorts",
    "squeeze_score": "shorts",
    "staircase": "patterns",
    "sweep_block": "patterns",
    "top_net_impact": "premium",
    "toxicity": "premium",
    "whale_persistence": "patterns",
})  # fmt: skip
"""The file of each component, by the component's name.

Configurations and records contain these names, so they never change.
"""


@cache
def component_names() -> tuple[str, ...]:
    """Return the names of all components without importing their files."""
    return tuple(sorted(SUBJECTS))


@cache
def component_of(name: str) -> ScoreComponent:
    """Return the component of this name; raise ValueError naming the nearest one if there is none."""
    subject = SUBJECTS[checked_component(name)]
    declared = vars(import_module(f"tradebot.signals.subjects.{subject}")).values()
    component = next((part for part in declared if isinstance(part, ScoreComponent) and part.name == name), None)
    assert component is not None, f"{subject}.py has no component {name}"
    return component


def checked_component(name: str) -> str:
    """Return the name of a component; raise ValueError naming the nearest one if there is no such component."""
    return known_name(name, component_names(), "component")
