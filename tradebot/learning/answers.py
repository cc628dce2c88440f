"""What a network's answer means: a target in contracts, not yet rounded, and how sure the network is of it."""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from math import exp, isfinite
from typing import NamedTuple

from tradebot.learning.card import Action

MOST = 2
"""The largest target, in contracts, on either side."""
TARGETS = tuple(range(-MOST, MOST + 1))


class Answer(NamedTuple):
    """A target in contracts from -2 to 2, and the confidence in it, 0 to 1."""

    target: float
    confidence: float


def answer_of(outputs: Sequence[float], action: Action) -> Answer | None:
    """Return what a network's outputs mean; None if they aren't finite numbers in its range."""
    if not all(map(isfinite, outputs)):
        return None
    if action is Action.CONTINUOUS:
        (output,) = outputs
        return Answer(MOST * output, abs(output)) if -1 <= output <= 1 else None
    highest = max(outputs)
    parts = [exp(output - highest) for output in outputs]
    return Answer(float(TARGETS[outputs.index(highest)]), max(parts) / sum(parts))


def outputs_of(action: Action) -> int:
    """Return how many numbers a network answers."""
    return {Action.CONTINUOUS: 1, Action.DISCRETE: len(TARGETS)}[action]


def rounded(target: float) -> int:
    """Return a target in whole contracts; a half is rounded away from zero."""
    return int(Decimal(repr(target)).to_integral_value(ROUND_HALF_UP))
