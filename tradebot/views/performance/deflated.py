"""The Sharpe ratio of a strategy that was chosen from several: how much of it choosing alone explains.

Bailey and López de Prado, "The Deflated Sharpe Ratio: Correcting for Selection Bias, Backtest Overfitting and
Non-Normality", Journal of Portfolio Management 40, 2014.
"""

from collections.abc import Sequence
from math import e, sqrt
from statistics import NormalDist, stdev

from tradebot.model.evidence import Trials
from tradebot.model.text import counted
from tradebot.views.performance.report import Figure, Selected, Unit
from tradebot.views.performance.return_figures import A_QUARTER, NO_SPREAD, RETURNS, Returns
from tradebot.views.performance.statistics import Shape, probabilistic_sharpe, shape, sharpe_error

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
