"""Score a setup in whole points by component. Up to 95 points can be earned; up to 5 more can only be deducted."""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from tradebot.model.candidate import Component
from tradebot.strategies.smart_money.settings import PointsSettings


class Lean(StrEnum):
    """Whether a side agrees with the daily bias (ALIGNED), opposes it (COUNTER), or there is no bias (NEUTRAL)."""

    ALIGNED = "aligned"
    NEUTRAL = "neutral"
    COUNTER = "counter"


class RangeZone(StrEnum):
    """Where an entry lies in the range of the last bars."""

    ZONE = "zone"
    LEVEL = "level"
    EXTENSION = "extension"
    NOWHERE = "nowhere"


class SetupEvidence(Struct, frozen=True):
    """The evidence for a side.

    `strength` is the ADX, or None if unknown; `cost_bps` a round trip's cost, or None. `tolerated` is True if the entry
    is near the level of a change of structure but not at it. `weekly_points` is the number of points lost because the
    entry is outside the zone of the last weeks' range.
    """

    order_block: bool
    gap: bool
    break_of_structure: bool
    place: RangeZone
    lean: Lean
    strength: float | None
    cost_bps: float | None
    tolerated: bool = False
    weekly_points: int = 0


def points(evidence: SetupEvidence, rules: PointsSettings) -> dict[str, int]:
    """Return the points of each component by name; those of the component `tolerance` are zero or negative."""
    places = {RangeZone.ZONE: rules.fib, RangeZone.LEVEL: rules.fib_level, RangeZone.EXTENSION: rules.fib_extension}
    leans = {Lean.ALIGNED: rules.bias, Lean.NEUTRAL: rules.bias_neutral}
    return {
        "order_block": rules.order_block if evidence.order_block else 0,
        "gap": rules.gap if evidence.gap else 0,
        "break_of_structure": rules.break_of_structure if evidence.break_of_structure else 0,
        "fib": places.get(evidence.place, 0),
        "bias": max(leans.get(evidence.lean, 0) - evidence.weekly_points, 0),
        "strength": 0 if evidence.strength is None else _at_least(evidence.strength, rules.strengths),
        "cost": 0 if evidence.cost_bps is None else _at_most(evidence.cost_bps, rules.costs_bps),
        "tolerance": -rules.tolerance if evidence.tolerated else 0,
    }


def total(parts: Mapping[str, int]) -> int:
    """Return the score in points, never below zero."""
    return max(sum(parts.values()), 0)


def components(parts: Mapping[str, int], rules: PointsSettings, sign: int) -> tuple[Component, ...]:
    """Return the score's components: each weight is the component's maximum of points.

    The weights add up to 100, so a score is its points as a fraction of 100, with the sign of the side.
    """
    weights = {name: getattr(rules, name) for name in parts}
    return tuple(
        Component(name, sign * value / weights[name] if value else 0.0, float(weights[name]), "spot bars and quote")
        for name, value in parts.items()
    )


def _at_least(value: float, steps: Mapping[int, int]) -> int:
    return max((points for least, points in steps.items() if value >= least), default=0)


def _at_most(value: float, steps: Mapping[int, int]) -> int:
    return max((points for most, points in steps.items() if value <= most), default=0)
