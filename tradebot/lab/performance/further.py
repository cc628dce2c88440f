"""Build the parts of the report that need a longer history or a backtest: years, costs, chance, selection, sensitivity,
cautions.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from math import ceil
from statistics import fmean, median
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import asdict

from tradebot.lab.performance import statistics
from tradebot.lab.performance.activity import (
    CostKind,
    Exposure,
    MeasuredPath,
    average_equity,
    cost_kinds,
    costs_of,
    paid_usd,
    traded_usd,
)
from tradebot.lab.performance.chance import KNOWN, OF_A_YEAR, confidence_figures, deflate_sharpe
from tradebot.lab.performance.curve import compound
from tradebot.lab.performance.report import (
    AverageHolding,
    Block,
    CurvePoint,
    ExtendedReport,
    Figure,
    FigureUnit,
    ReportedTrade,
    Selected,
    SessionExposure,
    Windows,
    YearFigures,
)
from tradebot.lab.performance.return_figures import (
    A_MONTH,
    A_YEAR,
    RETURNS,
    Returns,
    against_figures,
    histogram,
    tail_figures,
)
from tradebot.lab.performance.returns import Path
from tradebot.lab.performance.sensitivity import played_as, sensitivity
from tradebot.model.evidence import Evidence
from tradebot.model.position import Key, OwnedFill
from tradebot.model.sentences import counted_kind, noun_for, pluralize
from tradebot.views.trades.history import History

if TYPE_CHECKING:
    import pandas as pd


def extended_report(
    history: History,
    evidence: Evidence,
    measured: MeasuredPath,
    returns: Returns,
    curve: Sequence[CurvePoint],
    trades: Sequence[ReportedTrade],
    traded_usd: Decimal,
    benchmark: str | None,
) -> ExtendedReport:
    """Return the further parts of a report, each empty or None if there is too little data.

    `traded_usd` is the value of everything bought and sold along the path, and `benchmark` the benchmark's name, if
    known.
    """
    way, rows, kinds = measured.way, measured.rows, cost_kinds(history)
    if rows is None:
        return ExtendedReport((), (), None, None, None, None, ())
    sessions = over_time(measured, rows)
    return ExtendedReport(
        by_year=year_figures(measured, history.fills, kinds),
        rolling=rolling_figures(way, rows),
        costs=costs_of(kinds, way, traded_usd),
        chance=confidence_figures(way, rows, benchmark_names(benchmark, measured)),
        selected=deflate_sharpe(returns, evidence.trials),
        sensitivity=sensitivity(played_as(way, _n_closed(trades, history.rolled_positions)), evidence.variants),
        cautions=tuple(cautions(way.returns, curve, trades, benchmark, way.year, history.rolled_positions)),
        tails=tail_figures(way.returns),
        histogram=histogram(way.returns),
        against=against_figures(rows, way.per_year, benchmark),
        over_time=sessions,
        windows=windows(sessions, way.year),
        holdings=holdings(sessions),
    )


def is_over(trade: ReportedTrade, moved: Collection[Key]) -> bool:
    """Return True if a trade is closed and wasn't rolled into another contract."""
    return trade.closed_at is not None and (trade.strategy, trade.symbol, trade.opened_at) not in moved


def _n_closed(trades: Sequence[ReportedTrade], moved: Collection[Key]) -> int:
    return sum(is_over(trade, moved) for trade in trades)


def benchmark_names(benchmark: str | None, measured: MeasuredPath) -> tuple[str, str]:
    """Return two names, empty if unknown: the benchmark's, and that of the benchmark held at the account's average
    exposure.
    """
    exposed = measured.exposed
    return benchmark or "", f"{benchmark} at {exposed.gross:.0%}" if benchmark and exposed else ""


_ASSUMED: Mapping[Block, tuple[str, ...]] = {
    Block.YEARS: (
        "A year's drawdown is measured from peaks within that year. Exposure and turnover are defined as under"
        " Trading. Costs are what was paid, plus what fills cost compared with the midpoint.",
    ),
    Block.ROLLING: (
        "A span of {year} sessions begins at each session, so spans overlap: together they contain little more"
        " information than the years do.",
    ),
    Block.WINDOWS: ("Each half year has {half} returns and ends at a different session, so they overlap.",),
    Block.TAILS: (
        "These figures describe single sessions, as they occurred. One session in twenty returned the value at"
        " risk or less, and the expected shortfall is the mean of those sessions. The tail ratio is the gain"
        " that one session in twenty exceeded, divided by the loss at the value at risk. A normal distribution"
        " has no skewness and no excess kurtosis.",
    ),
    Block.AGAINST: (
        "The mean difference is that of session returns, with a Student's t interval: if the interval contains"
        " zero, chance alone may explain the difference.",
        "Beta and alpha are the slope and the intercept of the least-squares line of the account's returns"
        " above cash against the benchmark's (Jensen, 1968), with Student's t intervals; alpha is multiplied by"
        " the number of returns per year. The interval of the correlation uses Fisher's z. Capture is the"
        " account's mean return in sessions in which the benchmark rose (or fell), divided by the benchmark's"
        " own. The beta of half years is against the benchmark too.",
    ),
    Block.HOLDINGS: (
        "Shares are fractions of the equity, averaged over the hours in which the exchange was open, in"
        " sessions in which the symbol was held.",
    ),
    Block.COSTS: (
        "Drag is how much faster the account would have grown per year if this cost alone hadn't been paid,"
        " with the same trades. Earned interest isn't a cost. Funding is what was paid minus what was received."
        " Slippage is measured against the midpoint of bid and ask at the time of the decision; a gain is"
        " negative.",
    ),
    Block.CHANCE: (),
    Block.SENSITIVITY: (
        "Each row is the same backtest with one thing changed. The band shows how much depends on the choice"
        " of the day alone; nobody knows the best day in advance. Sharpe ratios here assume that cash earns"
        " nothing.",
    ),
}


def further_assumptions(of: ExtendedReport, year: int = A_YEAR) -> Mapping[Block, tuple[str, ...]]:
    """Return the assumptions behind the parts that a report has, by block."""
    there = asdict(of) | {Block.YEARS: of.by_year, Block.CHANCE: of.chance or of.selected}
    counts = {"year": year, "half": year // 2}
    by_block = {block: tuple(text.format(**counts) for text in texts) for block, texts in _ASSUMED.items()}
    return {block: texts or tuple(_of_chance(of)) for block, texts in by_block.items() if there[block]}


def _of_chance(of: ExtendedReport) -> Iterator[str]:
    if of.chance:
        yield (
            "Intervals come from resampled session returns, in blocks that begin anywhere and have random"
            " lengths (stationary bootstrap; Politis and Romano, 1994). They hold only if the future resembles"
            " these sessions: no interval covers what never happened in them."
        )
        yield from _of_halts({figure.name: figure.value for figure in of.chance.figures})
    if of.selected:
        yield _of_selection(of.selected)


def _of_halts(values: Mapping[str, float | None]) -> Iterator[str]:
    fitting = [ceil(-100 * (values.get(name) or 0.0)) / 100 for name in OF_A_YEAR]
    if all(fitting):
        yield (
            f"Halts that fit this history are halts.drawdown_fraction: {fitting[0]:g} and"
            f" halts.daily_loss_fraction: {fitting[1]:g}, or more. In one year of twenty like these, the"
            " strategy's normal losses alone would reach each of them."
        )


def _of_selection(of: Selected) -> str:
    if of.trials == 1:
        return (
            "No other setting was counted as tried, so the deflated ratio is the same as the PSR. If some"
            " trials weren't counted, it is too high."
        )
    few = (
        noun_for(of.known, f"only {of.known} of them is", f"only {of.known} of them are")
        if of.known
        else "none of them is"
    )
    spread = "as they did" if of.known >= KNOWN else f"as much as by chance, because {few} known"
    return (
        f"The deflated ratio treats this result as the best of {of.trials:,} independent trials, and assumes"
        f" that the trials' Sharpe ratios vary {spread} (Bailey and López de Prado, 2014). If some trials"
        " weren't counted, it is too high."
    )


A_FALL = 0.20
"""How far the benchmark falls from a peak, by its closes, in what is commonly called a bear market."""
BEST = 10
"""How many of the best sessions are left out to show their share in the result."""
FEW_TRADES = 100
YEARS_OF_REGIMES = 10
"""With fewer years, the period hardly has more than one kind of market."""


def cautions(
    returns: Sequence[float],
    curve: Sequence[CurvePoint],
    trades: Sequence[ReportedTrade],
    benchmark: str | None,
    year: int = A_YEAR,
    moved: Collection[Key] = (),
) -> Iterator[str]:
    """Yield cautions about an account of a year or more; shorter accounts have too little data for them."""
    if len(returns) < year:
        return
    closed = _n_closed(trades, moved)
    if closed < FEW_TRADES:
        yield (
            f"These figures are from only {counted_kind(closed, 'closed trades')}: one more or one less could change "
            "them."
        )
    years = len(returns) / year
    if years < YEARS_OF_REGIMES:
        yield (
            f"These {years:.1f} years are one stretch of history. {_falls(curve, benchmark)}The strategy may do"
            " worse at other interest rates, volatilities and trends."
        )
    if any(returns):
        yield _without_best(returns)


def _falls(curve: Sequence[CurvePoint], benchmark: str | None) -> str:
    index = [point.benchmark for point in curve if point.benchmark is not None]
    if not benchmark or len(index) < 2:
        return ""
    count = sum(fall.depth <= -A_FALL for fall in statistics.drawdowns_deepest_first(index))
    if not count:
        return (
            f"{benchmark} never fell by {A_FALL:.0%} in these years, so nothing here shows how the strategy"
            " does in such a fall. "
        )
    often = {1: "once", 2: "twice"}.get(count, f"{count} times")
    return f"{benchmark} fell by {A_FALL:.0%} or more {often} in these years. "


def _without_best(returns: Sequence[float]) -> str:
    remaining = statistics.total_return(sorted(returns)[:-BEST])
    return (
        f"Without the {BEST} best of its {pluralize(len(returns), 'session')}, the return would have been"
        f" {remaining:+.1%} instead of {statistics.total_return(returns):+.1%}."
    )


def path_by_year(path: Path) -> Iterator[tuple[int, Path]]:
    """Yield the part of a path in each calendar year; a step counts in the year in which it ended."""
    for year, group in groupby(path.steps, key=lambda step: step.after.session.year):
        steps = tuple(group)
        sessions, missing = (tuple(day for day in days if day.year == year) for days in (path.sessions, path.missing))
        yield year, Path(steps[0].before, steps, sessions, missing, path.year)


def year_figures(of: MeasuredPath, fills: Sequence[OwnedFill], kinds: Sequence[CostKind]) -> tuple[YearFigures, ...]:
    return tuple(_year(of, year, part, fills, kinds) for year, part in path_by_year(of.way))


def _year(
    of: MeasuredPath, year: int, part: Path, fills: Sequence[OwnedFill], kinds: Sequence[CostKind]
) -> YearFigures:
    assert of.rows is not None, "every step has a row"
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
    """Return figures over rolling windows of one year; none with less than a year of returns.

    With less than two years, the windows overlap so much that they hardly differ, so the only figure returned has no
    value.
    """
    count, needed = len(path.returns), 2 * path.year
    if rows is None or count < path.year:
        return ()

    def figure(name: str, label: str, value: float | None, observations: int = count) -> Figure:
        return Figure(name, label, FigureUnit.FRACTION, value, observations, needed, RETURNS)

    if count < needed:
        return (figure("rolling_worst", "Worst span of a year", None),)
    mine, other = _spans(rows, ["value"], path.year)["value"], _spans(rows, ["value", "benchmark"], path.year)
    figures_found = (
        figure("rolling_worst", "Worst span of a year", float(mine.min())),
        figure("rolling_median", "Median span of a year", float(mine.median())),
        figure("rolling_best", "Best span of a year", float(mine.max())),
        figure("rolling_losing", "Spans that lost", float((mine < 0).mean())),
    )
    if len(other) <= path.year:
        return figures_found
    behind = float((other["value"] < other["benchmark"]).mean())
    return (*figures_found, figure("rolling_behind", "Spans behind the benchmark", behind, len(other) + path.year - 1))


def _spans(rows: "pd.DataFrame", names: list[str], year: int) -> "pd.DataFrame":
    """Return the growth, as a fraction, in each span of `year` returns that are known in all these columns."""
    valued = rows[names].dropna()
    logs = np.log1p(valued.clip(lower=-1 + 1e-12)).cumsum()
    before = logs.shift(year).fillna(0.0)
    return np.expm1(logs - before).iloc[year - 1 :]


STILL = 1e-12
"""A deviation of returns this small is rounding noise."""
ROLLED = (("volatility", "Volatility"), ("sharpe", "Sharpe ratio"), ("beta", "Beta"))


def over_time(of: MeasuredPath, rows: "pd.DataFrame") -> tuple[SessionExposure, ...]:
    """Return a row for each step of a path, oldest first; unknown values are None."""
    rolled = _rolling_figures(rows, of.way)
    invested: Sequence[Exposure | None] = of.exposures or [None] * len(of.way.steps)
    return tuple(
        SessionExposure(
            step.after.session,
            each.gross if each else None,
            each.held if each else {},
            *(None if value != value else float(value) for value in values),
        )
        for step, each, values in zip(of.way.steps, invested, rolled, strict=True)
    )


def _rolling_figures(rows: "pd.DataFrame", path: Path) -> "Sequence[tuple[float, float, float]]":
    """Return volatility, Sharpe ratio and beta of the half year until each step; NaN where a return isn't known."""
    ended, half, scale = rows.iloc[1:], path.year // 2, path.per_year**0.5
    own, other = ended["value"] - ended["cash"], ended["benchmark"] - ended["cash"]
    deviation, spread = (each.rolling(half).std() for each in (own, other))
    volatility = ended["value"].rolling(half).std() * scale
    sharpe = (own.rolling(half).mean() / deviation).where(deviation > STILL) * scale
    beta = (own.rolling(half).cov(other) / spread**2).where(spread > STILL)
    return list(zip(volatility, sharpe, beta, strict=True))


def windows(of: "Sequence[SessionExposure]", year: int) -> tuple[Windows, ...]:
    """Return how each half-year figure is distributed, if it has more windows than half a year has sessions.

    This needs about a year of returns.
    """
    columns = (
        (name, label, [value for each in of if (value := getattr(each, name)) is not None]) for name, label in ROLLED
    )
    return tuple(
        Windows(name, label, min(values), median(values), max(values), values[-1], len(values))
        for name, label, values in columns
        if len(values) > year // 2
    )


def holdings(of: "Sequence[SessionExposure]") -> tuple[AverageHolding, ...]:
    """Return all symbols that ever had a position, sorted by their average fraction of equity over all sessions,
    largest first.

    The result is empty if there are fewer sessions than in a month.
    """
    values: dict[str, list[float]] = {}
    for each in of if len(of) >= A_MONTH else ():
        for symbol, share in each.held.items():
            values.setdefault(symbol, []).append(share)
    ranked = sorted(values.items(), key=lambda pair: -sum(map(abs, pair[1])))
    return tuple(
        AverageHolding(symbol, len(shares), fmean(shares), max(shares, key=abs), of[-1].held.get(symbol))
        for symbol, shares in ranked
    )
