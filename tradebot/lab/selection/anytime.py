"""An interval of a mean that holds after every session at once, so that whoever looks each day isn't misled by it.

An ordinary 95% interval that is looked at 500 times misses zero at some time for far more than 5% of all strategies
without an edge. The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform
central limit theory and asymptotic confidence sequences", Annals of Statistics 52, 2024, is wider, and holds for all
sample sizes together. It goes back to Robbins' normal mixture ("Statistical methods related to the law of the iterated
logarithm", Annals of Mathematical Statistics 41, 1970). Each end is the one-sided bound of that paper.
"""

from collections.abc import Sequence
from math import log, log1p, sqrt
from statistics import fmean, stdev
from typing import NamedTuple

TIGHTEST = 500
"""After so many sessions, which are about two years, the interval is as narrow as it can be made."""


class Ends(NamedTuple):
    low: float
    high: float


def anytime(returns: Sequence[float], error: float) -> Ends | None:
    """Return an interval of the mean return; each end is on the wrong side at any time with this probability.

    None for fewer than two returns. It is asymptotic: with a few dozen returns or less, it is too narrow.
    """
    if len(returns) < 2:
        return None
    mean, half = fmean(returns), stdev(returns) * half_width(len(returns), error)
    return Ends(mean - half, mean + half)


def half_width(count: int, error: float, tightest: int = TIGHTEST) -> float:
    """Return how far each end is from the mean of so many values, in standard deviations of one value.

    It holds for any number of values, and is as narrow as it can be made for so many as `tightest`.
    """
    shape = -2 * log(2 * error)
    mixing = (shape + log(shape + 1)) / tightest
    seen = count * mixing + 1
    return sqrt(2 * seen / (count**2 * mixing) * log1p(sqrt(seen) / (2 * error)))
