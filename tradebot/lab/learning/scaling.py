"""Scale features by means and deviations of the span that a policy is trained on, and of no other."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from tradebot.errors import TradebotError
from tradebot.signals.features.state import state_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tradebot.signals.features.state import DecisionState

MOST = 5.0
"""Where scaled features are clipped, on both sides."""


class FittedScaling(Struct, frozen=True):
    """The mean and the deviation of each feature by name, in the order of an observation."""

    names: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.means) == len(self.deviations):
            raise TradebotError("a scaling has a mean and a deviation for each of its features", "fit it again")
        numbers = zip(self.names, self.means, self.deviations, strict=True)
        if bad := [name for name, mean, deviation in numbers if not (isfinite(mean) and 0 < deviation < np.inf)]:
            raise TradebotError(f"no mean or deviation to scale with: {', '.join(bad)}", "fit it on a longer span")

    def observation(self, values: Mapping[str, float], state: DecisionState) -> NDArray[np.float32] | str:
        """Return what a policy observes: scaled features, then the state; or why there is no such thing."""
        found = [values.get(name) for name in self.names]
        if absent := [name for name, value in zip(self.names, found, strict=True) if value is None]:
            return f"absent: {', '.join(absent)}"
        raw = np.array(found, dtype=np.float64)
        if not np.isfinite(raw).all():
            return f"not finite: {', '.join(np.array(self.names)[~np.isfinite(raw)])}"
        stated = state_numbers(state)
        if None in stated:
            return "the state has no number: is the equity above zero?"
        scaled = np.clip((raw - self.means) / self.deviations, -MOST, MOST)
        return np.concatenate([scaled, np.array(stated, dtype=np.float64)]).astype(np.float32)


def fit_scaling(names: Sequence[str], rows: Sequence[Mapping[str, float]]) -> FittedScaling:
    """Return the scaling of features over the rows of a training span.

    Rows that lack a feature, or have one that isn't finite, don't count. Raises TradebotError if a feature never
    changes, or no row counts.
    """
    whole = [row for row in rows if all(name in row and isfinite(row[name]) for name in names)]
    if not whole:
        raise TradebotError("no bar of the training span has every feature", "leave out those that are absent")
    table = np.array([[row[name] for name in names] for row in whole])
    return FittedScaling(tuple(names), tuple(table.mean(axis=0).tolist()), tuple(table.std(axis=0).tolist()))
