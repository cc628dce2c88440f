"""An account over time: its calendar years, each span of a year and half year in it, and each session's positions."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from statistics import fmean, median
from typing import TYPE_CHECKING

from tradebot.lab.performance import statistics
from tradebot.lab.performance.activity import Exposure, Kind, Measured, average_equity, paid_usd, traded_usd
from tradebot.lab.performance.curve import compound
from tradebot.lab.performance.report import Figure, Holding, OverTime, Unit, Windows, YearFigures
from tradebot.lab.performance.return_figures import A_MONTH, RETURNS
from tradebot.lab.performance.returns import Path
from tradebot.model.position import OwnedFill

if TYPE_CHECKING:
    import pandas as pd


def path_by_year(path: Path) -> Iterator[tuple[int, Path]]:
    """Yield the part of a path in each calendar year; a step counts in the year in which it ended."""
    for year, group in groupby(path.steps, key=lambda step: step.after.session.year):
        steps = tuple(group)
        sessions, missing = (tuple(day for day in days if day.year == year) for days in (path.sessions, path.missing))
        yield year, Path(steps[0].before, steps, sessions, missing, path.year)


def year_figures(of: Measured, fills: Sequence[OwnedFill], kinds: Sequence[Kind]) -> tuple[YearFigures, ...]:
    return tuple(_year(of, year, part, fills, kinds) for year, part in path_by_year(of.way))


def _year(of: Measured, year: int, part: Path, fills: Sequence[OwnedFill], kinds: Sequence[Kind]) -> YearFigures:
    assert of.rows is not None, "a step has a row"
    ended = of.rows.iloc[1:]
    rows = ended[ended["year"] == year]
    returns, average = part.returns, average_equity(part)
    traded = float(traded_usd(fills, part))
    volatility = statistics.volatility(returns, part.per_year) if len(returns) >= A_MONTH else None
    return YearFigures(
        year=year,
        sessions=len(part.sessions),
        value=statistics.total_return(returns) if returns else None,
        benchmark=compound(rows["benchmark"]),
        benchmark_leveled=compound(rows["leveled"]),
        cash=compound(rows["cash"]) or 0.0,
        volatility=volatility.value if volatility else None,
        max_drawdown=statistics.max_drawdown(returns) if returns else None,
        exposure=float(rows["exposure"].mean()) if of.exposed else None,
        turnover=traded / 2 / average if average else None,
        costs_usd=paid_usd(kinds, part),
    )


def rolling_figures(path: Path, rows: "pd.DataFrame | None") -> tuple[Figure, ...]:
    """Return figures of all spans of a year of returns; none at all below a year, so that short reports stay short.

    It takes returns of two years: with fewer, hardly any two spans are different.
    """
    count, needed = len(path.returns), 2 * path.year
    if rows is None or count < path.year:
        return ()

    def figure(name: str, label: str, value: float | None, observations: int = count) -> Figure:
        return Figure(name, label, Unit.FRACTION, value, observations, needed, RETURNS)

    if count < needed:
        return (figure("rolling_worst", "Worst span of a year", None),)
    mine, other = _spans(rows, ["value"], path.year)["value"], _spans(rows, ["value", "benchmark"], path.year)
    found = (
        figure("rolling_worst", "Worst span of a year", float(mine.min())),
        figure("rolling_median", "Median span of a year", float(mine.median())),
        figure("rolling_best", "Best span of a year", float(mine.max())),
        figure("rolling_losing", "Spans that lost", float((mine < 0).mean())),
    )
    if len(other) <= path.year:
        return found
    behind = float((other["value"] < other["benchmark"]).mean())
    return (*found, figure("rolling_behind", "Spans behind the benchmark", behind, len(other) + path.year - 1))


def _spans(rows: "pd.DataFrame", names: list[str], year: int) -> "pd.DataFrame":
    """Return the growth over each span of a year of returns that are known of all these columns, as fractions."""
    import numpy as np

    known = rows[names].dropna()
    logs = np.log1p(known.clip(lower=-1 + 1e-12)).cumsum()
    before = logs.shift(year).fillna(0.0)
    return np.expm1(logs - before).iloc[year - 1 :]


STILL = 1e-12
"""A deviation of returns as small as this is what rounding leaves of none."""
ROLLED = (("volatility", "Volatility"), ("sharpe", "Sharpe ratio"), ("beta", "Beta"))


def over_time(of: Measured, rows: "pd.DataFrame") -> tuple[OverTime, ...]:
    """Return a row for each step of a path, oldest first; what isn't known is None."""
    rolled = _rolled(rows, of.way)
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


def _rolled(rows: "pd.DataFrame", path: Path) -> "Sequence[tuple[float, float, float]]":
    """Return volatility, Sharpe ratio and beta of the half year until each step; NaN where a return isn't known."""
    ended, half, scale = rows.iloc[1:], path.year // 2, path.per_year**0.5
    own, other = ended["value"] - ended["cash"], ended["benchmark"] - ended["cash"]
    deviation, spread = (each.rolling(half).std() for each in (own, other))
    volatility = ended["value"].rolling(half).std() * scale
    sharpe = (own.rolling(half).mean() / deviation).where(deviation > STILL) * scale
    beta = (own.rolling(half).cov(other) / spread**2).where(spread > STILL)
    return list(zip(volatility, sharpe, beta, strict=True))


def windows(of: "Sequence[OverTime]", year: int) -> tuple[Windows, ...]:
    """Return each figure of half years that is known in as many windows as one has sessions: a year of returns."""
    columns = (
        (name, label, [value for each in of if (value := getattr(each, name)) is not None]) for name, label in ROLLED
    )
    return tuple(
        Windows(name, label, min(values), median(values), max(values), values[-1], len(values))
        for name, label, values in columns
        if len(values) > year // 2
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
