"""The honest baseline: which way the next bar goes, by a logistic regression on the features of the last one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

STEPS, ENOUGH = 100, 1e-10
"""How many of Newton's steps there are at most, and how small a gradient ends them."""
LEAST_OF_A_KIND = 10


class Line(NamedTuple):
    """A weight for each feature, and what is added: above zero, the next bar goes up."""

    weights: Numbers
    bias: float


def regression(shown: Numbers, rose: NDArray[np.bool_], c: float) -> Line:
    """Return the logistic regression of `rose`, one for each row of `shown`, with a penalty on the squared weights.

    It minimizes half the sum of squared weights plus `c` times the sum of the rows' losses, as Hastie, Tibshirani and
    Friedman put it in The Elements of Statistical Learning (4.4.4), by Newton's method. What is added has no penalty.
    OperatorError if nearly all bars went one way.
    """
    if min(int(rose.sum()), int((~rose).sum())) < LEAST_OF_A_KIND:
        raise OperatorError("nearly all bars of the training span went one way", "train on a longer span")
    table = np.column_stack([shown, np.ones(len(shown))])
    penalty = np.append(np.ones(shown.shape[1]), 0.0)
    found, signs = np.zeros(table.shape[1]), np.where(rose, 1.0, -1.0)
    for _ in range(STEPS):
        chances = 1 / (1 + np.exp(np.clip(signs * (table @ found), -500, 500)))
        slope = penalty * found - c * table.T @ (signs * chances)
        if np.abs(slope).max() < ENOUGH:
            break
        curvature = np.diag(penalty) + c * (table.T * (chances * (1 - chances))) @ table
        found = _better(found, np.linalg.lstsq(curvature, slope, rcond=None)[0], table, signs, penalty, c)
    return Line(found[:-1], float(found[-1]))


def _better(found: Numbers, step: Numbers, table: Numbers, signs: Numbers, penalty: Numbers, c: float) -> Numbers:
    """Return what a step leads to, halved until it is no worse."""

    def loss(at: Numbers) -> float:
        return float(0.5 * (penalty * at * at).sum() + c * np.logaddexp(0, -signs * (table @ at)).sum())

    size, before = 1.0, loss(found)
    while size > ENOUGH and loss(found - size * step) > before:
        size /= 2
    return found - size * step
