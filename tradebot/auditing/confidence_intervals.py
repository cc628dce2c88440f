"""Compute how significant a mean over sessions is: its confidence interval, its p-value, and the number of sessions
needed.

Candidates of one session move together, so a session counts as one observation. Returns that reach into later sessions
overlap with the returns of those sessions. Ignoring either would make the intervals far too narrow.
"""

from collections.abc import Sequence
from math import atan, ceil, cos, pi, sin, sqrt
from statistics import NormalDist, fmean, variance

from msgspec import Struct

LEVEL = 0.05
"""The accepted share of false discoveries: in one of 20 tables without any effect, some row looks significant."""
POWER = 0.80
_FEWEST = 8
_LEAST_DEGREES = 2


class Estimate(Struct, frozen=True):
    """A mean of one number per session, in the unit of the numbers.

    `low` and `high` bound its 95% interval, and `p` is the probability that chance alone moves the mean this far from
    zero; they are None if there are too few sessions. `needed` is how many sessions it takes to detect an effect of the
    size `worth` with a power of 80%.
    """

    mean: float
    sessions: int
    low: float | None = None
    high: float | None = None
    p: float | None = None
    needed: int | None = None


def fewest_sessions(reach: int) -> int:
    return max(_FEWEST, 2 * _LEAST_DEGREES * reach)


def estimate(by_session: Sequence[float], reach: int, worth: float) -> Estimate:
    """Estimate the mean of at least one number, given in the order of their sessions.

    Each number spans `reach` sessions, including its own. `worth` is the size of an effect worth detecting. The
    variance is the equal-weighted cosine estimate. The mean divided by its estimated error then has Student's t
    distribution, with as many degrees of freedom as there are cosines (Lazarus, Lewis, Stock and Watson, "HAR
    Inference: Recommendations for Practice", Journal of Business & Economic Statistics 36, 2018). Without overlap, all
    cosines are used, which gives the ordinary t interval.
    """
    count, mean = len(by_session), fmean(by_session)
    if count < fewest_sessions(reach):
        return Estimate(mean, count)
    degrees = count - 1 if reach == 1 else count // (2 * reach)
    spread = variance(by_session, mean) if reach == 1 else _long_run_variance(by_session, mean, degrees)
    if spread <= 0:
        return Estimate(mean, count)
    error = sqrt(spread / count)
    half = t_quantile(1 - LEVEL, degrees) * error
    normal = NormalDist()
    reached = normal.inv_cdf(1 - LEVEL / 2) + normal.inv_cdf(POWER)
    needed = max(ceil(spread * (reached / worth) ** 2), fewest_sessions(reach))
    return Estimate(mean, count, mean - half, mean + half, two_sided_p(mean / error, degrees), needed)


def _long_run_variance(numbers: Sequence[float], mean: float, cosines: int) -> float:
    count = len(numbers)
    total = 0.0
    for frequency in range(1, cosines + 1):
        step = pi * frequency / count
        weighted = sum((number - mean) * cos(step * (index + 0.5)) for index, number in enumerate(numbers))
        total += 2 / count * weighted * weighted
    return total / cosines


def two_sided_p(t: float, degrees: int) -> float:
    """Return the probability that a variable with Student's t distribution is at least this far from zero.

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    angle = atan(abs(t) / sqrt(degrees))
    square, odd = cos(angle) ** 2, degrees % 2
    term = series = 0.0 if degrees == 1 else cos(angle) if odd else 1.0
    for index in range(3 if odd else 2, degrees - 1, 2):
        term = term * square * (index - 1) / index
        series += term
    within = 2 / pi * (angle + sin(angle) * series) if odd else sin(angle) * series
    return min(max(1 - within, 0.0), 1.0)


def t_quantile(within: float, degrees: int) -> float:
    """Return the two-sided quantile of Student's t distribution for the probability `within`, accurate to one in a
    million.
    """
    low, high = 0.0, 1.0
    while two_sided_p(high, degrees) > 1 - within:
        low, high = high, 2 * high
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided_p(middle, degrees) > 1 - within else (low, middle)
    return high


def correct_for_multiple_tests(chances: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values for multiple tests, so that the values up to LEVEL rarely include a false discovery.

    Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6, 1979. The
    method is valid however the rows depend on each other. A row without a p-value isn't tested, and doesn't count.
    """
    tested = sorted((chance, index) for index, chance in enumerate(chances) if chance is not None)
    corrected: list[float | None] = [None] * len(chances)
    most = 0.0
    for rank, (chance, index) in enumerate(tested):
        most = max(most, min(chance * (len(tested) - rank), 1.0))
        corrected[index] = most
    return corrected
