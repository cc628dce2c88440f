"""Figures of single sessions: how far they went, how they spread, and how they went with the benchmark."""

from collections import Counter
from collections.abc import Sequence
from itertools import product
from math import floor
from statistics import fmean
from typing import TYPE_CHECKING

from tradebot.views.performance import statistics
from tradebot.views.performance.report import Figure, Unit
from tradebot.views.performance.report_rows import Bin
from tradebot.views.performance.return_figures import A_QUARTER, A_YEAR, NO_SPREAD, Value, figure
from tradebot.views.performance.statistics import Interval

if TYPE_CHECKING:
    import pandas as pd

TAIL, IN_TAIL = 0.05, 13
"""The share of sessions in a tail, and how many a year has there."""
WIDTHS = [round(step * 10.0**power, 6) for power, step in product(range(-5, 1), (1, 2, 5))]
"""How wide the bins of a histogram may be, as fractions, narrowest first."""
MOST_BINS = 40


def tail_figures(values: Sequence[float]) -> tuple[Figure, ...]:
    """Return skewness, kurtosis and the tails of session returns; none at all with too few for the first one."""
    if len(values) < A_QUARTER:
        return ()
    shape, (lowest, highest) = statistics.shape(values), (statistics.quantile(values, p) for p in (TAIL, 1 - TAIL))
    worst = [value for value in values if value <= lowest.value]
    ratio = highest.value / -lowest.value if lowest.value < 0 else None
    rows: tuple[tuple[str, str, Unit, int, Value, str], ...] = (
        ("skewness", "Skewness", Unit.RATIO, A_QUARTER, shape.skewness if shape else None, NO_SPREAD),
        ("kurtosis", "Excess kurtosis", Unit.RATIO, A_YEAR, shape.kurtosis - 3 if shape else None, NO_SPREAD),
        ("tail_ratio", "Tail ratio", Unit.RATIO, A_YEAR, ratio, "one session in twenty lost nothing"),
        ("value_at_risk", "Value at risk, 95%", Unit.FRACTION, A_YEAR, lowest, ""),
    )
    return (
        *(figure(len(values), *row) for row in rows),
        figure(
            len(worst),
            "shortfall",
            "Expected shortfall",
            Unit.FRACTION,
            IN_TAIL,
            fmean(worst),
            of="sessions in the tail",
        ),
    )


def histogram(values: Sequence[float]) -> tuple[Bin, ...]:
    """Return how returns spread, in at most 40 bins of one round width, the lowest first; none with too few of them."""
    if len(values) < A_QUARTER:
        return ()
    width = next((each for each in WIDTHS if (max(values) - min(values)) / each < MOST_BINS - 1), WIDTHS[-1])
    counts = Counter(floor(value / width) for value in values)
    places = range(min(counts), max(counts) + 1)
    return tuple(Bin(round(place * width, 6), round((place + 1) * width, 6), counts[place]) for place in places)


def against_figures(rows: "pd.DataFrame", per_year: float, benchmark: str | None) -> tuple[Figure, ...]:
    """Return beta, correlation, alpha and capture from a path's frame; none without a benchmark or with too few."""
    known = rows[["value", "benchmark", "cash"]].dropna()
    count = len(known)
    if not benchmark or count < A_QUARTER:
        return ()
    line = statistics.line((known["value"] - known["cash"]).tolist(), (known["benchmark"] - known["cash"]).tolist())
    still = f"{benchmark} didn't move"
    alpha = Interval(*(end * per_year for end in line.height)) if line else None
    correlation, why_not = (line.correlation, NO_SPREAD) if line else (None, still)
    return (
        figure(count, "beta", "Beta", Unit.RATIO, A_QUARTER, line.slope if line else None, still),
        figure(count, "correlation", "Correlation", Unit.RATIO, A_QUARTER, correlation, why_not),
        figure(count, "alpha", "Alpha a year", Unit.YEARLY, A_YEAR, alpha, still),
        _capture("up_capture", "Upside capture", known[known["benchmark"] > 0], f"rising sessions of {benchmark}"),
        _capture("down_capture", "Downside capture", known[known["benchmark"] < 0], f"falling sessions of {benchmark}"),
    )


def _capture(name: str, label: str, rows: "pd.DataFrame", of: str) -> Figure:
    value = float(rows["value"].mean() / rows["benchmark"].mean()) if len(rows) else None
    return figure(len(rows), name, label, Unit.FRACTION, A_QUARTER, value, of=of)
