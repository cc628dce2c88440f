"""Combine several models' outputs into one target, which the caller rounds once.

In mode META, one model acts in each session; it is chosen by the models' results in earlier sessions.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from itertools import pairwise
from math import exp, fsum, isfinite, prod, sqrt
from statistics import fmean, pstdev
from typing import NamedTuple

from tradebot.learning.model_card import Action

Results = Mapping[date, float]

"""A model's profit by session, after costs, as a fraction of the equity at the session's start."""

OF_WINS, OF_TOTAL_RETURN, OF_SHARPE, OF_CONSISTENCY = 0.3, 0.4, 0.2, 0.1

BETTER, REST = 1.1, 5

"""How much better another model's score has to be, and how many sessions a choice lasts at least."""

FULL_RETURN, FULL_SHARPE, PER_YEAR, PARTS = 0.1, 3.0, 252, 5

"""The window's return and the annualized Sharpe ratio that get the full score, the number of sessions in a year, and
the number of parts of a window.
"""


def before(results: Results, session: date) -> Results:
    """Return the results of sessions before `session`."""
    return {day: earned for day, earned in sorted(results.items()) if day < session}


def lately(results: Results, sessions: int) -> Sequence[float]:
    """Return the last `sessions` results, oldest first."""
    return [results[day] for day in sorted(results)[-sessions:]]


def score(earned: Sequence[float]) -> float:
    """Score results from 0 to 1; larger is better. There must be at least one result.

    The score combines the share of sessions with a gain, the return, the Sharpe ratio, and the share of the window's
    fifths with a gain.
    """
    deviation = pstdev(earned)
    sharpe = fmean(earned) / deviation * sqrt(PER_YEAR) if deviation else 0.0
    total = prod(1 + earned_in for earned_in in earned) - 1
    fifths = [sum(part) for part in _parts(earned)]
    return (
        OF_WINS * _share(earned)
        + OF_TOTAL_RETURN * _to_unit_interval(total / FULL_RETURN)
        + OF_SHARPE * _to_unit_interval(sharpe / FULL_SHARPE)
        + OF_CONSISTENCY * _share(fifths)
    )


def select_model(results: Mapping[str, Results], session: date, sessions: int) -> str | None:
    """Return the model that acts in a session; None unless every model has an earlier result.

    Another model takes over only if its score is a tenth better than the acting model's, and no sooner than five
    sessions after the last change. The choice is computed anew from the first session in which every model has an
    earlier result, so the same results always give the same choice. If scores are equal, the first model acts.
    """
    earlier = {name: before(result, session) for name, result in results.items()}
    if not earlier or not all(earlier.values()):
        return None
    days = {name: [*returns] for name, returns in earlier.items()}
    earned = {name: [*returns.values()] for name, returns in earlier.items()}
    first = max(day[0] for day in days.values())
    acting, since = "", 0
    for number, day in enumerate(
        [*sorted({day for days_of in days.values() for day in days_of if day > first}), session]
    ):
        ends = {name: bisect_left(days_of, day) for name, days_of in days.items()}
        scores = {name: score(earned[name][max(end - sessions, 0) : end]) for name, end in ends.items()}
        best = max(scores, key=scores.__getitem__)
        if not acting or (scores[best] > BETTER * scores[acting] and number - since >= REST):
            acting, since = best, number
    return acting


def _share(values: Sequence[float]) -> float:
    return sum(value > 0 for value in values) / len(values)


def _to_unit_interval(value: float) -> float:
    """Clip a number to -1..1 and map that range linearly to 0..1."""
    return (1 + min(max(value, -1.0), 1.0)) / 2


def _parts(earned: Sequence[float]) -> Sequence[Sequence[float]]:
    edges = [len(earned) * part // PARTS for part in range(PARTS + 1)]
    return [earned[first:end] for first, end in pairwise(edges) if end > first]


MOST = 2

"""The largest target, in contracts, on either side."""

TARGETS = tuple(range(-MOST, MOST + 1))


class NetworkAnswer(NamedTuple):
    """A target in contracts, from -2 to 2, and the confidence in it, from 0 to 1."""

    target: float
    confidence: float


def answer_of(outputs: Sequence[float], action: Action) -> NetworkAnswer | None:
    """Return the meaning of a network's outputs; None if they aren't finite numbers within its range."""
    if not all(map(isfinite, outputs)):
        return None
    if action is Action.CONTINUOUS:
        (output,) = outputs
        return NetworkAnswer(MOST * output, abs(output)) if -1 <= output <= 1 else None
    highest = max(outputs)
    parts = [exp(output - highest) for output in outputs]
    return NetworkAnswer(float(TARGETS[outputs.index(highest)]), max(parts) / sum(parts))


def outputs_of(action: Action) -> int:
    """Return how many numbers a network outputs."""
    return {Action.CONTINUOUS: 1, Action.DISCRETE: len(TARGETS)}[action]


def round_contracts(target: float) -> int:
    """Return a target in whole contracts; halves are rounded away from zero."""
    return int(Decimal(repr(target)).to_integral_value(ROUND_HALF_UP))


LEAST_WEIGHT = 0.1

OF_DAYS, OF_RETURN = 0.6, 0.4

APART = 0.7

"""Models contradict each other if the standard deviation of their targets, in contracts, exceeds this."""


class PolicyMode(StrEnum):
    """What a policy does: nothing (TRAINING), or act by its rule (RULE), by one model, or by several models together.

    META chooses the acting model anew for each session.
    """

    TRAINING = "training"
    RULE = "rule"
    INFERENCE = "inference"
    ENSEMBLE = "ensemble"
    META = "meta"


class Combine(StrEnum):
    """How several models' outputs are combined.

    WEIGHTED: their mean, weighted by recent results. MAJORITY: the mean of the outputs on one side, if at least half of
    all outputs are on that side. CONFIDENCE: their mean, weighted by confidence. ADAPTIVE: their mean, or zero if they
    are too far apart.
    """

    WEIGHTED = "weighted"
    MAJORITY = "majority"
    CONFIDENCE = "confidence"
    ADAPTIVE = "adaptive"


def combine_targets(how: Combine, answers: Sequence[NetworkAnswer], weights: Sequence[float] = ()) -> float:
    """Combine one or more outputs into a target, in contracts; only WEIGHTED needs weights, one for each output."""
    targets = [answer.target for answer in answers]
    if how is Combine.WEIGHTED:
        return weighted_mean(targets, weights)
    if how is Combine.CONFIDENCE:
        return weighted_mean(targets, [answer.confidence for answer in answers])
    return {Combine.MAJORITY: majority, Combine.ADAPTIVE: adaptive}[how](targets)


def weighted_mean(targets: Sequence[float], weights: Sequence[float]) -> float:
    """Return the mean of targets with non-negative weights; zero if all weights are zero."""
    whole = fsum(weights)
    total = fsum(target * weight for target, weight in zip(targets, weights, strict=True))
    return total / whole if whole > 0 else 0.0


def majority(targets: Sequence[float]) -> float:
    """Return the mean of the targets on the side that has at least half of them; zero unless exactly one side has."""
    long, short = ([target for target in targets if target * sign > 0] for sign in (1, -1))
    side = long if len(long) > len(short) else short
    return fmean(side) if 2 * len(side) >= len(targets) and len(long) != len(short) else 0.0


def adaptive(targets: Sequence[float]) -> float:
    """Return the mean of targets; zero if their standard deviation is more than 0.7 contracts."""
    return 0.0 if pstdev(targets) > APART else fmean(targets)


def weights_of(results: Sequence[Results], sessions: int) -> tuple[float, ...] | None:
    """Return the weight of each model by its last results, adding up to 1; None if a model has none."""
    parts = [lately(result, sessions) for result in results]
    if not all(parts):
        return None
    raw = [
        max(
            LEAST_WEIGHT, OF_DAYS * sum(gain > 0 for gain in earned) / len(earned) + OF_RETURN * (1 + fmean(earned)) / 2
        )
        for earned in parts
    ]
    return tuple(weight / fsum(raw) for weight in raw)
