"""What only longer accounts and backtests say, what that assumes, and what no figure shows.

The account session by session: what was held adds up, and each half year is that of numpy.
"""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from tests.kit.trades import account, known, long_backtest, new_account, past, rotated, sessions, spy
from tests.kit.values import there
from tradebot.lab.performance.activity import MeasuredPath, measure
from tradebot.lab.performance.chance import deflate_sharpe
from tradebot.lab.performance.curve import BenchmarkPrices, Rates
from tradebot.lab.performance.further import BEST, cautions, further_assumptions, holdings, over_time, windows
from tradebot.lab.performance.report import AccountReport, Block, CurvePoint, ExtendedReport, SessionExposure
from tradebot.lab.performance.reporting import ReportMaterial, account_report
from tradebot.lab.performance.return_figures import A_YEAR, Returns
from tradebot.lab.performance.returns import account_steps
from tradebot.lab.performance.statistics import total_return
from tradebot.model.evidence import NO_EVIDENCE, Evidence, Trials
from tradebot.model.struct_tools import replace
from tradebot.views.trades.history import History

NOTHING = ExtendedReport((), (), None, None, None, None, ())
PARTS = {
    *(Block.YEARS, Block.ROLLING, Block.COSTS, Block.CHANCE, Block.SENSITIVITY),
    *(Block.WINDOWS, Block.TAILS, Block.AGAINST, Block.HOLDINGS),
}


def reported(count: int, evidence: Evidence = NO_EVIDENCE) -> AccountReport:
    return account_report(ReportMaterial("a", past(1, count), sessions(count), spy(2, count), 0.0, evidence=evidence))


def test_long_backtest_has_every_further_part() -> None:
    found = long_backtest()
    assert all(getattr(found.further, name) for name in ExtendedReport.__struct_fields__)
    assert found.assumptions.keys() >= PARTS
    assert there(found.further.sensitivity).played.trades == sum(1 for trade in found.trades if trade.closed_at)
    assert there(found.further.sensitivity).played.total_return == pytest.approx(found.returns[0].value)
    assert there(found.further.costs).after.value == found.returns[1].value


def test_new_account_has_no_further_part_and_a_short_one_only_its_year() -> None:
    assert new_account().further == NOTHING
    assert PARTS.isdisjoint(new_account().assumptions)
    found = account(3)
    assert replace(found.further, by_year=(), over_time=()) == NOTHING
    assert len(found.further.over_time) == 3
    assert PARTS & found.assumptions.keys() == {Block.YEARS}


def test_short_backtest_says_how_many_sessions_selection_needs() -> None:
    found = reported(3, Evidence(trials=Trials(5)))
    assert there(found.further.selected).deflated.lacks == 60
    assert found.further.chance is None
    assert "the best of 5 independent trials" in found.assumptions[Block.CHANCE][0]


def test_too_few_spans_are_listed_as_unknown() -> None:
    assert "There are 252 session returns; it takes 504 for worst span of a year." in reported(252).unknown


def test_dated_rates_are_what_cash_earns() -> None:
    found, evidence = long_backtest(), known(530)
    assert "from 0.10% to 5.00% per year in this span" in " ".join(found.assumptions[Block.CURVE])
    assert "costs what cash earns and 1.50% a year." in " ".join(found.assumptions[Block.CURVE])
    assert "in excess of what cash earned meanwhile" in " ".join(found.assumptions[Block.RETURNS])
    changed = [point.session for point in found.curve].index(evidence.cash_rates[1].day)
    assert found.curve[changed - 1].cash == pytest.approx(1.001 ** ((changed - 1) / 252))


def test_further_parts_stay_whole_when_a_part_is_chosen() -> None:
    history = rotated(1, 260)
    whole, part = (
        account_report(ReportMaterial("a", history, sessions(260), spy(2, 260), 0.0, strategy=name))
        for name in (None, "other")
    )
    assert replace(part.further, cautions=()) == replace(whole.further, cautions=())


RETURNS = Returns([0.01, -0.01] * 50, 252, 0.0)


def about_trials(*given: Any) -> str:
    found = further_assumptions(ExtendedReport((), (), None, None, deflate_sharpe(RETURNS, Trials(*given)), None, ()))
    assert found.keys() == {Block.CHANCE}
    (only,) = found[Block.CHANCE]
    return only


@pytest.mark.parametrize(
    ("sharpes", "words"),
    [
        ((), "vary as much as by chance, because none of them is known"),
        ((0.5,), "vary as much as by chance, because only 1 of them is known"),
        ((0.5, 0.6), "vary as much as by chance, because only 2 of them are known"),
        ((0.5, 0.6, 0.7), "vary as they did"),
    ],
)
def test_assumption_says_how_trial_ratios_spread_or_that_one_is_no_choice(
    sharpes: tuple[float, ...], words: str
) -> None:
    only = about_trials(7, sharpes)
    assert words in only
    assert "the best of 7 independent trials" in only
    assert about_trials(1).startswith("No other setting was counted as tried")


def test_assumption_about_trials_is_missing_without_trials() -> None:
    of = long_backtest().further
    assert len(further_assumptions(of)[Block.CHANCE]) == 3
    resampled, halts = further_assumptions(ExtendedReport((), (), None, of.chance, None, None, ()))[Block.CHANCE]
    assert "stationary bootstrap" in resampled
    values = {figure.name: figure.value for figure in there(of.chance).figures}
    fitting = [float(found) for found in re.findall(r"_fraction: ([\d.]+)", halts)]
    for found, name in zip(fitting, ("year_drawdown", "year_session"), strict=True):
        assert 0 <= found + there(values[name]) < 0.01


FIRST = date(2020, 1, 2)


def curve(benchmark: list[float]) -> list[CurvePoint]:
    one, at = Decimal(1), datetime(2020, 1, 2, tzinfo=UTC)
    days = [(FIRST + timedelta(place), value) for place, value in enumerate(benchmark)]
    return [CurvePoint(day, at, False, one, Decimal(0), 1.0, 0.0, value, None, 1.0) for day, value in days]


def said(returns: list[float], index: list[float], benchmark: str | None = "SPY") -> list[str]:
    return list(cautions(returns, curve(index), (), benchmark))


def test_cautions_are_missing_below_a_year_of_a_flat_account_or_of_ten_years_where_they_say_nothing() -> None:
    assert said([0.01] * (A_YEAR - 1), [1.0]) == []
    assert len(said([0.01] * A_YEAR, [1.0])) == 3
    assert len(said([0.0] * A_YEAR, [1.0])) == 2, "a flat account has no best sessions"
    assert not any("stretch" in sentence for sentence in said([0.0] * 10 * A_YEAR, [1.0]))


def test_caution_counts_few_trades() -> None:
    assert said([0.0] * A_YEAR, [])[0] == (
        "These figures are from only 0 closed trades: one more or one less could change them."
    )
    (first, *_) = account(3).trades
    many = [first] * 99
    assert "99 closed trades" in next(cautions([0.0] * A_YEAR, (), many, None))
    assert "one stretch of history" in next(cautions([0.0] * A_YEAR, (), [*many, first], None))
    assert "99 closed trades" in next(cautions([0.0] * A_YEAR, (), [*many, replace(first, closed_at=None)], None))


def test_caution_counts_benchmark_falls_from_their_peaks() -> None:
    for index, words in (
        ([1.0, 0.81, 1.0], "SPY never fell by 20% in these years, so nothing here shows what happens if it does."),
        ([1.0, 0.75, 0.9, 0.7], "SPY fell by 20% or more once in these years."),
        ([1.0, 0.75, 1.0, 0.7, 1.1, 0.9], "SPY fell by 20% or more twice in these years."),
        ([1.0, 0.75, 1.0, 0.7, 1.1, 0.8, 1.1, 0.2], "SPY fell by 20% or more 4 times in these years."),
    ):
        assert words in said([0.0] * A_YEAR, index)[1]
    for unknown in (said([0.0] * A_YEAR, [1.0]), said([0.0] * A_YEAR, [1.0, 0.5], None)):
        assert unknown[1] == (
            "These 1.0 years are one stretch of history. Rates, volatility and trends of other times may suit the "
            "strategy less."
        )


def test_caution_shows_the_result_without_its_best_sessions() -> None:
    returns = [0.05] * BEST + [-0.001] * (A_YEAR - BEST)
    rest = total_return([-0.001] * (A_YEAR - BEST))
    assert said(returns, [])[-1] == (
        f"Without its 10 best of 252 sessions, the return would have been {rest:+.1%} instead of "
        f"{total_return(returns):+.1%}."
    )


HALF_YEAR, COUNT = 126, 260


def measured(history: History, count: int, benchmark: BenchmarkPrices | None = None) -> MeasuredPath:
    known = sessions(count)
    return measure(history, account_steps(history, [], known), known, benchmark or spy(2, count), Rates(0.04))


def rows(of: MeasuredPath) -> tuple[SessionExposure, ...]:
    return over_time(of, there(of.rows))


def test_each_half_year_is_that_of_its_own_returns() -> None:
    of = measured(past(1, COUNT), COUNT)
    found = rows(of)
    assert [each.session for each in found] == [step.after.session for step in of.way.steps]
    for place in (HALF_YEAR - 1, 200, COUNT - 1):
        part = there(of.rows).iloc[place + 2 - HALF_YEAR : place + 2]
        own, other = (part[name].to_numpy() - part["cash"].to_numpy() for name in ("value", "benchmark"))
        ratio, beta = own.mean() / own.std(ddof=1) * 252**0.5, np.polyfit(other, own, 1)[0]
        figures = found[place].volatility, found[place].sharpe, found[place].beta
        assert figures == pytest.approx((part["value"].std() * 252**0.5, ratio, beta))
    assert {each.volatility for each in found[: HALF_YEAR - 1]} == {None}


def test_half_years_without_prices_or_spread_have_no_beta_and_no_ratio() -> None:
    found = rows(measured(past(1, COUNT), COUNT, BenchmarkPrices("SPY")))
    assert {each.beta for each in found} == {None}
    assert found[-1].sharpe is not None
    of = measured(past(1, COUNT), COUNT)
    assert {each.sharpe for each in over_time(of, there(of.rows).assign(value=0.001))} == {None}


def test_windows_are_said_from_a_year_of_returns_on() -> None:
    found = windows(rows(measured(past(1, COUNT), COUNT)), 252)
    assert [(each.name, each.windows) for each in found] == [
        (name, COUNT - HALF_YEAR + 1) for name in ("volatility", "sharpe", "beta")
    ]
    assert all(each.lowest <= each.median <= each.highest for each in found)
    assert all(each.lowest <= each.last <= each.highest for each in found)
    assert len(windows(rows(measured(past(1, 252), 252)), 252)) == 3
    assert windows(rows(measured(past(1, 251), 251)), 252) == ()


def test_what_was_held_adds_up_to_the_net_exposure() -> None:
    of = measured(rotated(1, 60), 60)
    found = rows(of)
    for each, exposed in zip(found, there(of.exposures), strict=True):
        assert sum(each.held.values()) == pytest.approx(exposed.net) == pytest.approx(there(each.exposure))
    assert {len(each.held) for each in found} == {1, 2}, "a session of rotation has two symbols"


def test_holdings_are_averages_over_the_sessions_that_held_them() -> None:
    of = rows(measured(rotated(1, 60), 60))
    found = {each.symbol: each for each in holdings(of)}
    for symbol, each in found.items():
        shares = [row.held[symbol] for row in of if symbol in row.held]
        assert each.sessions == len(shares)
        assert each.average == pytest.approx(np.mean(shares))
        assert (each.furthest, each.last) == (max(shares, key=abs), of[-1].held.get(symbol))
    assert found.keys() == {symbol for row in of for symbol in row.held}
    assert holdings(of[:20]) == ()


def test_exposure_that_is_not_known_is_no_zero() -> None:
    of = measured(past(1, 30), 30)
    unknown = over_time(MeasuredPath(of.way, None, None, of.rows), there(of.rows))
    assert {(each.exposure, *each.held) for each in unknown} == {(None,)}
