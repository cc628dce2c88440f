"""The components of the flow score, one module each, which names it COMPONENT. A module here needs no other entry."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from tradebot.model.text import known_name
from tradebot.signals.scoring import ScoreComponent


@cache
def component_names() -> tuple[str, ...]:
    """Return the names of all components, which are those of their modules, without importing these."""
    return tuple(sorted(module.name for module in iter_modules(__path__)))


@cache
def component_of(name: str) -> ScoreComponent:
    """Return the component of this name; ValueError naming the nearest one if there is none."""
    component: ScoreComponent = import_module(f"{__name__}.{checked_component(name)}").COMPONENT
    assert component.name == name, f"the component {component.name} must be in {component.name}.py"
    return component


def checked_component(name: str) -> str:
    """Return a name of a component; ValueError naming the nearest one if there is no such component."""
    return known_name(name, component_names(), "component")
