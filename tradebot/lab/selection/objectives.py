"""Compute the objectives of a search from the returns of many trials at once. A higher objective is better.

The objectives equal the figures of `lab.performance.statistics`, which names their sources; a test compares both.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
FLAT = 1e-14
"""A variance this small relative to the mean square is rounding noise of a constant."""


def _sharpe(returns: Numbers, per_year: int) -> Numbers:
    means, variances = returns.mean(axis=0), returns.var(axis=0, ddof=1)
    moves = variances > FLAT * (returns**2).mean(axis=0)
    return _divide_where(means * per_year**0.5, np.sqrt(variances), moves)


def _sortino(returns: Numbers, per_year: int) -> Numbers:
    losses = np.sqrt((np.minimum(returns, 0.0) ** 2).mean(axis=0))
    return _divide_where(returns.mean(axis=0) * per_year**0.5, losses, losses > 0)


def _growth(returns: Numbers, per_year: int) -> Numbers:
    grown = np.prod(1 + returns, axis=0)
    return np.where(grown > 0, np.maximum(grown, 0.0) ** (per_year / len(returns)) - 1, np.nan)


def _drawdown(returns: Numbers, per_year: int) -> Numbers:
    index = np.cumprod(1 + returns, axis=0)
    fallen: Numbers = (index / np.maximum(np.maximum.accumulate(index, axis=0), 1.0) - 1).min(axis=0)
    return np.minimum(fallen, 0.0)


def _calmar(returns: Numbers, per_year: int) -> Numbers:
    deepest = -_drawdown(returns, per_year)
    return _divide_where(_growth(returns, per_year), deepest, deepest > 0)


def _divide_where(values: Numbers, by: Numbers, there: NDArray[np.bool_]) -> Numbers:
    quotients: Numbers = np.where(there, values / np.where(there, by, 1.0), np.nan)
    return quotients


Objective = Callable[[Numbers, int], Numbers]
OBJECTIVES: Mapping[str, Objective] = {
    "sharpe": _sharpe,
    "sortino": _sortino,
    "growth": _growth,
    "calmar": _calmar,
    "drawdown": _drawdown,
}
"""Functions by name. Each takes returns with a row for each session and a column for each trial, and gives one number
per trial: NaN where the objective is undefined.

Ratios and growth are per year, and a drawdown is below zero. Cash earns nothing in any of them.
"""


def measure_objective(name: str, returns: Numbers, per_year: int) -> list[float | None]:
    """Compute an objective for each trial; None where it is undefined, and for all trials if there are too few
    sessions.
    """
    if len(returns) < 2:
        return [None] * returns.shape[1]
    return [None if value != value else value for value in OBJECTIVES[name](returns, per_year).tolist()]
