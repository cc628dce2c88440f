"""How an account was invested session by session, and what each half year of it was like."""

from statistics import fmean, median
from typing import TYPE_CHECKING

from tradebot.views.performance.activity import Measured
from tradebot.views.performance.exposure import Exposure
from tradebot.views.performance.report_rows import Holding, OverTime, Windows
from tradebot.views.performance.return_figures import A_MONTH, A_YEAR

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

HALF_YEAR = A_YEAR // 2
STILL = 1e-12
"""A deviation of returns as small as this is what rounding leaves of none."""
ROLLED = (("volatility", "Volatility"), ("sharpe", "Sharpe ratio"), ("beta", "Beta"))


def over_time(of: Measured, rows: "pd.DataFrame") -> tuple[OverTime, ...]:
    """Return a row for each step of a path, oldest first; what isn't known is None."""
    rolled = _rolled(rows, of.way.per_year)
    invested: Sequence[Exposure | None] = of.exposures or [None] * len(of.way.steps)
    return tuple(
        OverTime(
            step.after.session,
            each.gross if each else None,
            each.held if each else {},
            *(None if value != value else float(value) for value in values),
        )
        for step, each, values in zip(of.way.steps, invested, rolled, strict=True)
    )


def _rolled(rows: "pd.DataFrame", per_year: float) -> "Sequence[tuple[float, float, float]]":
    """Return volatility, Sharpe ratio and beta of the half year until each step; NaN where a return isn't known."""
    ended = rows.iloc[1:]
    own, other = ended["value"] - ended["cash"], ended["benchmark"] - ended["cash"]
    deviation, spread = (each.rolling(HALF_YEAR).std() for each in (own, other))
    volatility = ended["value"].rolling(HALF_YEAR).std() * per_year**0.5
    sharpe = (own.rolling(HALF_YEAR).mean() / deviation).where(deviation > STILL) * per_year**0.5
    beta = (own.rolling(HALF_YEAR).cov(other) / spread**2).where(spread > STILL)
    return list(zip(volatility, sharpe, beta, strict=True))


def windows(of: "Sequence[OverTime]") -> tuple[Windows, ...]:
    """Return each figure of half years that is known in as many windows as one has sessions: a year of returns."""
    columns = (
        (name, label, [value for each in of if (value := getattr(each, name)) is not None]) for name, label in ROLLED
    )
    return tuple(
        Windows(name, label, min(values), median(values), max(values), values[-1], len(values))
        for name, label, values in columns
        if len(values) > HALF_YEAR
    )


def holdings(of: "Sequence[OverTime]") -> tuple[Holding, ...]:
    """Return each symbol that was held, the one with the largest part of the equity over all sessions first.

    None at all with fewer sessions than a month has.
    """
    found: dict[str, list[float]] = {}
    for each in of if len(of) >= A_MONTH else ():
        for symbol, share in each.held.items():
            found.setdefault(symbol, []).append(share)
    ranked = sorted(found.items(), key=lambda pair: -sum(map(abs, pair[1])))
    return tuple(
        Holding(symbol, len(shares), fmean(shares), max(shares, key=abs), of[-1].held.get(symbol))
        for symbol, shares in ranked
    )
