"""The kinds of flow facts, one module each, which names its kind KIND. A module in this folder needs no other entry."""

from collections.abc import Collection, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from tradebot.model.kind import AnyKind
from tradebot.model.text import known_name


@cache
def kind_names() -> tuple[str, ...]:
    """Return the names of all kinds, which are those of their modules, without importing these."""
    return tuple(sorted(module.name for module in iter_modules(__path__)))


@cache
def kind_of(name: str) -> AnyKind:
    """Return the kind of this name; KeyError if there is none."""
    if name not in kind_names():
        raise KeyError(name)
    kind: AnyKind = import_module(f"{__name__}.{name}").KIND
    assert kind.name == name, f"the kind {kind.name} must be in {kind.name}.py"
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
