"""Objectives of many trials at once are the statistics of the reports."""

import pytest

from tests.kit.trades import returns_of
from tradebot.lab.performance import statistics
from tradebot.lab.selection.objectives import OBJECTIVES, measure_objective


def by_report(name: str, returns: list[float]) -> float | None:
    years = len(returns) / 252
    ratio = statistics.sharpe(returns, 252)
    return {
        "sharpe": ratio.value if ratio else None,
        "sortino": statistics.sortino(returns, 252),
        "growth": statistics.cagr(returns, years),
        "calmar": statistics.calmar(returns, years),
        "drawdown": statistics.max_drawdown(returns),
    }[name]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objective_is_the_reports_figure(name: str) -> None:
    returns = returns_of(1, 1.0, sessions=120, trials=6)
    returns[:, 1] = 0.0
    returns[:, 2] = abs(returns[:, 2])
    returns[5, 3] = -1.0
    assert measure_objective(name, returns, 252) == pytest.approx([by_report(name, one.tolist()) for one in returns.T])


def test_one_session_has_no_objective() -> None:
    assert measure_objective("sharpe", returns_of(1, 1.0, sessions=1, trials=2), 252) == [None, None]
