"""A report's figures with their intervals by the block bootstrap."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tradebot.views.performance import statistics
from tradebot.views.performance.bootstrap import DEFAULT, Resampling, Series, Span, intervals, yearly_excess
from tradebot.views.performance.report import Chance, Figure, Unit
from tradebot.views.performance.return_figures import A_YEAR, NO_SPREAD, RETURNS
from tradebot.views.performance.returns import Path

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
