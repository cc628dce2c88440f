"""Choose the model that acts in a session, by what each model earned in earlier sessions."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from math import prod, sqrt
from statistics import fmean, pstdev

Results = Mapping[date, float]
"""What a model earned by session, as fractions of the equity at its start, after costs."""
OF_WINS, OF_RETURN, OF_SHARPE, OF_CONSISTENCY = 0.3, 0.4, 0.2, 0.1
BETTER, REST = 1.1, 5
"""How much better another model's score has to be, and how many sessions a choice lasts at least."""
FULL_RETURN, FULL_SHARPE, PER_YEAR, PARTS = 0.1, 3.0, 252, 5
"""The return of the window and the yearly Sharpe ratio that count in full, and in how many parts a window is looked at.
"""


def before(results: Results, session: date) -> Results:
    """Return the results of sessions before one."""
    return {day: earned for day, earned in sorted(results.items()) if day < session}


def lately(results: Results, sessions: int) -> Sequence[float]:
    """Return the last results, up to a number, oldest first."""
    return [results[day] for day in sorted(results)[-sessions:]]


def score(earned: Sequence[float]) -> float:
    """Return how good results are, 0 to 1: the larger the better. There has to be at least one.

    It is made of the share of sessions with a gain, the return, the Sharpe ratio, and the share of the window's fifths
    with a gain.
    """
    deviation = pstdev(earned)
    sharpe = fmean(earned) / deviation * sqrt(PER_YEAR) if deviation else 0.0
    total = prod(1 + one for one in earned) - 1
    fifths = [sum(part) for part in _parts(earned)]
    return (
        OF_WINS * _share(earned)
        + OF_RETURN * _centered(total / FULL_RETURN)
        + OF_SHARPE * _centered(sharpe / FULL_SHARPE)
        + OF_CONSISTENCY * _share(fifths)
    )


def select_model(results: Mapping[str, Results], session: date, sessions: int) -> str | None:
    """Return the model that acts in a session; None if not all of them have a result from before it.

    Another model takes over only if its score is a tenth better than that of the one that acts, and at the earliest
    five sessions after the last change. This is played from the first session on that all have results before, so the
    same results always make the same choice. Of equals, the first one acts.
    """
    known = {name: before(one, session) for name, one in results.items()}
    if not known or not all(known.values()):
        return None
    days = {name: [*one] for name, one in known.items()}
    earned = {name: [*one.values()] for name, one in known.items()}
    first = max(one[0] for one in days.values())
    acting, since = "", 0
    for number, day in enumerate([*sorted({day for one in days.values() for day in one if day > first}), session]):
        ends = {name: bisect_left(one, day) for name, one in days.items()}
        scores = {name: score(earned[name][max(end - sessions, 0) : end]) for name, end in ends.items()}
        best = max(scores, key=scores.__getitem__)
        if not acting or (scores[best] > BETTER * scores[acting] and number - since >= REST):
            acting, since = best, number
    return acting


def _share(values: Sequence[float]) -> float:
    return sum(one > 0 for one in values) / len(values)


def _centered(value: float) -> float:
    """Return a number from -1 to 1, and beyond cut to that, as one from 0 to 1."""
    return (1 + min(max(value, -1.0), 1.0)) / 2


def _parts(earned: Sequence[float]) -> Sequence[Sequence[float]]:
    edges = [len(earned) * part // PARTS for part in range(PARTS + 1)]
    return [earned[first:end] for first, end in pairwise(edges) if end > first]
