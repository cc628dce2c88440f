"""Read the universe from the registry's candidate symbols, which may be named as people name them.

Earlier versions had them under liquidity_tiers, by tier or as a list. That is still read, with a warning. The tiers in
it count for nothing any more, because what is traded of a coin decides on its tier.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tradebot.app.baseline import is_shipped
from tradebot.app.venues import door_to
from tradebot.errors import ConfigurationError

if TYPE_CHECKING:
    from tradebot.app.settings_schema import Sections

EARLIER = "liquidity_tiers"
SECTION, KEY = "registry", "candidate_symbols"
Layer = tuple[str, dict[str, object]]
PINNED = f"{SECTION}.pinned"
LONGEST = 5
"""How many symbols a warning names."""


def with_candidates_of_earlier_versions(layers: list[Layer]) -> tuple[list[Layer], tuple[str, ...]]:
    """Return the layers with liquidity_tiers as candidate symbols, and a warning for each that says what to write.

    Raises ConfigurationError if it lists no symbols, or if candidate symbols stand beside it.
    """
    if not any(EARLIER in layer for _, layer in layers):
        return layers, ()
    now, warnings = list[Layer](), list[str]()
    for source, layer in layers:
        translated, warning = _translated(source, layer) if EARLIER in layer else (layer, "")
        now.append((source, translated))
        warnings.extend([warning] if warning else [])
    return now, tuple(warnings)


def _translated(source: str, layer: Mapping[str, object]) -> tuple[dict[str, object], str]:
    section, names = layer.get(SECTION) or {}, [*dict.fromkeys(_names(source, layer[EARLIER]))]
    instead = f"write {SECTION}: {{{KEY}: [{', '.join(names[:LONGEST])}{', …' if len(names) > LONGEST else ''}]}}"
    if not isinstance(section, Mapping) or KEY in section:
        raise ConfigurationError(f"{EARLIER} ({source}) stands beside {SECTION}.{KEY}", f"remove {EARLIER}")
    rest = {name: value for name, value in layer.items() if name != EARLIER}
    warning = f"{EARLIER} ({source}) is read as {SECTION}.{KEY} of an earlier version; {instead}"
    return {**rest, SECTION: {**section, KEY: names}}, f"{warning}. The figures of a coin decide on its tier."


def _names(source: str, value: object) -> Iterator[str]:
    """Yield what an earlier version listed; a tier may be empty."""
    for names in value.values() if isinstance(value, Mapping) else [value]:
        if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
            message = f"{EARLIER} ({source}) has neither lists of symbols by tier nor one list"
            raise ConfigurationError(message, f"remove it, and write {SECTION}: {{{KEY}: [BTC, ETH]}}")
        yield from names


def pinned_outside(settings: "Sections", origins: Mapping[str, str]) -> tuple[str, ...]:
    """Return a warning that names the pinned coins that nothing trades, if a person pinned them.

    With discovery there is none, because a pinned coin is traded for being pinned.
    """
    registry, source = settings.registry, origins.get(PINNED) or origins.get(SECTION, "")
    if registry is None or registry.discovery or is_shipped(source):
        return ()
    symbol, traded = door_to(settings.venue).symbol, set(settings.universe)
    outside = [name for name in registry.pinned if symbol(name) not in traded]
    if not outside:
        return ()
    return (f"{PINNED} ({source}) has {', '.join(outside)}, and universe doesn't, so pinning has no effect there",)


def require_registry(merged: Mapping[str, object], origins: Mapping[str, str], having: Sequence[str]) -> None:
    """Raise ConfigurationError, in one line, if a part of a registry is set at a venue that comes without one.

    `having` are the venues whose shipped files have a registry. Somebody else's venue may have one that is set as a
    whole.
    """
    section, venue = merged.get(SECTION), str(merged["venue"])
    if not isinstance(section, Mapping) or {"tiers", "health"} <= section.keys():
        return
    at = ", ".join(having)
    raise ConfigurationError(
        f"venue ({origins['venue']}) is {venue}, and {SECTION} ({origins[SECTION]}) belongs to a venue that comes with "
        f"one: {at}. Neither do strategies work at {venue} that need bars of the spot price, as smart_money does.",
        f"write venue: {having[0]}, or remove {SECTION} and what was written for that venue",
    )


def trade_candidates(merged: dict[str, object], origins: dict[str, str]) -> None:
    """Put the registry's candidate symbols in the place of the universe, as the venue names them, if there are any.

    Raises ConfigurationError for a name that could mean several things, and if a person has set the universe too.
    """
    section = merged.get(SECTION)
    names = section.get(KEY) if isinstance(section, Mapping) else None
    if not isinstance(names, list):
        return
    path, held = f"{SECTION}.{KEY}", origins["universe"]
    source = origins.get(path) or origins[SECTION]
    if not is_shipped(held):
        message = f"universe ({held}) and {path} ({source}) both say what may be traded"
        raise ConfigurationError(message, "remove one of the two")
    try:
        symbol = door_to(str(merged["venue"])).symbol
        symbols = [symbol(str(name)) for name in names]
    except ValueError as unclear:
        raise ConfigurationError(
            f"{path} ({source}): {unclear}", "name each as the venue does, or correct it"
        ) from None
    merged["universe"], origins["universe"] = symbols, source
