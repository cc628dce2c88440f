"""Compute figures from returns, in total and per session, each with its interval or with how many returns it needs."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product
from math import floor
from statistics import fmean
from typing import TYPE_CHECKING

from msgspec import Struct

from tradebot.auditing.confidence_intervals import LEVEL, fewest_sessions, t_quantile
from tradebot.lab.performance import statistics
from tradebot.lab.performance.curve import Rates
from tradebot.lab.performance.report import Comparison, Figure, FigureUnit
from tradebot.lab.performance.returns import SESSIONS_PER_YEAR, Path
from tradebot.lab.performance.statistics import Bin, Interval, Shape, probabilistic_sharpe, sharpe, sortino
from tradebot.lab.performance.statistics import minimum_track_record as track_record
from tradebot.model.struct_tools import replace

if TYPE_CHECKING:
    import pandas as pd

A_MONTH, A_QUARTER, A_YEAR = 21, 63, SESSIONS_PER_YEAR
"""The numbers of returns that figures need.

A month's volatility is off by a sixth (one standard error). A Sharpe ratio also needs its skewness and kurtosis, and
from a quarter it is still off by 2. Annual figures need a year.
"""
RETURNS, TAIL_SESSIONS = "session returns", "sessions in the tail"
DRAWDOWN_LABEL = "Maximum drawdown, by session closes"
TOTALS = frozenset({"total_return", "max_drawdown"})
COMPARED = ("total_return", "cagr", "volatility", "sharpe", "max_drawdown")
LOST = "everything was lost"
NO_SPREAD = "the returns don't vary"
NO_LOSS = "no session lost"
NO_FALL = "there was no drawdown"
Value = Interval | float | None


class Returns(Struct, frozen=True):
    """A series of returns, oldest first, with the number of returns per year, and the interest that cash earns in the
    meantime.

    `cash` is the average interest over the time of one return. `cash_of_each` has the interest over the time of each
    return, if known. `year` is how many sessions the venue has in a year; annual figures need at least that many.
    """

    values: Sequence[float]
    per_year: float
    cash: float
    cash_of_each: Sequence[float] = ()
    year: int = A_YEAR

    @property
    def years(self) -> float:
        return len(self.values) / self.per_year

    @property
    def excess(self) -> list[float]:
        cash_of_each = self.cash_of_each or [self.cash] * len(self.values)
        return [value - cash for value, cash in zip(self.values, cash_of_each, strict=True)]


def returns_of(column: str, path: Path, rows: "pd.DataFrame | None", rates: Rates) -> Returns:
    """Return the known returns in a column of a path's frame; empty without a frame."""
    cash = (1 + rates.cash_yearly) ** (1 / path.per_year) - 1
    if rows is None:
        return Returns((), path.per_year, cash, (), path.year)
    valued = rows[rows[column].notna()]
    of_each = valued["cash"].tolist() if rates.dated else ()
    return Returns(valued[column].tolist(), path.per_year, cash, of_each, path.year)


def return_figures(of: Returns) -> tuple[Figure, ...]:
    values, excess, per_year = of.values, of.excess, of.per_year
    never = "the Sharpe ratio isn't above 0, so no number of such sessions shows that it is"
    rows: tuple[tuple[str, str, FigureUnit, int, Callable[[], Value], str], ...] = (
        ("total_return", "Return", FigureUnit.FRACTION, 1, lambda: statistics.total_return(values), ""),
        ("cagr", "CAGR", FigureUnit.YEARLY, of.year, lambda: _cagr(of), LOST),
        ("mean_return", "Mean session return", FigureUnit.FRACTION, fewest_sessions(1), lambda: _mean(of), NO_SPREAD),
        (
            "volatility",
            "Volatility",
            FigureUnit.YEARLY,
            A_MONTH,
            lambda: statistics.volatility(values, per_year),
            NO_SPREAD,
        ),
        ("sharpe", "Sharpe ratio", FigureUnit.RATIO, A_QUARTER, lambda: sharpe(excess, per_year), NO_SPREAD),
        (
            "psr",
            "PSR, Sharpe above 0",
            FigureUnit.FRACTION,
            A_QUARTER,
            lambda: _of(excess, probabilistic_sharpe),
            NO_SPREAD,
        ),
        ("min_track_record", "MinTRL at 95%", FigureUnit.SESSIONS, A_QUARTER, lambda: _of(excess, track_record), never),
        ("sortino", "Sortino ratio", FigureUnit.RATIO, A_QUARTER, lambda: sortino(excess, per_year), NO_LOSS),
        ("max_drawdown", DRAWDOWN_LABEL, FigureUnit.FRACTION, 1, lambda: statistics.max_drawdown(values), ""),
        ("calmar", "Calmar ratio", FigureUnit.RATIO, of.year, lambda: statistics.calmar(values, of.years), NO_FALL),
    )
    return tuple(
        figure(len(values), name, label, unit, needed, compute() if len(values) >= needed else None, why_not)
        for name, label, unit, needed, compute, why_not in rows
    )


def figure(
    count: int, name: str, label: str, unit: FigureUnit, needed: int, num: Value, why_not: str = "", of: str = RETURNS
) -> Figure:
    """Build a figure from `count` observations; it has no value if there are fewer than `needed`.

    `why_not` becomes the figure's note if there are enough observations, but the value is undefined.
    """
    value, low, high = num if isinstance(num, Interval) else (num, None, None)
    if count < needed:
        value = low = high = None
    note = why_not if value is None and count >= needed else ""
    return Figure(name, label, unit, value, count, needed, of, low, high, note)


def _cagr(of: Returns) -> Value:
    value = statistics.cagr(of.values, of.years)
    moments = statistics.moments_of_returns(of.values)
    if value is None or moments is None:
        return value
    bounds = statistics.yearly_interval(of.values, of.per_year)
    return Interval(value, *bounds) if bounds else value


def _mean(of: Returns) -> Value:
    return _mean_of(of.values)


def _mean_of(values: Sequence[float]) -> Value:
    moments = statistics.moments_of_returns(values)
    if moments is None:
        return None
    half = t_quantile(1 - LEVEL, moments.observations - 1) * moments.deviation / moments.observations**0.5
    return Interval(moments.mean, moments.mean - half, moments.mean + half)


def _of(excess: Sequence[float], read: Callable[[Shape], float | None]) -> Value:
    moments = statistics.moments_of_returns(excess)
    return read(moments) if moments else None


def comparisons(path: Path, rows: "pd.DataFrame | None", rates: Rates) -> tuple[Comparison, ...]:
    """Compare figures of the account with the benchmark's and with cash, from a path and its frame.

    While the benchmark has no price for the last session, for example before its close, its total figures have no
    value, because they would cover a shorter time than the account's.
    """
    columns = ("value", "benchmark", "leveled", "cash")
    every = [return_figures(returns_of(column, path, rows, rates)) for column in columns]
    if rows is not None and len(rows) and rows["benchmark"].isna().iloc[-1]:
        every[1:3] = (tuple(_without_total(figure) for figure in figures) for figures in every[1:3])
    account, *others = ({figure.name: figure for figure in figures} for figures in every)
    return tuple(Comparison(name, account[name], *(other[name] for other in others)) for name in COMPARED)


def _without_total(figure: Figure) -> Figure:
    if figure.name not in TOTALS or figure.value is None:
        return figure
    return replace(figure, value=None, low=None, high=None, note="it has no price of the last session yet")


TAIL, IN_TAIL = 0.05, 13
"""The share of sessions in a tail, and how many of them a year has."""
WIDTHS = [round(step * 10.0**power, 6) for power, step in product(range(-5, 1), (1, 2, 5))]
"""How wide the bins of a histogram may be, as fractions, narrowest first."""
MOST_BINS = 40


def tail_figures(values: Sequence[float]) -> tuple[Figure, ...]:
    """Return skewness, kurtosis and the tails of session returns; empty if there are too few even for skewness."""
    if len(values) < A_QUARTER:
        return ()
    shape, (lowest, highest) = (
        statistics.moments_of_returns(values),
        (statistics.quantile(values, p) for p in (TAIL, 1 - TAIL)),
    )
    worst = [value for value in values if value <= lowest.value]
    ratio = highest.value / -lowest.value if lowest.value < 0 else None
    rows: tuple[tuple[str, str, FigureUnit, int, Value, str], ...] = (
        ("skewness", "Skewness", FigureUnit.RATIO, A_QUARTER, shape.skewness if shape else None, NO_SPREAD),
        ("kurtosis", "Excess kurtosis", FigureUnit.RATIO, A_YEAR, shape.kurtosis - 3 if shape else None, NO_SPREAD),
        ("tail_ratio", "Tail ratio", FigureUnit.RATIO, A_YEAR, ratio, "even the worst session in twenty lost nothing"),
        ("value_at_risk", "Value at risk, 95%", FigureUnit.FRACTION, A_YEAR, lowest, ""),
    )
    return (
        *(figure(len(values), *row) for row in rows),
        figure(
            len(worst), "shortfall", "Expected shortfall", FigureUnit.FRACTION, IN_TAIL, fmean(worst), of=TAIL_SESSIONS
        ),
    )


def histogram(values: Sequence[float]) -> tuple[Bin, ...]:
    """Bin returns into at most 40 bins of one round width, lowest first; empty with too few returns."""
    if len(values) < A_QUARTER:
        return ()
    width = next((each for each in WIDTHS if (max(values) - min(values)) / each < MOST_BINS - 1), WIDTHS[-1])
    counts = Counter(floor(value / width) for value in values)
    places = range(min(counts), max(counts) + 1)
    return tuple(Bin(round(index * width, 6), round((index + 1) * width, 6), counts[index]) for index in places)


def against_figures(rows: "pd.DataFrame", per_year: float, benchmark: str | None) -> tuple[Figure, ...]:
    """Compute figures that compare an account with a benchmark: differences, beta, correlation, alpha and capture.

    They come from a path's frame; there are none without a benchmark. With less than a quarter of returns, only the
    differences are returned. A figure that needs more returns than there are has no value.
    """
    valued = rows[["value", "benchmark", "cash"]].dropna()
    count = len(valued)
    if not benchmark or count < fewest_sessions(1):
        return ()
    differences = _differences(rows)
    if count < A_QUARTER:
        return differences
    line = statistics.least_squares_line(
        (valued["value"] - valued["cash"]).tolist(), (valued["benchmark"] - valued["cash"]).tolist()
    )
    still = f"{benchmark} didn't move"
    alpha = Interval(*(end * per_year for end in line.height)) if line else None
    correlation, why_not = (line.correlation, NO_SPREAD) if line else (None, still)
    return (
        *differences,
        figure(count, "beta", "Beta", FigureUnit.RATIO, A_QUARTER, line.slope if line else None, still),
        figure(count, "correlation", "Correlation", FigureUnit.RATIO, A_QUARTER, correlation, why_not),
        figure(count, "alpha", "Alpha a year", FigureUnit.YEARLY, A_YEAR, alpha, still),
        _capture("up_capture", "Upside capture", valued[valued["benchmark"] > 0], f"rising sessions of {benchmark}"),
        _capture(
            "down_capture", "Downside capture", valued[valued["benchmark"] < 0], f"falling sessions of {benchmark}"
        ),
    )


DIFFERENCES = {"benchmark": ("mean_difference", "Mean difference"), "leveled": ("mean_leveled", "At equal leverage")}
"""The name and label of the mean difference, by the column that an account's returns are compared with."""


def _differences(rows: "pd.DataFrame") -> tuple[Figure, ...]:
    """Return the mean difference between the account's returns and the benchmark's."""
    figures, fewest = list[Figure](), fewest_sessions(1)
    for column, (name, label) in DIFFERENCES.items():
        pairs = rows[["value", column]].dropna() if column in rows else rows[:0]
        if len(pairs) >= fewest:
            mean = _mean_of((pairs["value"] - pairs[column]).tolist())
            figures.append(figure(len(pairs), name, label, FigureUnit.FRACTION, fewest, mean, NO_SPREAD))
    return tuple(figures)


def _capture(name: str, label: str, rows: "pd.DataFrame", of: str) -> Figure:
    value = float(rows["value"].mean() / rows["benchmark"].mean()) if len(rows) else None
    return figure(len(rows), name, label, FigureUnit.FRACTION, A_QUARTER, value, of=of)
