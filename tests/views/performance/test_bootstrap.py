"""The block bootstrap agrees with a plain loop over its blocks, and obeys the laws of the stationary bootstrap."""

from itertools import pairwise
from math import expm1, isclose, log1p, sqrt
from random import Random
from statistics import fmean, stdev

import numpy as np
import pytest

from tests.builders import there
from tradebot.views.performance import statistics
from tradebot.views.performance.bootstrap import (
    DEFAULT,
    Blocks,
    Resampling,
    Series,
    Span,
    intervals,
    resampled,
    yearly_excess,
)

SMALL = Resampling(resamples=200, mean_block=4, seed=3, level=0.9)


def series(count: int, seed: int = 1, mean: float = 0.0005, deviation: float = 0.012) -> list[float]:
    drawn = Random(seed)  # noqa: S311 -- replayable on purpose
    return [drawn.gauss(mean, deviation) for _ in range(count)]


def rows_of(blocks: Blocks, count: int) -> list[list[int]]:
    """Return the places of each resample, by walking through its blocks."""
    found = list[list[int]]()
    ends = [*blocks.rows[1:], len(blocks.first)]
    for begin, end in zip(blocks.rows, ends, strict=True):
        places = list[int]()
        for first, length in zip(blocks.first[begin:end], blocks.lengths[begin:end], strict=True):
            places += [int(first + step) % count for step in range(length)]
        found.append(places)
    return found


def plainly(of: Series, how: Resampling) -> dict[str, Span]:
    """Return the intervals by a loop over each resample."""
    found: dict[str, list[float]] = {}
    for blocks in resampled(len(of.values), how):
        for places in rows_of(blocks, len(of.values)):
            values = [of.values[place] for place in places]
            excess = [of.values[place] - of.cash[place] for place in places]
            others = {
                name: yearly_excess(values, [each[place] for place in places], of.per_year)
                for name, each in of.others.items()
            }
            figures = {
                "cagr": expm1(fmean(map(log1p, values)) * of.per_year),
                "sharpe": fmean(excess) / stdev(excess) * sqrt(of.per_year),
                "max_drawdown": statistics.max_drawdown(values),
                **others,
            }
            for name, value in figures.items():
                found.setdefault(name, []).append(value)
    tail = (1 - how.level) / 2
    return {name: Span(*map(float, np.quantile(values, (tail, 1 - tail)))) for name, values in found.items()}


def test_resampled_figures_equal_those_of_a_plain_loop() -> None:
    of = Series(series(50), series(50, 2, 0.0001, 0.0001), 252, {"SPY": series(50, 3)})
    found, expected = there(intervals(of, SMALL)), plainly(of, SMALL)
    assert found.keys() == expected.keys() == {"cagr", "sharpe", "max_drawdown", "SPY"}
    for name, span in expected.items():
        assert isclose(found[name].low, span.low, rel_tol=1e-9)
        assert isclose(found[name].high, span.high, rel_tol=1e-9)


def test_resample_is_as_long_as_the_series() -> None:
    how = Resampling(resamples=1_000, mean_block=5, seed=1)
    rows = [row for blocks in resampled(30, how) for row in rows_of(blocks, 30)]
    assert [len(row) for row in rows] == [30] * 1_000


def test_blocks_have_the_given_mean_length_and_start_anywhere() -> None:
    how = Resampling(resamples=2_000, mean_block=21, seed=5)
    rows = [row for blocks in resampled(250, how) for row in rows_of(blocks, 250)]
    steps = [(after - before) % 250 == 1 for row in rows for before, after in pairwise(row)]
    # A new block goes on by chance once in 250 times.
    assert fmean(steps) == pytest.approx(1 - 1 / 21 + 1 / 21 / 250, abs=0.002)
    seen = np.bincount([place for row in rows for place in row], minlength=250)
    assert seen.min() > 0.8 * 2_000
    assert seen.max() < 1.2 * 2_000


def test_same_seed_draws_the_same_and_another_nearly_the_same() -> None:
    of = Series(series(300), [0.0] * 300, 252, {})
    first, again, other = (intervals(of, Resampling(seed=seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert first is not None
    assert other is not None
    assert first["cagr"].low == pytest.approx(other["cagr"].low, abs=0.02)


def test_independent_returns_have_the_interval_of_their_standard_error() -> None:
    values = series(1_257, deviation=0.01)
    found = there(intervals(Series(values, [0.0] * len(values), 252, {"zero": [0.0] * len(values)}), DEFAULT))
    half = (found["zero"].high - found["zero"].low) / 2
    assert half == pytest.approx(1.96 * stdev(map(log1p, values)) * 252 / sqrt(1_257), rel=0.1)


def test_autocorrelated_returns_widen_the_interval() -> None:
    runs = [value for start in range(20) for value in [0.01 if start % 2 else -0.01] * 21]
    mixed = [0.01, -0.01] * 210
    in_runs, in_turn = (there(intervals(Series(values, [0.0] * 420, 252, {}))) for values in (runs, mixed))
    assert in_runs["cagr"].high - in_runs["cagr"].low > 5 * (in_turn["cagr"].high - in_turn["cagr"].low)
    assert in_runs["max_drawdown"].low < in_turn["max_drawdown"].low


def test_constant_returns_have_an_interval_without_width() -> None:
    found = there(intervals(Series([0.001] * 30, [0.001] * 30, 252, {"same": [0.001] * 30}), SMALL))
    assert found["cagr"].low == pytest.approx(1.001**252 - 1) == pytest.approx(found["cagr"].high)
    assert found["max_drawdown"] == (0.0, 0.0)
    assert found["same"] == pytest.approx((0.0, 0.0))


@pytest.mark.parametrize("values", [[0.1], [], [0.1, -1.0, 0.2]])
def test_one_return_or_a_total_loss_has_no_interval(values: list[float]) -> None:
    assert intervals(Series(values, [0.0] * len(values), 252, {}), SMALL) is None


def test_benchmark_that_lost_everything_has_no_excess() -> None:
    assert intervals(Series([0.1, 0.2], [0.0] * 2, 252, {"gone": [0.0, -1.0]}), SMALL) is None


def test_excess_is_the_difference_of_yearly_log_growth() -> None:
    assert yearly_excess([0.10, 0.0], [0.0, 0.0], 1) == pytest.approx(log1p(0.10) / 2)
    assert yearly_excess([0.01] * 252, [0.02] * 252, 252) == pytest.approx(252 * (log1p(0.01) - log1p(0.02)))
