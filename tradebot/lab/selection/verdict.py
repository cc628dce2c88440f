"""Conclude a search: how far the best of its trials can be trusted, and why.

The bootstrap's block length follows from the autocorrelation of the returns: Politis and White, "Automatic Block-Length
Selection for the Dependent Bootstrap", Econometric Reviews 23, 2004, with the correction of Patton, Politis and White,
28, 2009. Another test finds drifts that are too slow for any block. It cuts the sessions into a few long parts and
compares their means with the same means under all combinations of signs: Canay, Romano and Shaikh, "Randomization Tests
Under an Approximate Symmetry Assumption", Econometrica 85, 2017.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import pairwise, product
from math import ceil, inf, isfinite, log10, sqrt
from statistics import fmean, stdev

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from tradebot.lab.performance.chance import Resampling, best_by_chance
from tradebot.lab.performance.statistics import moments_of_returns, probabilistic_sharpe, total_return
from tradebot.lab.selection.multiple_testing import (
    DEFAULT,
    Overfitting,
    Plateau,
    Range,
    Superiority,
    Value,
    neighbor_plateau,
    overfitting,
    superiority,
)
from tradebot.lab.selection.objectives import measure_objective
from tradebot.lab.selection.splits import ChoiceSplit, SessionCut, SplitMethod, splits, training_sessions
from tradebot.model.evidence import Variant, VariantKind
from tradebot.model.sentences import pluralize

Numbers = NDArray[np.float64]

SIGNIFICANT = 0.02

"""Above this p-value, a search finds nothing. It is stricter than the usual 5%: the bootstrap is a little generous."""

BY_PARTS = 0.04

"""Above this p-value of the test on a few long parts, a search finds nothing. The test only detects slow dependence."""

LEAST_BLOCK = 10

LIKELY_OVERFITTED = 0.5


class SearchConclusion(StrEnum):
    """The conclusion of a search: nothing beyond luck, a fragile edge, or an edge."""

    NOTHING = "nothing"
    FRAGILE = "fragile"
    EDGE = "edge"


class PlayedTrial(Struct, frozen=True):
    """A finished trial, identified by its number in the search.

    `returns` are its sessions' returns. `trades` is the number of closed trades, and the longest lasted `longest`
    sessions. `gained` is its profit and `best_five` the profit of its five best trades, as fractions of the initial
    equity.
    """

    number: int
    values: Mapping[str, Value]
    returns: Sequence[float]
    trades: int
    longest: int
    gained: float
    best_five: float


class ComparedTrial(Struct, frozen=True):
    """A trial's objective in the sessions for choosing, and in the sessions for judging."""

    number: int
    values: Mapping[str, Value]
    trades: int
    inside: float | None
    outside: float | None


class SearchQuestion(Struct, frozen=True):
    """A search's objective and how it is judged.

    `learns` is True if later trials were chosen by the results of earlier ones. `counted` is how many trials of these
    strategies were ever counted, in this search and before. `held` has the returns of holding the universe in equal
    parts in the same sessions; empty if unknown.
    """

    objective: str
    per_year: int
    ranges: Mapping[str, Range]
    cut: SessionCut = SessionCut()
    learns: bool = False
    counted: int = 0
    held: Sequence[float] = ()


class SearchVerdict(Struct, frozen=True):
    """The conclusion of a search, in one sentence, with all its evidence.

    `best` is the trial that is best in all sessions, and `kept` has all trials, best first. `outside` is what the
    trials chosen in the other sessions earned in the judged sessions; expect no more than that. `p` is the larger
    p-value of the reality check and Hansen's test, times how often such a search was made, and `tested` is its number
    of sessions; `p_parts` is the p-value of the test on the means of a few long parts. `p_held` is the same p-value for
    a comparison with holding the universe in equal parts, which returns `held_return`. `without_best_five` is the best
    trial's gain without its five best trades.
    """

    found: SearchConclusion
    sentence: str
    best: ComparedTrial
    kept: tuple[ComparedTrial, ...]
    trials: int
    counted: int
    sessions: int
    tested: int
    gap: int
    outside: float | None
    outside_return: float
    p: float
    p_parts: float
    superiority: Superiority | None
    held_return: float | None
    p_held: float | None
    overfitting: Overfitting | None
    deflated_sharpe: float | None
    plateau: Plateau | None
    without_best_five: float
    variants: tuple[Variant, ...] = ()
    left_out: tuple[str, ...] = ()


def best_of(tried: Sequence[PlayedTrial], search_question: SearchQuestion) -> int | None:
    """Return the index of the trial that is best in all sessions; None if no trial has the objective."""
    if not tried:
        return None
    scores = measure_objective(search_question.objective, _matrix(tried), search_question.per_year)
    ranked = [(value, -index) for index, value in enumerate(scores) if value is not None]
    return -max(ranked)[1] if ranked else None


def rank_trials(tried: Sequence[PlayedTrial], objective: str, per_year: int) -> tuple[ComparedTrial, ...]:
    """Return the trials that have the objective, best first.

    They are ranked over all sessions, so no sessions are left for judging.
    """
    if not tried:
        return ()
    scores = measure_objective(objective, _matrix(tried), per_year)
    scored = [(score, trial) for score, trial in zip(scores, tried, strict=True) if score is not None]
    best_first = sorted(scored, key=lambda pair: -pair[0])
    return tuple(ComparedTrial(trial.number, trial.values, trial.trades, score, None) for score, trial in best_first)


def _matrix(tried: Sequence[PlayedTrial]) -> Numbers:
    """Return the returns of trials, with a row for each session and a column for each trial."""
    return np.array([trial.returns for trial in tried]).T


def judge_search(
    tried: Sequence[PlayedTrial],
    search_question: SearchQuestion,
    variants: Sequence[Variant] = (),
    left_out: Sequence[str] = (),
) -> SearchVerdict | None:
    """Conclude how far the best of these trials can be trusted; all have the same sessions.

    `variants` are variants of the best trial, and `left_out` says why others didn't run. Return None if there are too
    few sessions for choosing and judging, or if no trial has the objective.
    """
    best, cut = best_of(tried, search_question), _splits(tried, search_question)
    if best is None or not cut:
        return None
    returns = _matrix(tried)
    sessions = len(returns)
    objectives = _Measured(returns, search_question)
    outside = _outside(objectives, cut)
    # What a sampler has learned from is no test of what it came up with.
    tested = returns[training_sessions(sessions) :] if search_question.learns else returns
    how = Resampling(DEFAULT.resamples, block_length(tested, max(LEAST_BLOCK, _gap(tried))))
    test, p_value = superiority(tested, how), max(search_question.counted, len(tried))
    compared_trials = _compare_trials(tried, objectives, cut, search_question)
    draft = SearchVerdict(
        SearchConclusion.NOTHING,
        "",
        next(trial for trial in compared_trials if trial.number == tried[best].number),
        compared_trials,
        len(tried),
        p_value,
        sessions,
        len(tested),
        _gap(tried),
        measure_objective(search_question.objective, outside[:, None], search_question.per_year)[0],
        total_return(outside.tolist()),
        _p(test, p_value / len(tried)),
        by_parts(tested),
        test,
        total_return(search_question.held) if search_question.held else None,
        _against_holding(returns, search_question, p_value / len(tried), how),
        overfitting(returns),
        _deflate_best(returns, best, p_value),
        neighbor_plateau(
            best, [trial.values for trial in tried], [*map(_finite_or_none, objectives.whole)], search_question.ranges
        ),
        tried[best].gained - tried[best].best_five,
        tuple(variants),
        tuple(left_out),
    )
    conclusion, sentence = conclude_search(draft, search_question.objective)
    return SearchVerdict(conclusion, sentence, *(getattr(draft, name) for name in SearchVerdict.__struct_fields__[2:]))


def _p(test: Superiority | None, times: float) -> float:
    """Return the larger p-value of the two tests, multiplied by how many `times` such a search was made, at most 1."""
    return 1.0 if test is None else min(max(test.reality_check, test.spa) * times, 1.0)


def _against_holding(returns: Numbers, search_question: SearchQuestion, times: float, how: Resampling) -> float | None:
    """Return the p-value of the best trial against holding the universe; None if the returns of holding are unknown."""
    if not search_question.held:
        return None
    above = returns - np.asarray(search_question.held)[:, None]
    return _p(superiority(above[training_sessions(len(above)) :] if search_question.learns else above, how), times)


def has_enough_sessions(tried: Sequence[PlayedTrial], search_question: SearchQuestion) -> bool:
    """Return True if there are enough sessions for choosing and for judging."""
    return bool(_splits(tried, search_question))


def _splits(tried: Sequence[PlayedTrial], search_question: SearchQuestion) -> tuple[ChoiceSplit, ...]:
    return splits(search_question.cut, len(tried[0].returns), _gap(tried)) if tried else ()


def _gap(tried: Sequence[PlayedTrial]) -> int:
    return max(1, *(trial.longest for trial in tried))


class _Measured:
    """Computes each trial's objective in any selection of sessions; an undefined one counts as below all others."""

    def __init__(self, returns: Numbers, search_question: SearchQuestion) -> None:
        self.returns, self._asked = returns, search_question
        self.whole = self.of(np.arange(len(returns)))

    def of(self, places: NDArray[np.int64]) -> list[float]:
        scores = measure_objective(self._asked.objective, self.returns[places], self._asked.per_year)
        return [-inf if value is None else value for value in scores]


def _finite_or_none(value: float) -> float | None:
    return value if isfinite(value) else None


def _outside(objectives: _Measured, cut: Sequence[ChoiceSplit]) -> Numbers:
    """Return the returns of the judged sessions, each of the trial that was best inside.

    A session that is judged several times has the mean of its returns.
    """
    sums, counts = np.zeros(len(objectives.returns)), np.zeros(len(objectives.returns))
    for split in cut:
        inside = objectives.of(split.inside)
        chosen = max(range(len(inside)), key=inside.__getitem__)
        counts[split.outside] += 1
        if isfinite(inside[chosen]):
            sums[split.outside] += objectives.returns[split.outside, chosen]
    judged = counts > 0
    means: Numbers = sums[judged] / counts[judged]
    return means


def _compare_trials(
    tried: Sequence[PlayedTrial], objectives: _Measured, cut: Sequence[ChoiceSplit], search_question: SearchQuestion
) -> tuple[ComparedTrial, ...]:
    """Return all trials, the best in all sessions first, with their objectives in the sessions inside and outside."""
    if search_question.cut.by is SplitMethod.WALK_FORWARD:
        judged = np.concatenate([split.outside for split in cut])
        sides = [objectives.of(cut[0].inside)], [objectives.of(judged)]
    else:
        sides = [objectives.of(split.inside) for split in cut], [objectives.of(split.outside) for split in cut]
    inside, outside = ([_finite_or_none(fmean(each)) for each in zip(*side, strict=True)] for side in sides)
    order = sorted(range(len(tried)), key=lambda index: -objectives.whole[index])
    compared = ((tried[index], inside[index], outside[index]) for index in order)
    return tuple(
        ComparedTrial(trial.number, trial.values, trial.trades, here, there) for trial, here, there in compared
    )


def _deflate_best(returns: Numbers, best: int, trials: int) -> float | None:
    """Return the deflated Sharpe ratio of the best trial, given how many were counted.

    Return None if its returns don't vary, or if fewer than two trials have a Sharpe ratio.
    """
    moments = moments_of_returns(returns[:, best].tolist())
    # One return a year, so that the ratios aren't annualized.
    ratios = [ratio for ratio in measure_objective("sharpe", returns, 1) if ratio is not None]
    if moments is None or len(ratios) < 2:
        return None
    return probabilistic_sharpe(moments, best_by_chance(trials, stdev(ratios)))


def conclude_search(of: SearchVerdict, objective: str) -> tuple[SearchConclusion, str]:
    """Return the conclusion, and one sentence that says how far it can be trusted."""
    luck = f"p {of.p:.3f} after {pluralize(of.counted, 'trial')}"
    earned = f"the trials chosen in-sample earned {of.outside_return:+.1%} out of sample"
    if of.p > SIGNIFICANT:
        return (
            SearchConclusion.NOTHING,
            f"Nothing found: luck alone explains the best of so many trials ({luck}).",
        )
    if of.outside_return <= 0:
        return (
            SearchConclusion.NOTHING,
            f"Nothing found: {earned}, so what the best trial earned in hindsight doesn't count ({luck}).",
        )
    if of.p_parts > BY_PARTS:
        warning = f"the best trial's profit is concentrated in too few parts of the period (p {of.p_parts:.3f})"
        return SearchConclusion.NOTHING, f"Nothing found: {warning}, as happens when luck lasts for months."
    weak, choice = [*_weak(of)], [*_choice(of)]
    if weak:
        return (
            SearchConclusion.FRAGILE,
            f"Something is there ({luck}; {earned}), but don't trade it yet: {'; '.join(weak)}.",
        )
    expect = "" if of.outside is None else f" Out of sample, expect a {objective} of at most {of.outside:.2f}."
    if choice:
        return (
            SearchConclusion.EDGE,
            f"There is an edge ({luck}; {earned}), but not in these exact values: {'; '.join(choice)}.{expect}",
        )
    which = f"trial {of.best.number} is on a plateau"
    return (
        SearchConclusion.EDGE,
        f"There is an edge ({luck}; {earned}), and {which}: its neighbors earn about as much.{expect}",
    )


def _weak(of: SearchVerdict) -> Iterator[str]:
    """Yield a phrase for each test of robustness that the best trial fails."""
    for variant in of.variants:
        if variant.total_return <= 0:
            how = "with its costs doubled" if variant.kind is VariantKind.COSTS else variant.name
            yield f"{how}, it earns nothing"
    if of.p_held is not None and of.p_held > SIGNIFICANT:
        yield f"its lead over holding the universe may be luck (p {of.p_held:.3f})"
    if of.without_best_five <= 0:
        yield "without its five best trades, it earns nothing"
    if of.plateau and of.plateau.median <= 0:
        yield "its neighbors earn nothing"


def _choice(of: SearchVerdict) -> Iterator[str]:
    """Yield a phrase for each sign that the best trial's values may be no better than others."""
    if of.overfitting and of.overfitting.probability > LIKELY_OVERFITTED:
        often = f"in {of.overfitting.probability:.0%} of the splits of the sessions into halves"
        yield f"{often}, the best trial of one half is below the median in the other half"
    if of.plateau is None:
        yield "too few trials to know its neighbors"
    elif not of.plateau.holds:
        yield "its neighbors earn less than half as much"


SHARE = 0.9

"""The block is long enough for this share of the trials, and for all of them together."""

PARTS = 6

"""Into how many parts the sessions are cut: with more, each is too short for a mean that wanders for months."""


def block_length(returns: Numbers, least: int) -> int:
    """Return how many sessions a bootstrap block should have on average, at least `least`.

    `returns` has a row for each session and a column for each trial.
    """
    count = len(returns)
    most = ceil(min(3 * sqrt(count), count / 3))
    together = np.column_stack((returns, returns.mean(axis=1)))
    moved = together[:, together.std(axis=0) > 0]
    if count < 4 or not moved.shape[1]:
        return least
    length = _optimal(moved)
    wanted = max(float(np.quantile(length[:-1], SHARE)) if len(length) > 1 else 1.0, float(length[-1]))
    return max(least, min(ceil(wanted), most))


def _optimal(returns: Numbers) -> Numbers:
    """Return the best mean length of a block for the mean of each column, by the stationary bootstrap."""
    count, away = len(returns), returns - returns.mean(axis=0)
    quiet = max(5, ceil(sqrt(log10(count))))
    farthest = min(ceil(sqrt(count)) + quiet, count - 1)
    covariances = np.array([(away[lag:] * away[: count - lag]).sum(axis=0) for lag in range(farthest + 1)]) / count
    loud = abs(covariances[1:] / covariances[0]) >= 2 * sqrt(log10(count) / count)
    lengths = np.ones(returns.shape[1])
    for column in range(returns.shape[1]):
        lags = min(2 * _last(loud[:, column], quiet), farthest)
        away_by = np.arange(1, lags + 1)
        kernel = np.clip(2 * (1 - away_by / lags), 0, 1) * covariances[1 : lags + 1, column]
        slope, density = 2 * (kernel * away_by).sum(), covariances[0, column] + 2 * kernel.sum()
        if density > 0:
            lengths[column] = (slope**2 / density**2 * count) ** (1 / 3)
    return lengths


def _last(loud: NDArray[np.bool_], quiet: int) -> int:
    """Return the last lag before `quiet` insignificant ones in a row, at least 1; the number of lags if there is no
    such row.
    """
    for lag in range(len(loud) - quiet + 1):
        if not loud[lag : lag + quiet].any():
            return max(lag, 1)
    return len(loud)


def by_parts(returns: Numbers) -> float:
    """Estimate how likely luck alone is to give a best trial this good.

    The test flips the signs of the mean returns of a few long parts.
    """
    edges = np.linspace(0, len(returns), PARTS + 1).astype(int)
    if min(np.diff(edges)) < 1:
        return 1.0
    parts = np.array([returns[begin:end].mean(axis=0) for begin, end in pairwise(edges)])
    means = np.array([*product((1, -1), repeat=PARTS)]) @ parts / PARTS
    # A mean and what it varies by: squares don't change with their signs.
    spreads = np.maximum((parts**2).mean(axis=0) - means**2, np.finfo(float).tiny)
    best = (means / np.sqrt(spreads)).max(axis=1)
    return float((best >= best[0] * (1 - 1e-12)).mean()) if best[0] > 0 else 1.0
