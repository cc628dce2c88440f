"""Compute sums, deviations and extremes of the last n values, for each value of a column.

Each value is computed from its own window alone and always in the same order, so it is identical to the last digit
however many values follow. A window that contains a NaN, or isn't full, gives NaN.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]
NOISE = 1e-12
"""A deviation below this fraction of the values' size is rounding noise."""


def fill_gaps(value: float, count: int) -> Column:
    return np.full(count, value)


def shift(values: Column, by: int) -> Column:
    """Return, for each bar, the value `by` bars earlier."""
    shifted = fill_gaps(np.nan, len(values))
    shifted[by:] = values[: max(len(values) - by, 0)]
    return shifted


def total(values: Column, length: int) -> Column:
    """Return the sum of the last `length` values.

    Blocks of that length are summed from both ends. Each window is the end of one block and the beginning of the next,
    so nothing is ever subtracted, and small values keep their digits after large ones have left the window.
    """
    count, sums = len(values), fill_gaps(np.nan, len(values))
    if count < length:
        return sums
    table = np.zeros(-(-count // length) * length)
    table[:count] = values
    blocks = table.reshape(-1, length)
    begun = np.add.accumulate(blocks, axis=1).ravel()
    ending = np.add.accumulate(blocks[:, ::-1], axis=1)[:, ::-1].ravel()
    last = np.arange(length - 1, count)
    sums[last] = begun[last]
    crossing = last[last % length != length - 1]
    sums[crossing] += ending[crossing - length + 1]
    return sums


def mean(values: Column, length: int) -> Column:
    return total(values, length) / length


def rolling_sum(values: Column, length: int, term: Callable[[Column], Column]) -> Column:
    """Return, for each bar, the sum of `term` of the last `length` values.

    `term` is called once for each position in a window, with the values that all windows have there.
    """
    count, sums = len(values) - length + 1, fill_gaps(np.nan, len(values))
    if count > 0:
        sums[length - 1 :] = sum(term(values[index : index + count]) for index in range(length))
    return sums


def about_mean(values: Column, length: int, term: Callable[[Column], Column]) -> Column:
    """Return, for each window of `length` values, the mean of `term` applied to each value's deviation from that
    window's mean.
    """
    middle = mean(values, length)[length - 1 :]
    return rolling_sum(values, length, lambda at: term(at - middle)) / length


def deviation(values: Column, length: int) -> Column:
    """Return the population standard deviation of the last `length` values; 0 if they differ only by rounding."""
    deviations = np.sqrt(about_mean(values, length, np.square))
    return np.where(deviations <= NOISE * np.abs(mean(values, length)), 0.0 * deviations, deviations)


def long_deviation(values: Column, length: int) -> Column:
    """Return the standard deviation over long windows, for values that are close to zero, such as returns.

    The variance is computed as the mean of the squares minus the square of the mean.
    """
    squares, middle = mean(np.square(values), length), mean(values, length)
    variance = squares - np.square(middle)
    return np.sqrt(np.where(variance <= NOISE * squares, 0.0 * squares, variance))


def highest(values: Column, length: int) -> Column:
    return _extreme(values, length, np.fmax)


def lowest(values: Column, length: int) -> Column:
    return _extreme(values, length, np.fmin)


def _extreme(values: Column, length: int, better: Callable[[Column, Column], Column]) -> Column:
    count, extremes = len(values) - length + 1, fill_gaps(np.nan, len(values))
    if count > 0:
        best = values[:count]
        for index in range(1, length):
            best = better(best, values[index : index + count])
        extremes[length - 1 :] = best
    return extremes


def since(values: Column, length: int, sign: int) -> Column:
    """Return how many bars ago the highest of the last `length` values was; the latest one if several are equal.

    With sign -1, return it for the lowest.
    """
    count, distances = len(values) - length + 1, fill_gaps(np.nan, len(values))
    if count > 0:
        best, ago = values[:count], fill_gaps(length - 1, count)
        for index in range(1, length):
            at = values[index : index + count]
            newer = sign * at >= sign * best
            best, ago = np.where(newer, at, best), np.where(newer, length - 1 - index, ago)
        distances[length - 1 :] = ago
    return distances


def above(values: Column, than: Column) -> NDArray[np.bool_]:
    """Return True where a value exceeds the one in `than` by more than a rounding error."""
    return values - than > NOISE * np.abs(than)


def over(values: Column, by: Column) -> Column:
    """Return `values` divided by `by`; NaN where the quotient isn't a finite number."""
    quotient = values / by
    return np.where(np.isfinite(quotient), quotient, np.nan)


def accumulate_since(values: Column, starts: NDArray[np.int64], gather: Callable[[Column], Column]) -> Column:
    """Return, for each bar, the values accumulated since the last start, such as a running sum that restarts there."""
    sums = fill_gaps(np.nan, len(values))
    for first, end in pairwise([*starts.tolist(), len(values)]):
        sums[first:end] = gather(values[first:end])
    return sums
