"""The probability of backtest overfitting, against the paper's definition written out and by laws."""

from itertools import combinations
from statistics import fmean, stdev

import numpy as np
import pytest

from tests.kit.trades import returns_of
from tests.kit.values import there
from tradebot.lab.selection.overfitting import overfitting


def by_definition(returns: np.ndarray, blocks: int) -> float:
    """Return the share of halves whose best trial has a logit of its relative rank at or below zero elsewhere."""
    parts, below = np.array_split(returns, blocks), list[bool]()
    for chosen in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[place] for place in chosen])
        outside = np.concatenate([parts[place] for place in range(blocks) if place not in chosen])
        ratios = [[fmean(column) / stdev(column) for column in half.T.tolist()] for half in (inside, outside)]
        best = ratios[0].index(max(ratios[0]))
        rank = 1 + sum(one < ratios[1][best] for one in ratios[1])
        below.append(rank / (returns.shape[1] + 1) <= 0.5)
    return fmean(below)


@pytest.mark.parametrize("seed", range(3))
def test_probability_is_that_of_the_papers_definition(seed: int) -> None:
    returns = returns_of(seed, 0.5, sessions=48, trials=7)
    found = there(overfitting(returns, 6))
    assert found.halves == 20
    assert found.probability == pytest.approx(by_definition(returns, 6))


def test_trial_that_is_best_everywhere_is_never_overfitted() -> None:
    returns = returns_of(1, 0.0, trials=5)
    returns[:, 3] += 0.02
    found = there(overfitting(returns, 8))
    assert (found.probability, found.loss) == (0.0, 0.0)


def test_trials_that_take_turns_are_always_overfitted() -> None:
    # Each trial earns in one block only, so that whichever is best inside earns nothing outside.
    returns = 0.001 * np.random.default_rng(1).normal(size=(80, 4))
    for place in range(4):
        returns[20 * place : 20 * place + 20, place] += 0.05
    assert there(overfitting(returns, 4)).probability == 1.0


def test_probability_is_unknown_of_one_trial_or_of_few_sessions() -> None:
    assert overfitting(returns_of(1, 0.0, trials=1)) is None
    assert overfitting(returns_of(1, 0.0, sessions=15, trials=3)) is None


def test_trial_that_never_moves_is_no_better_than_zero() -> None:
    returns = returns_of(2, 3.0, trials=3)
    returns[:, 1] = 0.0
    assert overfitting(returns) is not None
