"""The account session by session: what was held adds up, and each half year is that of numpy."""

import numpy as np
import pytest

from tests.kit.trades import past, rotated, sessions, spy
from tests.kit.values import there
from tradebot.lab.performance.activity import MeasuredPath, measure
from tradebot.lab.performance.curve import BenchmarkPrices, Rates
from tradebot.lab.performance.further import holdings, over_time, windows
from tradebot.lab.performance.report import SessionExposure
from tradebot.lab.performance.returns import path
from tradebot.views.trades.history import History

HALF_YEAR, COUNT = 126, 260


def measured(history: History, count: int, benchmark: BenchmarkPrices | None = None) -> MeasuredPath:
    known = sessions(count)
    return measure(history, path(history, [], known), known, benchmark or spy(2, count), Rates(0.04))


def rows(of: MeasuredPath) -> tuple[SessionExposure, ...]:
    return over_time(of, there(of.rows))


def test_each_half_year_is_that_of_its_own_returns() -> None:
    of = measured(past(1, COUNT), COUNT)
    found = rows(of)
    assert [each.session for each in found] == [step.after.session for step in of.way.steps]
    for place in (HALF_YEAR - 1, 200, COUNT - 1):
        part = there(of.rows).iloc[place + 2 - HALF_YEAR : place + 2]
        own, other = (part[name].to_numpy() - part["cash"].to_numpy() for name in ("value", "benchmark"))
        assert (found[place].volatility, found[place].sharpe, found[place].beta) == pytest.approx(
            (
                part["value"].std() * 252**0.5,
                own.mean() / own.std(ddof=1) * 252**0.5,
                np.polyfit(other, own, 1)[0],
            )
        )
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
