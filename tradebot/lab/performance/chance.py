"""Estimate how much of a report's figures may be chance: bootstrap intervals, and the effect of selection.

The deflated Sharpe ratio is from Bailey and López de Prado, "The Deflated Sharpe Ratio: Correcting for Selection Bias,
Backtest Overfitting and Non-Normality", Journal of Portfolio Management 40, 2014.

The stationary block bootstrap is from Politis and Romano, "The Stationary Bootstrap", Journal of the American
Statistical Association 89, 1994: a resample consists of blocks of consecutive returns that begin anywhere. After each
return, a block ends with the probability 1 / mean block length, so its length is geometrically distributed. The series
wraps around at its end. Unlike resampling single returns, this preserves the dependence between sessions within a
block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from math import e, log1p, sqrt
from statistics import NormalDist, stdev
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from tradebot.lab.performance import statistics
from tradebot.lab.performance.report import Chance, Figure, FigureUnit, Selected
from tradebot.lab.performance.return_figures import A_QUARTER, DRAWDOWN_LABEL, LOST, NO_SPREAD, RETURNS, Returns
from tradebot.lab.performance.returns import Path
from tradebot.lab.performance.statistics import CONFIDENCE, moments_of_returns, probabilistic_sharpe, sharpe_error
from tradebot.model.evidence import Trials
from tradebot.model.sentences import pluralize

if TYPE_CHECKING:
    import pandas as pd

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]
ONE_IN_TWENTY = 0.05
OF_A_YEAR = {"year_drawdown": "Drawdown in one year of twenty", "year_session": "Worst session in one year of twenty"}
"""Figures of resampled years, and their labels: the depth reached or exceeded in one year of twenty."""
MOST_AT_ONCE = 4_000_000
"""How many resampled ratios are in memory at a time."""
AT_ONCE = 20_000
"""The number of returns resampled at a time, few enough for the processor's cache."""


class ReturnSpan(NamedTuple):
    low: float
    high: float


class Blocks(NamedTuple):
    """The blocks of several resamples, one resample after the other: where each block starts in the series, and its
    length.

    `rows` has the first block of each resample. A block may wrap around the series' end.
    """

    first: Places
    lengths: Places
    rows: Places


class Resampling(Struct, frozen=True):
    """How returns are resampled: on average, a block is as long as a month of sessions; `seed` is the random seed.

    `level` is the fraction of resamples that lie within an interval.
    """

    resamples: int = 10_000
    mean_block: int = 21
    seed: int = 18
    level: float = CONFIDENCE


DEFAULT = Resampling()


class ReturnSeries(Returns, frozen=True):
    """An account's returns, and those of benchmarks in the same sessions, by the benchmark's name."""

    others: Mapping[str, Sequence[float]] = {}


def intervals(of: ReturnSeries, how: Resampling = DEFAULT) -> dict[str, ReturnSpan] | None:
    """Return the intervals of `cagr`, `sharpe` and `max_drawdown`, and of the excess over each benchmark (by its name).

    With at least a year of returns, also return the 5% quantiles of a year's deepest drawdown and worst session. An
    interval's ends are quantiles of the resamples (the percentile method). Return None if there are fewer than two
    returns, or after a total loss, which has no log return.
    """
    if len(of.values) < 2 or min((*of.values, *(low for each in of.others.values() for low in each))) <= -1:
        return None
    sums, by_name = _Sums(of), dict[str, list[Numbers]]()
    for blocks in resample_blocks(len(of.values), how):
        for name, values in sums.figures(blocks).items():
            by_name.setdefault(name, []).append(values)
    tails = {name: ONE_IN_TWENTY if name in OF_A_YEAR else (1 - how.level) / 2 for name in by_name}
    ends = {name: np.quantile(np.concatenate(by_name[name]), (tail, 1 - tail)) for name, tail in tails.items()}
    return {name: ReturnSpan(float(low), float(high)) for name, (low, high) in ends.items()}


def yearly_excess(values: Sequence[float], others: Sequence[float], per_year: float) -> float:
    """Return the annualized mean log return of `values` in excess of `others`; no return may be -1 or less."""
    pairs = zip(values, others, strict=True)
    return per_year * sum(log1p(value) - log1p(other) for value, other in pairs) / len(values)


def resample_blocks(count: int, how: Resampling) -> Iterator[Blocks]:
    """Yield the blocks of all resamples, several resamples at a time; each resample has `count` returns.

    These resamples are drawn as one sequence of blocks. A block that reaches the end of a resample is cut off there,
    and the next resample begins with a new block. That changes no probabilities, because a block's remaining length
    doesn't depend on its length so far.
    """
    drawn, remaining = default_rng(how.seed), how.resamples
    while remaining:
        resamples = min(remaining, max(AT_ONCE // count, 1))
        remaining -= resamples
        begins = np.arange(0, resamples * count, count)
        starts = np.sort(np.append(_ends(drawn, resamples * count, how.mean_block), begins))
        lengths = np.diff(np.append(starts, resamples * count))
        yield Blocks(drawn.integers(0, count, len(starts)), lengths, np.searchsorted(starts, begins))


def sharpe_spans(returns: Numbers, per_year: float, how: Resampling) -> Numbers:
    """Compute an interval for the annualized Sharpe ratio of each column of returns; return rows of low and high ends.

    The resamples are drawn as in `intervals`, but only once for all columns, so thousands of columns take little longer
    than one.
    """
    count = len(returns)
    # Differences from the mean, so that hardly anything is lost where squares are subtracted.
    means = returns.mean(axis=0)
    away = returns - means
    times = _times_taken(count, how)
    bounds, columns = np.empty((2, returns.shape[1])), max(MOST_AT_ONCE // len(times), 1)
    for begin in range(0, returns.shape[1], columns):
        part = away[:, begin : begin + columns]
        above = times @ part / count
        deviations = np.sqrt(np.maximum(times @ part**2 / count - above**2, 0.0) * count / max(count - 1, 1))
        above += means[begin : begin + columns]
        ratios = np.divide(above, deviations, out=np.zeros_like(above), where=deviations > 0)
        ends = ((1 - how.level) / 2, (1 + how.level) / 2)
        bounds[:, begin : begin + columns] = np.quantile(ratios, ends, axis=0) * per_year**0.5
    return bounds


@lru_cache(maxsize=1)
def _times_taken(count: int, how: Resampling) -> Numbers:
    """Return how many times each resample takes each return: a row for each resample."""
    draws = []
    for blocks in resample_blocks(count, how):
        many = len(blocks.rows)
        places = np.repeat(np.arange(many), np.diff(np.append(blocks.rows, len(blocks.first)))) * (2 * count + 1)
        begins, ends = places + blocks.first, places + blocks.first + blocks.lengths
        size = many * (2 * count + 1)
        changes = np.bincount(begins, minlength=size) - np.bincount(ends, minlength=size)
        times = changes.reshape(many, -1).cumsum(axis=1)
        draws.append((times[:, :count] + times[:, count : 2 * count]).astype(np.float64))
    return np.concatenate(draws)


def _ends(drawn: Generator, whole: int, mean_block: int) -> Places:
    ends = np.zeros(1, np.int64)
    while ends[-1] < whole:
        lengths = drawn.geometric(1 / mean_block, max(whole // mean_block, 1))
        ends = np.append(ends, ends[-1] + np.cumsum(lengths))
    return ends[ends < whole]


class _Sums:
    """Running sums of a series repeated once, so that a block's sum is a difference wherever it begins."""

    def __init__(self, series: ReturnSeries) -> None:
        values, excesses = np.asarray(series.values), np.asarray(series.excess)
        self.count, self.per_year, self.mean_excess = len(values), series.per_year, float(excesses.mean())
        self.logs = _running(np.log1p(values))
        self.others = {name: _running(np.log1p(np.asarray(each))) for name, each in series.others.items()}
        self.excesses = _running(excesses - self.mean_excess)
        self.squares = _running((excesses - self.mean_excess) ** 2)

    def figures(self, blocks: Blocks) -> dict[str, Numbers]:
        grown = self._mean(self.logs, blocks)
        above = self._mean(self.excesses, blocks)
        variance = np.maximum(self._mean(self.squares, blocks) - above**2, 0.0) * self.count / (self.count - 1)
        deviation = np.sqrt(variance)
        ratio = np.divide(self.mean_excess + above, deviation, out=np.zeros_like(above), where=deviation > 0)
        rows, year = self._grown(blocks), round(self.per_year)
        first_year = rows[:, :year].copy()
        of_a_year = (_deepest(first_year.copy()), np.expm1(np.diff(first_year, prepend=0.0).min(axis=1)))
        return {
            "cagr": np.expm1(grown * self.per_year),
            "sharpe": ratio * self.per_year**0.5,
            "max_drawdown": _deepest(rows),
            **(dict(zip(OF_A_YEAR, of_a_year, strict=True)) if self.count >= year else {}),
            **{name: (grown - self._mean(each, blocks)) * self.per_year for name, each in self.others.items()},
        }

    def _mean(self, running: Numbers, blocks: Blocks) -> Numbers:
        of_blocks = running[blocks.first + blocks.lengths] - running[blocks.first]
        return np.add.reduceat(of_blocks, blocks.rows) / self.count

    def _grown(self, blocks: Blocks) -> Numbers:
        """Return the cumulative log growth of each resample: a row for each."""
        of_blocks = self.logs[blocks.first + blocks.lengths] - self.logs[blocks.first]
        before = np.cumsum(of_blocks) - of_blocks
        in_row = np.diff(np.append(blocks.rows, len(before)))
        before -= np.repeat(before[blocks.rows], in_row)
        starts = np.cumsum(blocks.lengths) - blocks.lengths
        places = np.repeat(blocks.first + 1 - starts, blocks.lengths)
        places += np.arange(len(places))
        reached = self.logs[places]
        reached += np.repeat(before - self.logs[blocks.first], blocks.lengths)
        rows: Numbers = reached.reshape(len(blocks.rows), self.count)
        return rows


def _deepest(rows: Numbers) -> Numbers:
    """Return the maximum drawdown of each row, as a fraction from -1 to 0; the rows are overwritten."""
    peaks = np.maximum.accumulate(rows, axis=1)
    np.maximum(peaks, 0.0, out=peaks)
    rows -= peaks
    deepest: Numbers = np.expm1(np.minimum(rows.min(axis=1), 0.0))
    return deepest


def _running(values: Numbers) -> Numbers:
    return np.concatenate(([0.0], np.cumsum(np.concatenate((values, values)))))


def confidence_figures(
    path: Path, rows: pd.DataFrame | None, names: tuple[str, str], how: Resampling = DEFAULT
) -> Chance | None:
    """Return CAGR, Sharpe ratio, drawdown and excess returns with their intervals; None for less than a year.

    `names` has two names: that of the benchmark, and that of the benchmark held at the account's exposure. A benchmark
    without a name is left out.
    """
    count = len(path.returns)
    if rows is None or count < path.year:
        return None
    others = [(column, name) for column, name in zip(("benchmark", "leveled"), names, strict=True) if name]
    valued = rows.iloc[1:][["value", "cash", *(column for column, _ in others)]].dropna()
    if len(valued) < path.year:
        others, valued = [], rows.iloc[1:][["value", "cash"]].dropna()
    compared = {column: valued[column].tolist() for column, _ in others}
    of = ReturnSeries(valued["value"].tolist(), path.per_year, 0.0, valued["cash"].tolist(), path.year, compared)
    spans = intervals(of, how)
    figures = _figures(of, others, spans or {})
    return Chance(how.resamples, how.mean_block, how.seed, how.level, tuple(figures))


def _figures(of: ReturnSeries, others: Sequence[tuple[str, str]], spans: dict[str, ReturnSpan]) -> list[Figure]:
    ratio = statistics.sharpe(of.excess, of.per_year)
    values: list[tuple[str, str, FigureUnit, float | None]] = [
        ("cagr", "CAGR", FigureUnit.YEARLY, statistics.cagr(of.values, of.years)),
        ("sharpe", "Sharpe ratio", FigureUnit.RATIO, ratio.value if ratio else None),
        ("max_drawdown", DRAWDOWN_LABEL, FigureUnit.FRACTION, statistics.max_drawdown(of.values)),
    ]
    if spans:
        values += [
            (
                column,
                f"Yearly log excess over {name}",
                FigureUnit.YEARLY,
                yearly_excess(of.values, returns, of.per_year),
            )
            for (column, name), returns in zip(others, of.others.values(), strict=True)
        ]
    count, figures = len(of.values), list[Figure]()
    for name, label, unit, value in values:
        span = spans.get(name)
        low, high = (span.low, span.high) if span and value is not None else (None, None)
        note = LOST if span is None else NO_SPREAD if value is None else ""
        figures.append(Figure(name, label, unit, value, count, of.year, RETURNS, low, high, note))
    bad = ((name, label, spans[name].low) for name, label in OF_A_YEAR.items() if name in spans)
    return [
        *figures,
        *(Figure(name, label, FigureUnit.FRACTION, low, count, of.year, RETURNS) for name, label, low in bad),
    ]


EULER = 0.5772156649015329
"""The Euler-Mascheroni constant."""
KNOWN = 3
"""The number of trials with known Sharpe ratios that is needed to compute their spread."""
_NORMAL = NormalDist()


def best_by_chance(trials: int, deviation: float) -> float:
    """Return the highest Sharpe ratio to expect from `trials` independent trials if all true ratios are zero.

    `deviation` is the standard deviation of the trials' ratios. The result, in the same unit, is `deviation` times ((1
    - g) Z(1 - 1 / N) + g Z(1 - 1 / (N e))), with the quantiles Z of the normal distribution and g = `EULER`. For one
    trial it is 0.
    """
    if trials < 2:
        return 0.0
    quantiles = _NORMAL.inv_cdf(1 - 1 / trials), _NORMAL.inv_cdf(1 - 1 / (trials * e))
    return deviation * ((1 - EULER) * quantiles[0] + EULER * quantiles[1])


def deflate_sharpe(of: Returns, trials: Trials | None) -> Selected | None:
    """Deflate a Sharpe ratio by the number of trials; return None if that number is unknown."""
    if trials is None or trials.count < 1:
        return None
    count, moments = len(of.values), moments_of_returns(of.excess) if len(of.values) >= A_QUARTER else None
    by_chance = deflated = None
    if moments is not None:
        # If too few of the trials' ratios are known, use the deviation that chance alone would cause.
        sharpes = trials.sharpes
        deviation = stdev(sharpes) / sqrt(of.per_year) if len(sharpes) >= KNOWN else sharpe_error(moments)
        best = best_by_chance(trials.count, deviation)
        # The deflated ratio is the probability that the true one is above the best trial's by chance.
        by_chance, deflated = best * sqrt(of.per_year), probabilistic_sharpe(moments, best)
    note = NO_SPREAD if count >= A_QUARTER and deflated is None else f"the best of {pluralize(trials.count, 'trial')}"
    rows = (
        ("best_by_chance", "Best Sharpe ratio by chance", FigureUnit.RATIO, by_chance),
        ("deflated_sharpe", "Deflated Sharpe ratio", FigureUnit.FRACTION, deflated),
    )
    figures = (Figure(*row, count, A_QUARTER, RETURNS, note=note) for row in rows)
    return Selected(trials.count, len(trials.sharpes), *figures)
