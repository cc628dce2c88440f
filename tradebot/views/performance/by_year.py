"""The calendar years of an account, and each span of a year within it."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from tradebot.model.position import OwnedFill
from tradebot.views.performance import statistics
from tradebot.views.performance.activity import Measured, average_equity, traded_usd
from tradebot.views.performance.cost_drag import Kind, paid_usd
from tradebot.views.performance.report import Figure, Unit
from tradebot.views.performance.report_rows import YearFigures
from tradebot.views.performance.return_figures import A_MONTH, A_YEAR, RETURNS
from tradebot.views.performance.returns import Path

if TYPE_CHECKING:
    import pandas as pd

TWO_YEARS = 2 * A_YEAR
"""So many returns it takes for figures of spans of a year: with fewer, hardly any two of them are different."""


def path_by_year(path: Path) -> Iterator[tuple[int, Path]]:
    """Yield the part of a path in each calendar year; a step counts in the year in which it ended."""
    for year, group in groupby(path.steps, key=lambda step: step.after.session.year):
        steps = tuple(group)
        sessions, missing = (tuple(day for day in days if day.year == year) for days in (path.sessions, path.missing))
        yield year, Path(steps[0].before, steps, sessions, missing)


def year_figures(of: Measured, fills: Sequence[OwnedFill], kinds: Sequence[Kind]) -> tuple[YearFigures, ...]:
    """Return the calendar years of an account, oldest first."""
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
        benchmark=_compound(rows["benchmark"]),
        benchmark_leveled=_compound(rows["leveled"]),
        cash=_compound(rows["cash"]) or 0.0,
        volatility=volatility.value if volatility else None,
        max_drawdown=statistics.max_drawdown(returns) if returns else None,
        exposure=float(rows["exposure"].mean()) if of.exposed else None,
        turnover=traded / 2 / average if average else None,
        costs_usd=paid_usd(kinds, part),
    )


def _compound(returns: "pd.Series[float]") -> float | None:
    known = [float(value) for value in returns.dropna()]
    return statistics.total_return(known) if known else None


def rolling_figures(path: Path, rows: "pd.DataFrame | None") -> tuple[Figure, ...]:
    """Return figures of all spans of 252 returns; none at all below a year, so that short reports stay short."""
    count = len(path.returns)
    if rows is None or count < A_YEAR:
        return ()
    own, other = _spans(rows, ["value"]), _spans(rows, ["value", "benchmark"])
    enough = count >= TWO_YEARS

    def figure(name: str, label: str, value: float | None, observations: int = count) -> Figure:
        note = "there is no benchmark" if enough and value is None else ""
        return Figure(name, label, Unit.FRACTION, value, observations, TWO_YEARS, RETURNS, note=note)

    if not enough:
        return (figure("rolling_worst", "Worst span of a year", None),)
    mine = own["value"]
    found = (
        figure("rolling_worst", "Worst span of a year", float(mine.min())),
        figure("rolling_median", "Median span of a year", float(mine.median())),
        figure("rolling_best", "Best span of a year", float(mine.max())),
        figure("rolling_losing", "Spans that lost", float((mine < 0).mean())),
    )
    if len(other) <= TWO_YEARS - A_YEAR:
        return found
    behind = float((other["value"] < other["benchmark"]).mean())
    return (*found, figure("rolling_behind", "Spans behind the benchmark", behind, len(other) + A_YEAR - 1))


def _spans(rows: "pd.DataFrame", names: list[str]) -> "pd.DataFrame":
    """Return the growth over each span of 252 returns that are known of all these columns, as fractions."""
    import numpy as np

    known = rows[names].dropna()
    logs = np.log1p(known.clip(lower=-1 + 1e-12)).cumsum()
    before = logs.shift(A_YEAR).fillna(0.0)
    return np.expm1(logs - before).iloc[A_YEAR - 1 :]
