"""Whether the best of many trials earns more than nothing, when all of them were tried on the same sessions.

White, "A Reality Check for Data Snooping", Econometrica 68, 2000. Hansen, "A Test for Superior Predictive Ability",
Journal of Business and Economic Statistics 23, 2005. Both resample the sessions of all trials together (the stationary
bootstrap of Politis and Romano), so trials that resemble each other count for little more than one. Their p is the
probability of a best trial as good as this one if no trial earns anything: small is good.
"""

from math import log, sqrt

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from tradebot.lab.performance.chance import Resampling, resample_blocks

Numbers = NDArray[np.float64]
DEFAULT = Resampling(resamples=1_000, mean_block=10)


class Superiority(Struct, frozen=True):
    """The p of White's reality check, and of Hansen's test: the consistent one, and its lower and upper bounds.

    `mean_block` is how many sessions a block of the bootstrap has on average.
    """

    reality_check: float
    spa: float
    spa_lower: float
    spa_upper: float
    resamples: int
    mean_block: int


def superiority(returns: Numbers, how: Resampling = DEFAULT) -> Superiority | None:
    """Return how probable so good a best trial is if no trial's mean return is above zero.

    `returns` has a row for each session and a column for each trial; those above a benchmark test against it. A trial
    that never moved is left out. None if no trial moved, or if there are fewer than two sessions.
    """
    count = len(returns)
    if count < 2:
        return None
    moved = returns[:, returns.std(axis=0) > 0]
    if not moved.shape[1]:
        return None
    means = moved.mean(axis=0)
    resampled_means = _means(moved, how)
    deviations = np.sqrt(long_variances(moved, how.mean_block))
    root = sqrt(count)
    checked = root * (resampled_means - means).max(axis=1)
    best, statistic = root * means.max(), max(root * (means / deviations).max(), 0.0)
    # A trial so much worse than nothing doesn't count for the best one: Hansen's threshold, sqrt(2 log log n).
    bad = root * means < -deviations * sqrt(2 * log(max(log(count), 1.0)))
    centers = {"lower": np.maximum(means, 0.0), "spa": np.where(bad, 0.0, means), "upper": means}
    found = {
        name: _share(np.maximum(root * ((resampled_means - center) / deviations).max(axis=1), 0.0), statistic)
        for name, center in centers.items()
    }
    return Superiority(
        _share(checked, best), found["spa"], found["lower"], found["upper"], how.resamples, how.mean_block
    )


def _share(resamples: Numbers, observed: float) -> float:
    """Return the share of resamples that reach what was observed, which counts as one of them and so is never zero."""
    return float((1 + (resamples >= observed).sum()) / (1 + len(resamples)))


def _means(returns: Numbers, how: Resampling) -> Numbers:
    """Return the mean of each trial in each resample, from running sums: a block's sum is a difference of two."""
    count = len(returns)
    running = np.concatenate((np.zeros((1, returns.shape[1])), np.cumsum(np.concatenate((returns, returns)), axis=0)))
    found = [
        np.add.reduceat(running[blocks.first + blocks.lengths] - running[blocks.first], blocks.rows, axis=0) / count
        for blocks in resample_blocks(count, how)
    ]
    means: Numbers = np.concatenate(found)
    return means


def long_variances(returns: Numbers, mean_block: int) -> Numbers:
    """Return the variance of each trial's mean times the number of sessions, as the stationary bootstrap has it.

    It is g(0) + 2 sum k(i) g(i) over the autocovariances g, with q = 1 / mean block and k(i) = (n - i) / n (1 - q)^i +
    i / n (1 - q)^(n - i): Politis and Romano, 1994.
    """
    count, keeps = len(returns), 1 - 1 / mean_block
    away = returns - returns.mean(axis=0)
    length = 1 << (2 * count - 1).bit_length()
    spectrum = np.fft.rfft(away, length, axis=0)
    covariances = np.fft.irfft((spectrum * spectrum.conj()).real, length, axis=0)[:count] / count
    lags = np.arange(1, count)
    kernel = (count - lags) / count * keeps**lags + lags / count * keeps ** (count - lags)
    variances: Numbers = np.maximum(covariances[0] + 2 * kernel @ covariances[1:], covariances[0] * 1e-3)
    return variances
