"""Brute force over the settings: every one of the loader's schema, at values all over its range.

Nothing here knows how advice is searched.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tradebot.app.settings import Settings
from tradebot.app.supposing import READ
from tradebot.app.unsearched import is_searched
from tradebot.signals.components import component_names

Names = tuple[str, ...]
FACTORS = (1.02, 1.1, 1.3, 2, 5, 20, 100)


class Leaf(NamedTuple):
    """One setting of the schema: its path, its value now, and what else it may be."""

    path: Names
    value: object
    others: Sequence[object]


def leaves(settings: Settings, strategy: str) -> Iterator[Leaf]:
    """Yield the numbers, switches and choices of the loader's schema that a pass reads, of the account and a strategy.

    What advice says that it doesn't search is left out.
    """
    schema = Settings.model_json_schema()
    known, values = schema["$defs"], settings.model_dump(mode="json")
    for name, part in schema["properties"].items():
        if name == "strategies":
            section = part_of(part, known)["properties"][strategy]
            found = _leaves((name, strategy), section, values[name][strategy], known)
            yield from (one for one in found if is_searched(one.path))
        elif name in READ and is_searched((name,)):
            yield from _leaves((name,), part, values[name], known)


def part_of(part: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a reference stands for."""
    if "allOf" in part and len(part["allOf"]) == 1:
        return part_of(part["allOf"][0], known)
    return known[part["$ref"].rpartition("/")[2]] if "$ref" in part else part


def _leaves(path: Names, part: Mapping[str, Any], value: object, known: Mapping[str, Any]) -> Iterator[Leaf]:
    kinds = [part_of(one, known) for one in part_of(part, known).get("anyOf", [part])]
    kinds = [inner for kind in kinds for inner in (part_of(one, known) for one in kind.get("anyOf", [kind]))]
    section = next((kind for kind in kinds if "properties" in kind), None)
    if section is not None:
        if isinstance(value, Mapping):
            for name, inner in section["properties"].items():
                yield from _leaves((*path, name), inner, value.get(name), known)
        return
    if path[-1] == "weights" and isinstance(value, Mapping):
        for name in component_names():
            yield Leaf((*path, name), value.get(name), [*_numbers(value.get(name), 0.0, 100.0, whole=False)])
        return
    others = [one for one in dict.fromkeys(_others(kinds, value)) if one != value]
    if others:
        yield Leaf(path, value, others)


def _others(kinds: Sequence[Mapping[str, Any]], value: object) -> Iterator[Any]:
    for kind in kinds:
        yield from kind.get("enum", ())
        if kind.get("type") == "null":
            yield None
        if kind.get("type") == "boolean":
            yield from (True, False)
        if kind.get("type") in ("number", "integer"):
            least = kind.get("minimum", kind.get("exclusiveMinimum", 0))
            most = kind.get("maximum", kind.get("exclusiveMaximum", 10**6))
            yield from _numbers(value, float(least), float(most), whole=kind["type"] == "integer")


def _numbers(value: object, least: float, most: float, *, whole: bool) -> Iterator[float]:
    """Yield numbers from one end to the other, most of them near the value now."""
    now = float(value) if isinstance(value, int | float | str) and str(value)[:1].isdigit() else None
    if now:
        some = [now * factor for factor in FACTORS] + [now / factor for factor in FACTORS]
        some += [now + 1, now - 1] if whole else []
    else:
        some = [most / 10**power for power in range(1, 7)]
    for one in (least, most, *some):
        number = round(one) if whole else float(f"{one:.3g}")
        if least <= number <= most:
            yield number
