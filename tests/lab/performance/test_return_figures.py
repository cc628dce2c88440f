"""Figures of returns and of single sessions: none from fewer than it needs, and each as numpy makes it."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest

from tests.kit.trades import past, sessions, spy
from tests.kit.values import there
from tradebot.lab.performance.curve import Rates, frame
from tradebot.lab.performance.report import Figure
from tradebot.lab.performance.return_figures import (
    A_MONTH,
    A_QUARTER,
    A_YEAR,
    MOST_BINS,
    Returns,
    against_figures,
    comparisons,
    histogram,
    return_figures,
    returns_of,
    tail_figures,
)
from tradebot.lab.performance.returns import account_steps
from tradebot.model.evidence import DatedRate

OF_A_QUARTER = dict.fromkeys(("sharpe", "psr", "min_track_record", "sortino"), A_QUARTER)
NEEDED = OF_A_QUARTER | {"total_return": 1, "max_drawdown": 1, "mean_return": 8, "volatility": A_MONTH}
NEEDED |= {"cagr": A_YEAR, "calmar": A_YEAR}


def figures(count: int) -> dict[str, Figure]:
    if not count:
        return {each.name: each for each in return_figures(Returns((), 252, 0.0))}
    way = account_steps(past(3, count), [], sessions(count))
    return {each.name: each for each in return_figures(Returns(way.returns, way.per_year, 0.0))}


@pytest.mark.parametrize(("name", "needed"), NEEDED.items())
def test_figure_appears_at_exactly_its_needed_returns(name: str, needed: int) -> None:
    before, there = figures(needed - 1)[name], figures(needed)[name]
    assert (before.value, before.observations, before.needed, before.lacks) == (None, needed - 1, needed, 1)
    assert (before.low, before.high) == (None, None)
    assert there.lacks == 0
    assert there.value is not None or there.note


def test_year_of_returns_has_every_figure_with_interval() -> None:
    found = figures(A_YEAR)
    assert found.keys() == NEEDED.keys()
    assert [name for name, each in found.items() if each.value is None and name != "min_track_record"] == []
    with_interval = {name for name, each in found.items() if each.low is not None}
    assert with_interval == {"cagr", "mean_return", "volatility", "sharpe"}
    for name in with_interval:
        low, value, high = there(found[name].low), there(found[name].value), there(found[name].high)
        assert low < value < high


def test_losing_account_says_that_no_track_record_is_enough() -> None:
    found = {each.name: each for each in return_figures(Returns([-0.01, 0.005] * 40, 252, 0.0))}
    assert found["min_track_record"].value is None
    assert found["min_track_record"].note.startswith("the Sharpe ratio isn't above 0")
    assert there(found["sharpe"].value) < 0


def test_constant_returns_have_no_ratio_and_say_so() -> None:
    found = {each.name: each for each in return_figures(Returns([0.001] * 300, 252, 0.0))}
    assert found["sharpe"].note == found["volatility"].note == "the returns don't vary"
    assert (found["sortino"].note, found["calmar"].note) == ("no session lost", "there was no drawdown")
    assert found["cagr"].value == pytest.approx(1.001**252 - 1)


def test_benchmark_and_cash_are_measured_like_the_account() -> None:
    way, prices = account_steps(past(3, 100), [], sessions(100)), spy(4, 100)
    rates = Rates(0.05)
    found = {each.of: each for each in comparisons(way, frame(way, prices, rates, [1.0] * 100), rates)}
    # The account's whole exposure in the benchmark is the benchmark.
    for each in found.values():
        assert each.benchmark.value == pytest.approx(each.benchmark_leveled.value)
    assert found["total_return"].cash.value == pytest.approx(1.05 ** (100 / 252) - 1)
    assert found["max_drawdown"].cash.value == 0
    assert found["sharpe"].cash.value is None
    assert found["sharpe"].account.observations == found["sharpe"].benchmark.observations == 100


def test_benchmark_without_a_price_of_the_last_session_has_no_total_to_compare() -> None:
    way, prices = account_steps(past(3, 100), [], sessions(100)), spy(4, 100)
    rows = frame(way, prices, Rates(), [1.0] * 100)
    rows.loc[rows.index[-1], ["benchmark", "leveled"]] = float("nan")
    found = {each.of: each for each in comparisons(way, rows, Rates())}
    for name in ("total_return", "max_drawdown"):
        of_both = found[name].benchmark, found[name].benchmark_leveled
        assert {(each.value, each.note) for each in of_both} == {(None, "it has no price of the last session yet")}
        assert found[name].account.value is not None
        assert found[name].cash.value is not None
    assert found["sharpe"].benchmark.value is not None


def test_ratios_subtract_each_sessions_cash_return() -> None:
    way, prices = account_steps(past(3, 100), [], sessions(100)), spy(4, 100)
    dated = Rates(0.0, (DatedRate(way.sessions[0], 0.0), DatedRate(way.sessions[50], 0.10)))
    rows = frame(way, prices, dated, [1.0] * 100)
    daily = 1.10 ** (1 / 252) - 1
    of = returns_of("value", way, rows, dated)
    assert of.excess == pytest.approx(
        [value - (daily if place >= 50 else 0) for place, value in enumerate(way.returns)]
    )
    found = {each.of: each for each in comparisons(way, rows, dated)}
    assert found["sharpe"].account == {each.name: each for each in return_figures(of)}["sharpe"]
    assert found["sharpe"].benchmark.value == pytest.approx(found["sharpe"].benchmark_leveled.value)
    plain = {each.of: each for each in comparisons(way, frame(way, prices, Rates()), Rates())}
    assert (found["sharpe"].benchmark.value or 0) < (plain["sharpe"].benchmark.value or 0)
    assert found["total_return"].account == plain["total_return"].account


DRAWN = np.random.default_rng(7)
SPY = DRAWN.normal(0.0004, 0.01, A_YEAR)
OWN = 0.0002 + 0.6 * SPY + 0.004 * DRAWN.standard_t(4, A_YEAR)
CASH = 0.0001


def named(figures: Sequence[Figure]) -> Mapping[str, Figure]:
    return {each.name: each for each in figures}


def against(own: "np.typing.NDArray[np.float64]", cash: float = CASH) -> Mapping[str, Figure]:
    rows = pd.DataFrame({"value": own, "benchmark": SPY[: len(own)], "cash": cash})
    # A path's frame begins with a row without returns.
    return named(against_figures(pd.concat([pd.DataFrame({"value": [np.nan]}), rows]), 252, "SPY"))


T_OF_39 = 2.0226909
"""What Student's t with 39 degrees of freedom exceeds once in forty times, from a table."""
DIFFERENCES = {"mean_difference", "mean_leveled"}


def test_mean_difference_has_the_interval_of_a_paired_t_test() -> None:
    rows = pd.DataFrame({"value": OWN[:40], "benchmark": SPY[:40], "leveled": 0.5 * SPY[:40], "cash": 0.0})
    found = named(against_figures(rows, 252, "SPY"))
    for name, other in (("mean_difference", SPY[:40]), ("mean_leveled", 0.5 * SPY[:40])):
        apart = OWN[:40] - other
        half = T_OF_39 * apart.std(ddof=1) / 40**0.5
        ends = apart.mean() - half, apart.mean() + half
        assert (found[name].low, found[name].high) == pytest.approx(ends, abs=1e-8)
        assert found[name].value == pytest.approx(apart.mean())


def test_tails_are_the_moments_and_quantiles_of_numpy() -> None:
    found = named(tail_figures(OWN.tolist()))
    standard = (OWN - OWN.mean()) / OWN.std()
    low, high = np.quantile(OWN, (0.05, 0.95))
    tail = OWN[low >= OWN]
    assert {name: each.value for name, each in found.items()} == pytest.approx(
        {
            "skewness": (standard**3).mean(),
            "kurtosis": (standard**4).mean() - 3,
            "tail_ratio": -high / low,
            "value_at_risk": low,
            "shortfall": tail.mean(),
        }
    )
    assert (found["value_at_risk"].observations, found["shortfall"].observations) == (A_YEAR, len(tail))
    assert there(found["value_at_risk"].low) < low < there(found["value_at_risk"].high)


def test_losses_scale_with_leverage_the_shape_does_not_and_on_the_other_side_it_is_turned_over() -> None:
    once, twice, other = (named(tail_figures((factor * OWN).tolist())) for factor in (1, 2, -1))
    for name, factor in (("value_at_risk", 2), ("shortfall", 2), ("skewness", 1), ("kurtosis", 1), ("tail_ratio", 1)):
        assert twice[name].value == pytest.approx(factor * there(once[name].value)), name
    assert other["skewness"].value == pytest.approx(-there(once["skewness"].value))
    assert other["tail_ratio"].value == pytest.approx(1 / there(once["tail_ratio"].value))


def test_tails_appear_with_a_quarter_and_are_whole_with_a_year() -> None:
    assert tail_figures(OWN[: A_QUARTER - 1].tolist()) == ()
    quarter = named(tail_figures(OWN[:A_QUARTER].tolist()))
    assert [name for name, each in quarter.items() if each.value is not None] == ["skewness"]
    assert (quarter["shortfall"].observations, quarter["shortfall"].needed) == (4, 13)
    assert not [each.name for each in tail_figures(OWN[:A_YEAR].tolist()) if each.value is None]
    lacking = [each.name for each in tail_figures(OWN[: A_YEAR - 1].tolist()) if each.lacks]
    assert lacking == ["kurtosis", "tail_ratio", "value_at_risk"]


def test_returns_that_never_fall_or_vary_have_no_tail_ratio_or_shape() -> None:
    found = named(tail_figures([0.001] * A_YEAR))
    assert (found["skewness"].note, found["kurtosis"].note) == ("the returns don't vary",) * 2
    assert found["tail_ratio"].note == "even the worst session in twenty lost nothing"


def test_beta_alpha_and_correlation_are_those_of_least_squares() -> None:
    found = against(OWN)
    matrix = np.column_stack([SPY - CASH, np.ones(A_YEAR)])
    (beta, alpha), (squares,), _, _ = np.linalg.lstsq(matrix, OWN - CASH)
    errors = np.sqrt(np.diag(np.linalg.inv(matrix.T @ matrix)) * squares / (A_YEAR - 2))
    for name, value, error in (("beta", beta, errors[0]), ("alpha", 252 * alpha, 252 * errors[1])):
        half = 1.969498 * error  # Student's t, 97.5 %, 250 degrees of freedom
        assert (found[name].value, found[name].low, found[name].high) == pytest.approx(
            (value, value - half, value + half), rel=1e-5
        )
    correlation = np.corrcoef(OWN, SPY)[0, 1]
    assert found["correlation"].value == pytest.approx(correlation)
    half = 1.959964 / np.sqrt(A_YEAR - 3)
    assert np.arctanh([there(found["correlation"].low), there(found["correlation"].high)]) == pytest.approx(
        [np.arctanh(correlation) - half, np.arctanh(correlation) + half]
    )


@pytest.mark.parametrize("share", [-1.0, 0.25, 1.0, 2.0])
def test_benchmark_at_a_share_has_that_beta_and_capture_and_no_alpha(share: float) -> None:
    found = against(share * SPY, cash=0.0)
    assert {name: each.value for name, each in found.items() if name not in DIFFERENCES} == pytest.approx(
        {"beta": share, "correlation": np.sign(share), "alpha": 0, "up_capture": share, "down_capture": share}
    )


def test_capture_compares_means_of_rising_and_of_falling_sessions() -> None:
    found = against(OWN)
    for name, chosen in (("up_capture", SPY > 0), ("down_capture", SPY < 0)):
        assert found[name].value == pytest.approx(OWN[chosen].mean() / SPY[chosen].mean())
        assert found[name].observations == chosen.sum()


def test_nothing_is_said_against_a_benchmark_without_a_quarter_of_pairs() -> None:
    assert against(OWN[: A_QUARTER - 1]).keys() == {"mean_difference"}
    assert against(OWN[:7]) == {}
    quarter = against(OWN[:A_QUARTER])
    known = [name for name, each in quarter.items() if each.value is not None]
    assert known == ["mean_difference", "beta", "correlation"]
    assert against_figures(pd.DataFrame({"value": OWN, "benchmark": np.nan, "cash": 0.0}), 252, None) == ()


def test_benchmark_that_did_not_move_has_no_line() -> None:
    found = named(against_figures(pd.DataFrame({"value": OWN, "benchmark": 0.0, "cash": 0.0}), 252, "SPY"))
    assert (found["beta"].value, found["beta"].note) == (None, "SPY didn't move")
    assert found["up_capture"].observations == 0


def test_histogram_counts_each_return_once_in_bins_of_one_round_width() -> None:
    bins = histogram(OWN.tolist())
    edges = [each.low for each in bins] + [bins[-1].high]
    assert sum(each.count for each in bins) == A_YEAR
    assert len(bins) <= MOST_BINS
    assert np.diff(edges) == pytest.approx([0.002] * len(bins))
    assert [each.count for each in bins] == np.histogram(OWN, edges)[0].tolist()
    assert histogram(OWN[: A_QUARTER - 1].tolist()) == ()


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0, 50.0])
def test_histogram_of_any_spread_has_few_bins(scale: float) -> None:
    bins = histogram((scale * OWN).tolist())
    assert 1 <= len(bins) <= MOST_BINS
    assert sum(each.count for each in bins) == A_YEAR
