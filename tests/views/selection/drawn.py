"""Drawn returns of trials that resemble their neighbors, with or without an edge."""

import numpy as np
from numpy.typing import NDArray

from tradebot.views.selection.plateau import Range
from tradebot.views.selection.verdict import Question, Tried

SESSIONS, TRIALS, NEAR = 500, 50, 10.0
ASKED = Question("sharpe", 252, {"level": Range(0, TRIALS - 1)})


def returns_of(seed: int, sharpe: float, sessions: int = SESSIONS, trials: int = TRIALS) -> NDArray[np.float64]:
    """Return normal returns with a true Sharpe ratio a year; trials so many places apart are related by 1 / e."""
    places = np.arange(trials)
    related = np.linalg.cholesky(np.exp(-abs(places[:, None] - places) / NEAR))
    drawn = np.random.default_rng(seed).normal(size=(sessions, trials)) @ related.T
    found: NDArray[np.float64] = 0.01 * (drawn + sharpe / np.sqrt(252))
    return found


def tried(returns: NDArray[np.float64]) -> list[Tried]:
    return [
        Tried(place, {"level": place}, tuple(column.tolist()), 100, 1, float(np.prod(1 + column) - 1), 0.0)
        for place, column in enumerate(returns.T)
    ]
