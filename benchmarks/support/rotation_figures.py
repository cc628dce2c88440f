"""Compute the figures of one run of the rotation, and compare them with SPY. Rates are annual fractions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from math import expm1, sqrt

from benchmarks.support.rotation_runs import Played
from tradebot.lab.performance import chance, statistics

PER_YEAR = 252
BENCHMARK = "benchmark"
BY_CHANCE = chance.Resampling(level=0.9)
"""The settings of the bootstrap; its intervals contain nine resamples in ten."""


@dataclass(frozen=True)
class Drawdown:
    """The deepest fall, as a fraction, with its dates; `over` is None if the peak wasn't reached again."""

    depth: float
    peak: date
    trough: date
    over: date | None


@dataclass(frozen=True)
class Figures:
    """The figures of a series of values; `sharpe` is annualized by the root of 252, without a rate for cash."""

    growth: float
    volatility: float
    sharpe: float
    drawdown: Drawdown
    sessions: Sequence[date]
    returns: Sequence[float]

    @classmethod
    def of(cls, values: Mapping[date, float]) -> "Figures":
        """Return the figures of the values after each session; growth starts from the first value."""
        sessions, worth = list(values), list(values.values())
        returns = [later / earlier - 1 for earlier, later in pairwise(worth)]
        shape = statistics.moments_of_returns(returns)
        growth = statistics.cagr(returns, (sessions[-1] - sessions[0]).days / 365.25)
        assert shape is not None
        assert growth is not None
        fall = statistics.drawdowns_deepest_first(statistics.growth(returns))[0]
        over = None if fall.recovered is None else sessions[fall.recovered]
        deepest = Drawdown(-fall.depth, sessions[fall.peak], sessions[fall.trough], over)
        deviation = shape.deviation * sqrt(PER_YEAR)
        return cls(growth, deviation, shape.mean * PER_YEAR / deviation, deepest, sessions, returns)

    def sharpe_by(self, per_year: int) -> float:
        """Return the ratio annualized by another number of returns per year."""
        return self.sharpe * sqrt(per_year / PER_YEAR)


def between(values: Mapping[date, float], first: date, last: date) -> dict[date, float]:
    """Return the values of a period of sessions, starting with the last one before it."""
    before = max((session for session in values if session < first), default=first)
    return {session: value for session, value in values.items() if before <= session <= last}


def turnover(played: Played) -> float:
    """Return one-way turnover per year, as a multiple of the account's average value."""
    worth = list(played.values.values())
    years = len(worth) / PER_YEAR
    return played.traded_usd / 2 / (sum(worth) / len(worth)) / years


def levered(values: Mapping[date, float], leverage: float, rates: Mapping[date, float]) -> dict[date, float]:
    """Return the values of a fund held at a leverage that is restored daily; `rates` are the loan's cost by day."""
    worth, values_by_day = 1.0, dict[date, float]()
    for (earlier, before), (later, now) in pairwise(values.items()):
        values_by_day.setdefault(earlier, worth)
        interest = rates[earlier] * (later - earlier).days / 360
        worth *= 1 + leverage * (now / before - 1) - (leverage - 1) * interest
        values_by_day[later] = worth
    return values_by_day


@dataclass(frozen=True)
class Excess:
    """The annual growth above a benchmark's, from log returns, and the 90% interval of a bootstrap."""

    value: float
    low: float
    high: float


def bad_year(of: Figures) -> tuple[float, float]:
    """Return the drawdown and the worst session of one year in twenty, both negative, as in the bot's report."""
    intervals = chance.intervals(chance.ReturnSeries(of.returns, PER_YEAR, 0.0))
    assert intervals is not None, "the value never fell to zero"
    fall, session = (intervals[name].low for name in chance.OF_A_YEAR)
    return fall, session


def excess(of: Figures, benchmark: Mapping[date, float]) -> Excess:
    """Compare two series by a block bootstrap of their daily differences in log returns, as in the bot's report."""
    others = [benchmark[later] / benchmark[earlier] - 1 for earlier, later in pairwise(of.sessions)]
    series = chance.ReturnSeries(of.returns, PER_YEAR, 0.0, others={BENCHMARK: others})
    intervals = chance.intervals(series, BY_CHANCE)
    assert intervals is not None, "the value never fell to zero"
    ends, value = intervals[BENCHMARK], chance.yearly_excess(of.returns, others, PER_YEAR)
    return Excess(expm1(value), expm1(ends.low), expm1(ends.high))
