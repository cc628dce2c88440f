"""How returns depend on those of the sessions before: how long the blocks of a bootstrap have to be, and a test for
what wanders too slowly for any block.

Politis and White, "Automatic Block-Length Selection for the Dependent Bootstrap", Econometric Reviews 23, 2004, with
the correction of Patton, Politis and White, 28, 2009. The test cuts the sessions into a few long parts and compares
their means with the same means under all signs: Canay, Romano and Shaikh, "Randomization Tests Under an Approximate
Symmetry Assumption", Econometrica 85, 2017.
"""

from itertools import pairwise, product
from math import ceil, log10, sqrt

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
SHARE = 0.9
"""The block is long enough for this share of the trials, and for all of them together."""
PARTS = 6
"""Into how many parts the sessions are cut: with more, each is too short for a mean that wanders for months."""


def block_length(returns: Numbers, least: int) -> int:
    """Return how many sessions a block should have on average, `least` or more.

    `returns` has a row for each session and a column for each trial.
    """
    count = len(returns)
    most = ceil(min(3 * sqrt(count), count / 3))
    together = np.column_stack((returns, returns.mean(axis=1)))
    moved = together[:, together.std(axis=0) > 0]
    if count < 4 or not moved.shape[1]:
        return least
    found = _optimal(moved)
    wanted = max(float(np.quantile(found[:-1], SHARE)) if len(found) > 1 else 1.0, float(found[-1]))
    return max(least, min(ceil(wanted), most))


def _optimal(returns: Numbers) -> Numbers:
    """Return the best mean length of a block for the mean of each column, by the stationary bootstrap."""
    count, away = len(returns), returns - returns.mean(axis=0)
    quiet = max(5, ceil(sqrt(log10(count))))
    farthest = min(ceil(sqrt(count)) + quiet, count - 1)
    covariances = np.array([(away[lag:] * away[: count - lag]).sum(axis=0) for lag in range(farthest + 1)]) / count
    loud = abs(covariances[1:] / covariances[0]) >= 2 * sqrt(log10(count) / count)
    found = np.ones(returns.shape[1])
    for column in range(returns.shape[1]):
        lags = min(2 * _last(loud[:, column], quiet), farthest)
        away_by = np.arange(1, lags + 1)
        kernel = np.clip(2 * (1 - away_by / lags), 0, 1) * covariances[1 : lags + 1, column]
        slope, density = 2 * (kernel * away_by).sum(), covariances[0, column] + 2 * kernel.sum()
        if density > 0:
            found[column] = (slope**2 / density**2 * count) ** (1 / 3)
    return found


def _last(loud: NDArray[np.bool_], quiet: int) -> int:
    """Return the last lag before so many in a row that say nothing, at least 1."""
    for lag in range(len(loud) - quiet + 1):
        if not loud[lag : lag + quiet].any():
            return max(lag, 1)
    return len(loud)


def by_parts(returns: Numbers) -> float:
    """Return how probable so good a best trial is by the means of a few long parts, if their signs are luck."""
    edges = np.linspace(0, len(returns), PARTS + 1).astype(int)
    if min(np.diff(edges)) < 1:
        return 1.0
    parts = np.array([returns[begin:end].mean(axis=0) for begin, end in pairwise(edges)])
    means = np.array([*product((1, -1), repeat=PARTS)]) @ parts / PARTS
    # A mean and what it varies by: squares don't change with their signs.
    spreads = np.maximum((parts**2).mean(axis=0) - means**2, np.finfo(float).tiny)
    best = (means / np.sqrt(spreads)).max(axis=1)
    return float((best >= best[0] * (1 - 1e-12)).mean()) if best[0] > 0 else 1.0
