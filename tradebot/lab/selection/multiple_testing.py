"""Test whether the best of many trials is overfitted, and whether its mean return is really above zero.

Overfitting is tested by combinatorially symmetric cross-validation (CSCV): Bailey, Borwein, López de Prado and Zhu,
"The Probability of Backtest Overfitting", Journal of Computational Finance 20, 2017. The sessions are cut into an even
number of blocks. For each way to choose half of the blocks, the trial that is best in that half is ranked among all
trials in the other half. The probability of overfitting is how often it is at or below the median there: the logit of
its relative rank is zero or less.

If all trials were run on the same sessions, the mean return is tested in two ways: by White's reality check ("A Reality
Check for Data Snooping", Econometrica 68, 2000) and by Hansen's test ("A Test for Superior Predictive Ability", Journal
of Business and Economic Statistics 23, 2005). Both resample the sessions of all trials together (the stationary
bootstrap of Politis and Romano), so similar trials count for little more than one. Their p-value is how likely a best
trial this good would be if no trial really earned anything, so a small one is good.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import comb, inf, log, sqrt
from statistics import median

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from tradebot.lab.performance.chance import Resampling, resample_blocks

Numbers = NDArray[np.float64]

BLOCKS = 12

"""The number of blocks into which sessions are cut, which gives 924 halves."""

FEWEST_PER_BLOCK = 4

"""The least number of sessions in a block; with fewer sessions, there are fewer blocks."""

AT_ONCE = 2_000

"""The number of halves ranked at a time, so that memory stays bounded."""


class Overfitting(Struct, frozen=True):
    """How often the trial that is best in one half of the sessions ranks in the lower half of all trials in the other
    sessions.

    `loss` is how often that trial loses money in the other sessions. `halves` is how many ways there are to choose half
    of the `blocks` blocks of sessions.
    """

    probability: float
    loss: float
    blocks: int
    halves: int


def overfitting(returns: Numbers, blocks: int = BLOCKS) -> Overfitting | None:
    """Estimate the probability that choosing the trial with the best Sharpe ratio overfits the backtest.

    `returns` has a row for each session and a column for each trial. Return None if there are fewer than two trials, or
    too few sessions for four blocks.
    """
    sessions, trials = returns.shape
    blocks = min(blocks, sessions // FEWEST_PER_BLOCK // 2 * 2)
    if trials < 2 or blocks < 4:
        return None
    sums, squares, sizes = _of_blocks(returns, blocks)
    chosen = np.array([*combinations(range(blocks), blocks // 2)])
    overfitted = lost = 0
    for begin in range(0, len(chosen), AT_ONCE):
        inside = np.zeros((len(chosen[begin : begin + AT_ONCE]), blocks))
        np.put_along_axis(inside, chosen[begin : begin + AT_ONCE], 1.0, axis=1)
        outside = 1.0 - inside
        best = _ratios(inside @ sums, inside @ squares, inside @ sizes).argmax(axis=1)
        there = _ratios(outside @ sums, outside @ squares, outside @ sizes)
        of_best = np.take_along_axis(there, best[:, None], axis=1)
        # The relative rank is rank / (trials + 1), ties in the middle: at 1/2 or below, its logit isn't positive.
        rank = (there < of_best).sum(axis=1) + ((there == of_best).sum(axis=1) + 1) / 2
        overfitted += int((rank / (trials + 1) <= 0.5).sum())
        lost += int((np.take_along_axis(outside @ sums, best[:, None], axis=1) < 0).sum())
    assert len(chosen) == comb(blocks, blocks // 2), "each half is counted once"
    return Overfitting(overfitted / len(chosen), lost / len(chosen), blocks, len(chosen))


def _of_blocks(returns: Numbers, blocks: int) -> tuple[Numbers, Numbers, Numbers]:
    """Return sums and sums of squares of each block's returns, and its number of sessions."""
    edges = np.linspace(0, len(returns), blocks + 1).astype(int)
    sums = np.add.reduceat(returns, edges[:-1], axis=0)
    return sums, np.add.reduceat(returns**2, edges[:-1], axis=0), np.diff(edges).astype(float)


def _ratios(sums: Numbers, squares: Numbers, sizes: Numbers) -> Numbers:
    """Return mean over standard deviation (of a sample); zero for a trial whose returns don't vary."""
    count = sizes[:, None]
    means = sums / count
    variances = np.maximum(squares - count * means**2, 0.0) / (count - 1)
    # Rounding errors of a constant are not variance.
    moves = variances > 1e-14 * squares / count
    ratios: Numbers = np.divide(
        means, np.sqrt(variances, where=moves, out=np.ones_like(means)), where=moves, out=np.zeros_like(means)
    )
    return ratios


Value = float | int | str | bool

SHARE = 0.1

FEWEST, MOST = 4, 20

"""A tenth of the other trials are neighbors, within these bounds."""

PLATEAU = 0.5

"""Neighbors with this share of the best profit form a plateau."""


class Range(Struct, frozen=True):
    """The range in which a setting was tried; None for an unordered setting."""

    low: float | None = None
    high: float | None = None
    log: bool = False

    def apart(self, point: Value, other: Value) -> float:
        """Return the distance between two values, as a share of the range."""
        if self.low is None or self.high is None:
            return float(point != other)
        if self.high == self.low:
            return 0.0
        low, high, first, second = (
            log(float(value)) if self.log else float(value) for value in (self.low, self.high, point, other)
        )
        return abs(first - second) / (high - low)


class Plateau(Struct, frozen=True):
    """The best trial's objective, and the median, lowest and highest objective of its neighbors.

    `positive` of the `neighbors` have an objective above zero.
    """

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


def neighbor_plateau(
    best: int, values: Sequence[Mapping[str, Value]], scores: Sequence[float | None], ranges: Mapping[str, Range]
) -> Plateau | None:
    """Return the objectives of the neighbors of the trial with index `best`; None if there are too few trials.

    The distance is the largest over all settings, so the neighborhood is a box around the best trial.
    """
    value = scores[best]
    others = [index for index, value in enumerate(scores) if value is not None and index != best]
    if value is None or len(others) < FEWEST:
        return None
    away = {other: _apart(values[best], values[other], ranges) for other in others}
    count = min(max(round(SHARE * len(others)), FEWEST), MOST)
    edge = sorted(away.values())[count - 1]
    # Trials as far away as the last neighbor are neighbors too, such as all others of a small grid.
    near = [neighbor for other in others if away[other] <= edge and (neighbor := scores[other]) is not None]
    return Plateau(value, median(near), min(near), max(near), len(near), sum(value > 0 for value in near))


def _apart(values: Mapping[str, Value], other: Mapping[str, Value], ranges: Mapping[str, Range]) -> tuple[float, float]:
    parts = [between.apart(values[name], other[name]) for name, between in ranges.items()]
    return max(parts, default=inf), sum(parts)


DEFAULT = Resampling(resamples=1_000, mean_block=10)


class Superiority(Struct, frozen=True):
    """The p-value of White's reality check, and three of Hansen's test: the consistent one, and its lower and upper
    bounds.

    `mean_block` is the mean block length of the bootstrap in sessions.
    """

    reality_check: float
    spa: float
    spa_lower: float
    spa_upper: float
    resamples: int
    mean_block: int


def superiority(returns: Numbers, how: Resampling = DEFAULT) -> Superiority | None:
    """Estimate how likely a best trial this good would be if no trial's true mean return were above zero.

    `returns` has a row for each session and a column for each trial; pass excess returns to test against a benchmark. A
    trial whose returns are all equal is left out. Return None if none remains, or if there are fewer than two sessions.
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
    p_values = {
        name: _share(np.maximum(root * ((resampled_means - center) / deviations).max(axis=1), 0.0), statistic)
        for name, center in centers.items()
    }
    return Superiority(
        _share(checked, best), p_values["spa"], p_values["lower"], p_values["upper"], how.resamples, how.mean_block
    )


def _share(resamples: Numbers, observed: float) -> float:
    """Return the share of resamples that reach the observed value, which counts as one of them, so that it is never
    zero.
    """
    return float((1 + (resamples >= observed).sum()) / (1 + len(resamples)))


def _means(returns: Numbers, how: Resampling) -> Numbers:
    """Return the mean of each trial in each resample, from running sums: a block's sum is a difference of two."""
    count = len(returns)
    running = np.concatenate((np.zeros((1, returns.shape[1])), np.cumsum(np.concatenate((returns, returns)), axis=0)))
    resampled = [
        np.add.reduceat(running[blocks.first + blocks.lengths] - running[blocks.first], blocks.rows, axis=0) / count
        for blocks in resample_blocks(count, how)
    ]
    means: Numbers = np.concatenate(resampled)
    return means


def long_variances(returns: Numbers, mean_block: int) -> Numbers:
    """Return the variance of each trial's mean times the number of sessions, under the stationary bootstrap.

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
