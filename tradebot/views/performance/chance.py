"""How much of a report's figures may be chance: intervals by the block bootstrap, and what selection explains.

The deflated Sharpe ratio is from Bailey and López de Prado, "The Deflated Sharpe Ratio: Correcting for Selection Bias,
Backtest Overfitting and Non-Normality", Journal of Portfolio Management 40, 2014.
"""

from collections.abc import Sequence
from math import e, sqrt
from statistics import NormalDist, stdev
from typing import TYPE_CHECKING

from tradebot.model.evidence import Trials
from tradebot.model.text import counted
from tradebot.views.performance import statistics
from tradebot.views.performance.bootstrap import DEFAULT, Resampling, Series, Span, intervals, yearly_excess
from tradebot.views.performance.report import Chance, Figure, Selected, Unit
from tradebot.views.performance.return_figures import A_QUARTER, A_YEAR, NO_SPREAD, RETURNS, Returns
from tradebot.views.performance.returns import Path
from tradebot.views.performance.statistics import Shape, probabilistic_sharpe, shape, sharpe_error

if TYPE_CHECKING:
    import pandas as pd

LOST = "everything was lost"


def chance(path: Path, rows: "pd.DataFrame | None", names: tuple[str, str], how: Resampling = DEFAULT) -> Chance | None:
    """Return CAGR, Sharpe ratio, drawdown and excess with intervals; None for less than a year.

    `names` are those of the benchmark and of the leveled one; one without a name is left out.
    """
    count = len(path.returns)
    if rows is None or count < A_YEAR:
        return None
    others = [(column, name) for column, name in zip(("benchmark", "leveled"), names, strict=True) if name]
    known = rows.iloc[1:][["value", "cash", *(column for column, _ in others)]].dropna()
    if len(known) < A_YEAR:
        others, known = [], rows.iloc[1:][["value", "cash"]].dropna()
    compared = {column: known[column].tolist() for column, _ in others}
    of = Series(known["value"].tolist(), known["cash"].tolist(), path.per_year, compared)
    spans = intervals(of, how)
    return Chance(how.resamples, how.mean_block, how.seed, how.level, tuple(_figures(of, others, spans or {})))


def _figures(of: Series, others: Sequence[tuple[str, str]], spans: dict[str, Span]) -> list[Figure]:
    excess = [value - cash for value, cash in zip(of.values, of.cash, strict=True)]
    ratio = statistics.sharpe(excess, of.per_year)
    values: list[tuple[str, str, Unit, float | None]] = [
        ("cagr", "CAGR", Unit.YEARLY, statistics.cagr(of.values, len(of.values) / of.per_year)),
        ("sharpe", "Sharpe ratio", Unit.RATIO, ratio.value if ratio else None),
        ("max_drawdown", "Maximum drawdown", Unit.FRACTION, statistics.max_drawdown(of.values)),
    ]
    if spans:
        values += [
            (column, f"Yearly log excess over {name}", Unit.YEARLY, yearly_excess(of.values, returns, of.per_year))
            for (column, name), returns in zip(others, of.others.values(), strict=True)
        ]
    return [_figure(name, label, unit, value, len(of.values), spans.get(name)) for name, label, unit, value in values]


def _figure(name: str, label: str, unit: Unit, value: float | None, count: int, span: Span | None) -> Figure:
    low, high = (span.low, span.high) if span and value is not None else (None, None)
    note = LOST if span is None else NO_SPREAD if value is None else ""
    return Figure(name, label, unit, value, count, A_YEAR, RETURNS, low, high, note)


EULER = 0.5772156649015329
"""The Euler-Mascheroni constant."""
KNOWN = 3
"""Of so many trials the Sharpe ratios must be known, so that their spread is taken from them."""
_NORMAL = NormalDist()


def best_by_chance(trials: int, deviation: float) -> float:
    """Return the highest Sharpe ratio to expect of so many independent trials whose true ratios are all zero.

    `deviation` is the standard deviation of the trials' ratios, in whose unit the result is: it times (1 - g) Z(1 -
    1 / N) + g Z(1 - 1 / (N e)), with the quantiles Z of the normal distribution and g = `EULER`. Of one trial it is 0.
    """
    if trials < 2:
        return 0.0
    quantiles = _NORMAL.inv_cdf(1 - 1 / trials), _NORMAL.inv_cdf(1 - 1 / (trials * e))
    return deviation * ((1 - EULER) * quantiles[0] + EULER * quantiles[1])


def deflated_sharpe(of: Shape, trials: int, deviation: float) -> float | None:
    """Return how probable it is that the true Sharpe ratio is above what the best of the trials reaches by chance.

    `deviation` isn't annualized. None if the ratio has no error.
    """
    return probabilistic_sharpe(of, best_by_chance(trials, deviation))


def selected(of: Returns, trials: Trials | None) -> Selected | None:
    """Return what is left of a Sharpe ratio after so many trials; None if nobody counted them."""
    if trials is None or trials.count < 1:
        return None
    count, moments = len(of.values), shape(of.excess) if len(of.values) >= A_QUARTER else None
    deviation = _deviation(moments, trials.sharpes, of.per_year) if moments else None
    by_chance = deflated = None
    if moments is not None and deviation is not None:
        by_chance = best_by_chance(trials.count, deviation) * sqrt(of.per_year)
        deflated = deflated_sharpe(moments, trials.count, deviation)
    note = NO_SPREAD if count >= A_QUARTER and deflated is None else f"the best of {counted(trials.count, 'trial')}"

    def figure(name: str, label: str, unit: Unit, value: float | None) -> Figure:
        return Figure(name, label, unit, value, count, A_QUARTER, RETURNS, note=note)

    return Selected(
        trials=trials.count,
        known=len(trials.sharpes),
        best_by_chance=figure("best_by_chance", "Best Sharpe ratio by chance", Unit.RATIO, by_chance),
        deflated=figure("deflated_sharpe", "Deflated Sharpe ratio", Unit.FRACTION, deflated),
    )


def _deviation(of: Shape, sharpes: Sequence[float], per_year: float) -> float:
    """Return the deviation of the trials' ratios; if too few are known, what chance alone would make it."""
    return stdev(sharpes) / sqrt(per_year) if len(sharpes) >= KNOWN else sharpe_error(of)
