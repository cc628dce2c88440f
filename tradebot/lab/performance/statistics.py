"""Compute statistics of returns, with the source of each formula. Floats in, floats out; None if a value doesn't
exist.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from math import atanh, ceil, exp, expm1, fsum, log1p, prod, sqrt, tanh
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

from msgspec import Struct

from tradebot.auditing.confidence_intervals import t_quantile

CONFIDENCE = 0.95
_NORMAL = NormalDist()
Z_95 = _NORMAL.inv_cdf((1 + CONFIDENCE) / 2)
"""Standard errors to either side of a 95% interval."""
ONE_SIDED = _NORMAL.inv_cdf(CONFIDENCE)


class Interval(NamedTuple):
    """An estimate with its 95% interval."""

    value: float
    low: float
    high: float


class Shape(NamedTuple):
    """The mean, the sample standard deviation, the skewness and the kurtosis (3 if normal) of returns."""

    observations: int
    mean: float
    deviation: float
    skewness: float
    kurtosis: float


def total_return(returns: Iterable[float]) -> float:
    """Return the compounded growth of all returns, as a fraction."""
    return prod(1 + each for each in returns) - 1


def cagr(returns: Sequence[float], years: float) -> float | None:
    """Return the compound annual growth rate, as a fraction; None after a total loss, or if no time has passed."""
    grown = total_return(returns) + 1
    return grown ** (1 / years) - 1 if grown > 0 and years > 0 else None


def moments_of_returns(returns: Sequence[float]) -> Shape | None:
    """Return the moments of returns; None if there are fewer than two returns, or if all are equal.

    Skewness and kurtosis are those of the population, as in Bailey and López de Prado (see `sharpe_error`).
    """
    if len(returns) < 2:
        return None
    mean, deviation = fmean(returns), stdev(returns)
    second = fsum((each - mean) ** 2 for each in returns) / len(returns)
    if not deviation or second**2 <= 0:
        return None
    third = fsum((each - mean) ** 3 for each in returns) / len(returns)
    fourth = fsum((each - mean) ** 4 for each in returns) / len(returns)
    return Shape(len(returns), mean, deviation, third / second**1.5, fourth / second**2)


def volatility(returns: Sequence[float], per_year: float) -> Interval | None:
    """Return the annualized sample standard deviation of returns; None if it is undefined or zero.

    The interval uses the standard error of the standard deviation s, which is s sqrt((kurtosis - 1) / 4n), on a log
    scale. To first order, that error follows from the variance of the sample variance: Kenney and Keeping, Mathematics
    of Statistics, part 2, second edition, 1951, page 164.
    """
    moments = moments_of_returns(returns)
    if moments is None:
        return None
    half = Z_95 * sqrt(max(moments.kurtosis - 1, 0) / (4 * moments.observations))
    value = moments.deviation * sqrt(per_year)
    return Interval(value, value * exp(-half), value * exp(half))


def sharpe(excesses: Sequence[float], per_year: float) -> Interval | None:
    """Return the annualized Sharpe ratio: the mean over the sample standard deviation, times the square root of
    `per_year`.

    Return None if there are fewer than two returns, or if all are equal. Sharpe, "The Sharpe Ratio", Journal of
    Portfolio Management 21, 1994. The interval is based on `sharpe_error`.
    """
    moments = moments_of_returns(excesses)
    if moments is None:
        return None
    ratio, error, scale = moments.mean / moments.deviation, sharpe_error(moments), sqrt(per_year)
    return Interval(ratio * scale, (ratio - Z_95 * error) * scale, (ratio + Z_95 * error) * scale)


def sharpe_error(of: Shape) -> float:
    """Return the standard error of a Sharpe ratio that isn't annualized.

    It is sqrt((1 - skewness SR + (kurtosis - 1) / 4 SR²) / (n - 1)): Mertens, "Comments on variance of the IID
    estimator in Lo (2002)", 2002; Bailey and López de Prado, "The Sharpe Ratio Efficient Frontier", Journal of Risk 15,
    2012. With normal returns it equals the standard error of Lo, "The Statistics of Sharpe Ratios", Financial Analysts
    Journal 58, 2002.
    """
    return sqrt(_spread(of) / (of.observations - 1))


def _spread(of: Shape) -> float:
    ratio = of.mean / of.deviation
    return max(1 - of.skewness * ratio + (of.kurtosis - 1) / 4 * ratio**2, 0.0)


def probabilistic_sharpe(of: Shape, against: float = 0.0) -> float | None:
    """Return the probability that the true Sharpe ratio is above another one; neither is annualized.

    Return None if the standard error is zero. PSR = Φ((SR - SR*) / standard error): Bailey and López de Prado, 2012,
    see `sharpe_error`.
    """
    error = sharpe_error(of)
    return _NORMAL.cdf((of.mean / of.deviation - against) / error) if error else None


def minimum_track_record(of: Shape, against: float = 0.0) -> float | None:
    """Return how many returns are needed to show with 95% confidence that the true Sharpe ratio is above another one.

    MinTRL = 1 + (1 - skewness SR + (kurtosis - 1) / 4 SR²) (z / (SR - SR*))²: Bailey and López de Prado, 2012. Return
    None if the Sharpe ratio isn't above the other one, because then no number of such returns could show this.
    """
    ratio = of.mean / of.deviation
    return 1 + _spread(of) * (ONE_SIDED / (ratio - against)) ** 2 if ratio > against else None


def sortino(excesses: Sequence[float], per_year: float) -> float | None:
    """Return the annualized Sortino ratio; None if no return is below zero.

    It is the mean divided by the square root of the mean squared loss, where gains count as zero: Sortino and Price,
    "Performance Measurement in a Downside Risk Framework", Journal of Investing 3, 1994.
    """
    losses = fsum(min(each, 0.0) ** 2 for each in excesses)
    return fmean(excesses) / sqrt(losses / len(excesses)) * sqrt(per_year) if losses > 0 else None


def growth(returns: Iterable[float]) -> list[float]:
    """Return the growth index of returns, which starts at 1."""
    return list(accumulate(returns, lambda index, each: index * (1 + each), initial=1.0))


def below_peak(index: Sequence[float]) -> list[float]:
    """Return how far each value of an index is below the highest one so far, as a fraction from -1 to 0."""
    peaks = accumulate(index, max)
    return [value / peak - 1 if peak > 0 else 0.0 for value, peak in zip(index, peaks, strict=True)]


def max_drawdown(returns: Iterable[float]) -> float:
    """Return the deepest fall from a peak, as a fraction below zero; zero if there is none."""
    return min(below_peak(growth(returns)))


def calmar(returns: Sequence[float], years: float) -> float | None:
    """Return the compound annual growth rate over the maximum drawdown; None without a drawdown, or after a total loss.

    Young, "Calmar Ratio: A Smoother Tool", Futures, October 1991; here it covers the whole period instead of 36 months.
    """
    rate, deepest = cagr(returns, years), max_drawdown(returns)
    return rate / -deepest if rate is not None and deepest < 0 else None


class DrawdownIndex(NamedTuple):
    """A drawdown as positions in an index: its peak, its lowest value, and where the peak is reached again, if it
    is.
    """

    depth: float
    peak: int
    trough: int
    recovered: int | None


def drawdowns_deepest_first(index: Sequence[float]) -> list[DrawdownIndex]:
    """Return each drawdown of an index, deepest first."""
    under, drawdowns = below_peak(index), list[DrawdownIndex]()
    tops = [index for index, depth in enumerate(under) if depth >= 0]
    for peak, following in pairwise([*tops, len(under)]):
        if following > peak + 1:
            trough = min(range(peak + 1, following), key=lambda index: under[index])
            drawdowns.append(DrawdownIndex(under[trough], peak, trough, following if following < len(under) else None))
    return sorted(drawdowns, key=lambda fall: fall.depth)


def yearly_interval(returns: Sequence[float], per_year: float) -> tuple[float, float] | None:
    """Return the 95% interval of the growth per year, computed from log returns with Student's t.

    It is None after a total loss, or with fewer than two returns.
    """
    if len(returns) < 2 or any(each <= -1 for each in returns):
        return None
    mean = mean_of([log1p(each) for each in returns])
    return expm1(mean.low * per_year), expm1(mean.high * per_year)


def mean_of(values: Sequence[float]) -> Interval:
    """Return the mean of at least two values, with its 95% interval by Student's t."""
    mean, half = fmean(values), t_quantile(CONFIDENCE, len(values) - 1) * stdev(values) / sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def wilson_interval(successes: int, trials: int) -> Interval:
    """Return the fraction of successes with its 95% interval; there must be at least one trial.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American Statistical
    Association 22, 1927.
    """
    share, square = successes / trials, Z_95**2
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = Z_95 / (1 + square / trials) * sqrt(share * (1 - share) / trials + square / (4 * trials**2))
    return Interval(share, max(middle - half, 0.0), min(middle + half, 1.0))


class LinearFit(NamedTuple):
    """A least-squares line: its slope, its intercept, and the correlation (None if the line is flat)."""

    slope: Interval
    height: Interval
    correlation: Interval | None


def least_squares_line(values: Sequence[float], others: Sequence[float]) -> LinearFit | None:
    """Fit `values` on `others` by ordinary least squares; None with fewer than four pairs, or if all `others` are
    equal.

    Intervals of slope and intercept are by Student's t with n - 2 degrees of freedom and the standard errors sqrt(s² /
    Sxx) and sqrt(s² (1 / n + mean² / Sxx)), where s² is the residual variance and Sxx the sum of squared deviations of
    the others. The correlation's interval uses Fisher's z, atanh r ± z / sqrt(n - 3): Fisher, Metron 1, 1921.
    """
    count = len(values)
    if count < 4:
        return None
    middle, across = fmean(values), fmean(others)
    of_others = fsum((each - across) ** 2 for each in others)
    of_values = fsum((each - middle) ** 2 for each in values)
    together = fsum((value - middle) * (other - across) for value, other in zip(values, others, strict=True))
    if len(set(others)) == 1 or not of_others:
        return None
    slope = together / of_others
    residual = max(of_values - slope * together, 0.0) / (count - 2)
    steep, high = sqrt(residual / of_others), sqrt(residual * (1 / count + across**2 / of_others))
    quantile, height = t_quantile(CONFIDENCE, count - 2), middle - slope * across
    return LinearFit(
        Interval(slope, slope - quantile * steep, slope + quantile * steep),
        Interval(height, height - quantile * high, height + quantile * high),
        _correlation(together / sqrt(of_others * of_values), count) if of_values and len(set(values)) > 1 else None,
    )


def _correlation(value: float, count: int) -> Interval:
    value = min(max(value, -1.0), 1.0)
    if abs(value) == 1:
        return Interval(value, value, value)
    half = Z_95 / sqrt(count - 3)
    return Interval(value, tanh(atanh(value) - half), tanh(atanh(value) + half))


class Bin(Struct, frozen=True):
    """How many session returns, as fractions, are at least `low` and below `high`."""

    low: float
    high: float
    count: int


def quantile(values: Sequence[float], share: float) -> Interval:
    """Return a quantile, interpolated linearly between the values, and its 95% interval, whose ends are two of the
    values.

    These two are at the ranks n p ± z sqrt(n p (1 - p)), rounded outward, which is valid for any distribution: Conover,
    Practical Nonparametric Statistics, third edition, 1999. There must be at least one value.
    """
    ranked, last = sorted(values), len(values) - 1
    position = share * last
    below, part = int(position), position % 1
    value = ranked[below] + part * (ranked[min(below + 1, last)] - ranked[below])
    middle, half = share * len(values), Z_95 * sqrt(len(values) * share * (1 - share))
    low, high = max(ceil(middle - half) - 1, 0), min(ceil(middle + half) - 1, last)
    return Interval(value, min(ranked[low], value), max(ranked[high], value))
