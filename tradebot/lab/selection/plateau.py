"""The neighborhood of the best trial: a value that is right by more than luck has neighbors that earn about as much."""

from collections.abc import Mapping, Sequence
from math import inf, log
from statistics import median

from msgspec import Struct

Value = float | int | str | bool
SHARE = 0.1
FEWEST, MOST = 4, 20
"""A tenth of the other trials are neighbors, but at least and at most so many."""
PLATEAU = 0.5
"""Neighbors that earn this share of the best make a plateau."""


class Range(Struct, frozen=True):
    """From where to where a setting was tried; None for one that has no order."""

    low: float | None = None
    high: float | None = None
    log: bool = False

    def apart(self, one: Value, other: Value) -> float:
        """Return how far two values are apart, as a share of the range."""
        if self.low is None or self.high is None:
            return float(one != other)
        if self.high == self.low:
            return 0.0
        low, high, first, second = (
            log(float(value)) if self.log else float(value) for value in (self.low, self.high, one, other)
        )
        return abs(first - second) / (high - low)


class Plateau(Struct, frozen=True):
    """The best trial's value of the objective beside those of its nearest trials, of which so many are above zero."""

    best: float
    median: float
    lowest: float
    highest: float
    neighbors: int
    positive: int

    @property
    def holds(self) -> bool:
        """Return True if the neighbors earn at least half as much as the best trial."""
        return self.best > 0 and self.median >= PLATEAU * self.best


def plateau(
    best: int, values: Sequence[Mapping[str, Value]], found: Sequence[float | None], ranges: Mapping[str, Range]
) -> Plateau | None:
    """Return what the neighbors of the trial at the place `best` have found; None if there are too few trials.

    Distances are those of the setting that differs most, so that neighbors are a box around the best trial.
    """
    value = found[best]
    others = [place for place, one in enumerate(found) if one is not None and place != best]
    if value is None or len(others) < FEWEST:
        return None
    away = {place: _apart(values[best], values[place], ranges) for place in others}
    count = min(max(round(SHARE * len(others)), FEWEST), MOST)
    edge = sorted(away.values())[count - 1]
    # Trials as far away as the last neighbor are neighbors too, such as all others of a small grid.
    near = [one for place in others if away[place] <= edge and (one := found[place]) is not None]
    return Plateau(value, median(near), min(near), max(near), len(near), sum(one > 0 for one in near))


def _apart(one: Mapping[str, Value], other: Mapping[str, Value], ranges: Mapping[str, Range]) -> tuple[float, float]:
    parts = [between.apart(one[name], other[name]) for name, between in ranges.items()]
    return max(parts, default=inf), sum(parts)
