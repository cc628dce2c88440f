"""What a search may look for: figures of session returns, and more of each is better."""

from collections.abc import Callable, Mapping, Sequence

from tradebot.views.performance import statistics


def _sharpe(returns: Sequence[float], per_year: int) -> float | None:
    ratio = statistics.sharpe(returns, per_year)
    return ratio.value if ratio else None


def _growth(returns: Sequence[float], per_year: int) -> float | None:
    return statistics.cagr(returns, len(returns) / per_year)


def _calmar(returns: Sequence[float], per_year: int) -> float | None:
    return statistics.calmar(returns, len(returns) / per_year)


def _drawdown(returns: Sequence[float], per_year: int) -> float | None:
    return statistics.max_drawdown(returns)


Objective = Callable[[Sequence[float], int], float | None]
OBJECTIVES: Mapping[str, Objective] = {
    "sharpe": _sharpe,
    "sortino": statistics.sortino,
    "growth": _growth,
    "calmar": _calmar,
    "drawdown": _drawdown,
}
"""By name: ratios and growth are per year, and a drawdown is below zero. Cash earns nothing in any of them."""
