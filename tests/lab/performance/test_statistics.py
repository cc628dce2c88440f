"""The statistics agree with empyrical to nine places, with hand-worked cases, and with laws that they must obey."""

import random
from collections.abc import Sequence
from itertools import pairwise
from math import isclose, isfinite, sqrt
from statistics import fmean

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.kit.values import there
from tradebot.lab.performance import statistics as figures

RETURNS = st.lists(st.floats(-0.5, 0.5).map(lambda value: round(value, 6)), min_size=2, max_size=60)


def series(seed: int, count: int, mean: float, deviation: float, *, fat: bool) -> list[float]:
    drawn = random.Random(seed)  # noqa: S311 -- replayable on purpose
    return [mean + deviation * drawn.gauss(0, 1) * (3 if fat and drawn.random() < 0.05 else 1) for _ in range(count)]


EMPYRICAL_SAYS = ("total", "cagr", "volatility", "sharpe", "sharpe_over_cash", "sortino", "drawdown", "calmar")
EMPYRICAL = [
    (
        (1, 300, 0.0006, 0.011, False),
        (0.7212665670869223, 0.5780197413068029, 0.16947751020356103, 2.778469659350062),
        (2.629777364014051, 4.443858559284956, -0.13167961181107504, 4.3895917777773095),
    ),
    (
        (2, 1257, 0.0003, 0.0133, True),
        (-0.3588323121064856, -0.08525048502856314, 0.24025126213738762, -0.2507514623916316),
        (-0.35564165017174576, -0.35163019598565426, -0.5583555304540546, -0.1526813658660056),
    ),
    (
        (3, 63, -0.001, 0.02, True),
        (-0.07982887122998106, -0.28307386758165465, 0.3856731666825606, -0.6749151395156089),
        (-0.7402554384447846, -1.0248622723745968, -0.2365670398177931, -1.1965904793824267),
    ),
    (
        (4, 252, 0.0, 0.005, False),
        (0.1046182455729312, 0.1046182455729312, 0.0754951142591545, 1.3557881717064717),
        (1.0219917367014815, 2.098270484264041, -0.042143116202456, 2.482451584034365),
    ),
]


@pytest.mark.parametrize(("drawn", "absolute", "relative"), EMPYRICAL, ids=lambda value: str(value)[:20])
def test_statistics_agree_with_empyrical(
    drawn: tuple[int, int, float, float, bool], absolute: Sequence[float], relative: Sequence[float]
) -> None:
    seed, count, mean, deviation, fat = drawn
    returns = series(seed, count, mean, deviation, fat=fat)
    found = {
        "total": figures.total_return(returns),
        "cagr": figures.cagr(returns, count / 252),
        "volatility": figures.volatility(returns, 252),
        "sharpe": figures.sharpe(returns, 252),
        "sharpe_over_cash": figures.sharpe([each - 0.0001 for each in returns], 252),
        "sortino": figures.sortino(returns, 252),
        "drawdown": figures.max_drawdown(returns),
        "calmar": figures.calmar(returns, count / 252),
    }
    values = {name: each.value if isinstance(each, figures.Interval) else each for name, each in found.items()}
    assert values == pytest.approx(dict(zip(EMPYRICAL_SAYS, (*absolute, *relative), strict=True)), abs=1e-9, rel=1e-9)


def test_statistics_match_a_case_worked_by_hand() -> None:
    # 100 -> 110 -> 99 -> 99 -> 118.8: the returns have the mean 0.05 and the squared deviations 0.0025, 0.0225, 0.0025
    # and 0.0225, 0.05 in all; the one loss of 0.1 has the mean square 0.0025.
    returns = [0.1, -0.1, 0.0, 0.2]
    found = figures.moments_of_returns(returns)
    assert found == pytest.approx((4, 0.05, sqrt(0.05 / 3), 0.0, (0.0025**2 + 0.0225**2) / 2 / 0.0125**2))
    assert there(figures.sharpe(returns, 4)).value == pytest.approx(2 * 0.05 / sqrt(0.05 / 3))
    assert figures.sortino(returns, 4) == pytest.approx(2.0)
    (fall,) = figures.drawdowns_deepest_first(figures.growth(returns))
    assert fall.depth == pytest.approx(-0.1)
    assert fall[1:] == (1, 2, 4)


def test_probabilistic_sharpe_matches_its_paper() -> None:
    # The paper's fund: 24 monthly returns with a Sharpe ratio of 0.458, skewness -2.448 and kurtosis 10.164.
    fund = figures.Shape(24, 0.458, 1.0, -2.448, 10.164)
    assert figures.probabilistic_sharpe(fund) == pytest.approx(0.913, abs=5e-4)


def test_minimum_track_record_matches_its_paper() -> None:
    # The paper: to be above 1 at 95% with a Sharpe ratio of 2 and normal daily returns takes 2.73 years.
    daily = figures.Shape(1000, 2 / sqrt(252), 1.0, 0.0, 3.0)
    assert there(figures.minimum_track_record(daily, 1 / sqrt(252))) / 252 == pytest.approx(2.73, abs=5e-3)
    assert figures.minimum_track_record(figures.Shape(100, -0.01, 1.0, 0.0, 3.0)) is None


def test_sharpe_error_of_normal_returns_matches_lo() -> None:
    # Lo, table 1: with 60 returns and a Sharpe ratio of 1.50 per return it is 0.188, with 0.50 it is 0.137.
    for ratio, error in ((1.5, 0.188), (0.5, 0.137)):
        assert figures.sharpe_error(figures.Shape(61, ratio, 1.0, 0.0, 3.0)) == pytest.approx(error, abs=6e-4)


def test_wilson_interval_matches_a_worked_example() -> None:
    # 10 of 20: 0.5 plus or minus 1.96 / (1 + 3.8415 / 20) * sqrt(0.25 / 20 + 3.8415 / 1600) = 0.2007.
    assert figures.wilson_interval(10, 20) == pytest.approx((0.5, 0.2993, 0.7007), abs=1e-4)
    assert figures.wilson_interval(0, 3).low == 0
    assert figures.wilson_interval(3, 3).high == 1


@given(RETURNS)
def test_statistics_are_never_nan_or_infinite(returns: list[float]) -> None:
    found = [
        figures.total_return(returns),
        figures.cagr(returns, len(returns) / 252),
        figures.sortino(returns, 252),
        figures.max_drawdown(returns),
        figures.calmar(returns, len(returns) / 252),
        *(figures.volatility(returns, 252) or ()),
        *(figures.sharpe(returns, 252) or ()),
        *(figures.yearly_interval(returns, 12) or ()),
    ]
    moments = figures.moments_of_returns(returns)
    if moments:
        found += [*moments, figures.probabilistic_sharpe(moments), figures.minimum_track_record(moments)]
    assert [each for each in found if each is not None and not isfinite(each)] == []


@given(RETURNS)
def test_sharpe_ratio_has_the_sign_of_the_mean(returns: list[float]) -> None:
    found = figures.sharpe(returns, 252)
    assume(found is not None and abs(fmean(returns)) > 1e-12)
    assert found is not None
    assert (found.value > 0) is (fmean(returns) > 0)
    assert found.low <= found.value <= found.high


@given(RETURNS, st.randoms(use_true_random=False))
def test_order_of_returns_changes_only_the_drawdown(returns: list[float], drawn: random.Random) -> None:
    mixed = drawn.sample(returns, len(returns))
    assert isclose(figures.total_return(mixed), figures.total_return(returns), abs_tol=1e-9)
    assert figures.sharpe(mixed, 252) == pytest.approx(figures.sharpe(returns, 252))
    assert figures.sortino(mixed, 252) == pytest.approx(figures.sortino(returns, 252))


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=60))
def test_rising_returns_have_no_drawdown(returns: list[float]) -> None:
    assert figures.max_drawdown(returns) == 0
    assert figures.drawdowns_deepest_first(figures.growth(returns)) == []
    assert figures.sortino(returns, 252) is None
    assert figures.calmar(returns, 1) is None


@given(RETURNS)
def test_deepest_fall_is_the_maximum_drawdown_and_falls_do_not_overlap(returns: list[float]) -> None:
    found = figures.drawdowns_deepest_first(figures.growth(returns))
    assert min((fall.depth for fall in found), default=0) == figures.max_drawdown(returns)
    ordered = sorted(found, key=lambda fall: fall.peak)
    assert all(fall.peak < fall.trough for fall in ordered)
    for before, after in pairwise(ordered):
        assert there(before.recovered) <= after.peak


def test_constant_returns_have_no_ratio() -> None:
    assert figures.moments_of_returns([0.01] * 10) is None
    assert figures.sharpe([0.01] * 10, 252) is None
    assert figures.sharpe([0.361328] * 3, 252) is None, "their mean is off by rounding"
    assert figures.volatility([0.01], 252) is None
    assert figures.cagr([-1.0], 1) is None
    assert figures.yearly_interval([-1.0, 0.1], 252) is None


ANSCOMBE = ([10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5], [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68])
"""The first set of Anscombe, "Graphs in Statistical Analysis", The American Statistician 27, 1973."""


def test_line_and_its_errors_are_those_that_anscombe_printed() -> None:
    others, values = ANSCOMBE
    found = there(figures.least_squares_line(values, others))
    assert (found.slope.value, found.height.value) == pytest.approx((0.500, 3.00), abs=0.0005)
    # Student's t, 97.5 %, 9 degrees of freedom.
    errors = [(each.high - each.low) / 2 / 2.262157 for each in (found.slope, found.height)]
    assert errors == pytest.approx([0.118, 1.125], abs=0.0005)
    assert there(found.correlation).value ** 2 == pytest.approx(0.667, abs=0.0005)


def test_line_needs_four_pairs_and_others_that_vary() -> None:
    assert figures.least_squares_line([1, 2, 4], [1, 2, 3]) is None
    assert figures.least_squares_line([1, 2, 4, 3], [0.1] * 4) is None
    flat = there(figures.least_squares_line([0.1] * 4, [1, 2, 3, 4]))
    assert flat.slope.value == pytest.approx(0)
    assert flat.correlation is None
    assert there(figures.least_squares_line([1, 2, 3, 4], [2, 4, 6, 8])).correlation == (1, 1, 1)


@given(RETURNS, st.floats(0, 1))
def test_quantile_is_that_of_numpy_and_lies_in_its_interval(returns: list[float], share: float) -> None:
    found = figures.quantile(returns, share)
    assert found.value == pytest.approx(float(np.quantile(returns, share)), abs=1e-12)
    assert found.low <= found.value <= found.high
    assert {found.low, found.high} <= {*returns, found.value}


def test_interval_of_a_quantile_holds_it_in_95_of_100_samples() -> None:
    drawn = np.random.default_rng(3).standard_t(3, (600, 252))
    held = [low <= -2.353363 <= high for _, low, high in (figures.quantile(row.tolist(), 0.05) for row in drawn)]
    assert 0.93 <= fmean(held) <= 0.985
