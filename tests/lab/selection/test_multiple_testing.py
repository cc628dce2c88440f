"""The probability of backtest overfitting, against the paper's definition written out and by laws.

White's reality check and Hansen's test: their laws; `tests/clients/test_superiority.py` has arch judge them.
"""

from itertools import combinations
from statistics import fmean, stdev

import numpy as np
import pytest

from tests.kit.trades import returns_of
from tests.kit.values import there
from tradebot.lab.performance.chance import Resampling
from tradebot.lab.selection.multiple_testing import Range, Value, neighbor_plateau, overfitting, superiority


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


RANGES = {"level": Range(0.0, 10.0), "mode": Range()}


def values(*levels: float, mode: str = "slow") -> list[dict[str, Value]]:
    return [{"level": level, "mode": mode} for level in levels]


def test_peak_without_neighbors_is_no_plateau() -> None:
    tried = values(*range(11))
    peak = there(neighbor_plateau(5, tried, [0.1] * 5 + [2.0] + [0.1] * 5, RANGES))
    hill = there(neighbor_plateau(5, tried, [1.0 - 0.1 * abs(5 - place) for place in range(11)], RANGES))
    assert (peak.holds, hill.holds) == (False, True)
    assert (hill.neighbors, hill.positive, hill.lowest, hill.highest) == (4, 4, 0.8, 0.9)
    assert hill.median == pytest.approx(0.85)


def test_another_choice_is_farther_than_any_level() -> None:
    tried = [*values(5.0, 0.0, 1.0, 9.0, 10.0), *values(5.0, 5.1, mode="fast")]
    found = there(neighbor_plateau(0, tried, [2.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0], RANGES))
    assert (found.neighbors, found.lowest) == (4, 1.0)


def test_orders_of_magnitude_are_as_far_apart_as_each_other() -> None:
    between = Range(1.0, 10_000.0, log=True)
    assert between.apart(1.0, 10.0) == pytest.approx(between.apart(1_000.0, 10_000.0)) == 0.25


def test_too_few_trials_have_no_neighbors() -> None:
    assert neighbor_plateau(0, values(1, 2, 3, 4), [1.0, 1.0, 1.0, None], RANGES) is None


QUICK = Resampling(resamples=500, mean_block=10)


def test_p_is_small_with_an_edge_and_large_with_a_loss() -> None:
    good, bad = (there(superiority(returns_of(1, edge), QUICK)) for edge in (4.0, -4.0))
    assert max(good.reality_check, good.spa) < 0.02
    assert min(bad.reality_check, bad.spa) > 0.5


def test_consistent_p_is_between_its_bounds() -> None:
    for seed in range(5):
        returns = returns_of(seed, 1.0, trials=10)
        returns[:, :5] -= 0.002
        found = there(superiority(returns, QUICK))
        assert found.spa_lower <= found.spa <= found.spa_upper


def test_hopeless_trials_weaken_the_reality_check_more_than_hansens_test() -> None:
    returns = returns_of(3, 2.0, trials=2)
    wild = 10 * returns_of(4, -20.0, trials=40)
    alone, together = (there(superiority(each, QUICK)) for each in (returns, np.hstack((returns, wild))))
    assert together.spa == pytest.approx(alone.spa, abs=0.02)
    assert together.reality_check > alone.reality_check + 0.2


def test_copies_of_a_trial_count_as_one_and_the_scale_of_the_returns_changes_nothing() -> None:
    one, several = returns_of(5, 1.5, trials=1), returns_of(6, 1.0, trials=5)
    assert superiority(one, QUICK) == superiority(np.hstack([one] * 20), QUICK)
    assert superiority(several, QUICK) == superiority(4 * several, QUICK)


def test_trials_that_never_moved_have_no_p() -> None:
    assert superiority(np.zeros((100, 3)), QUICK) is None


def test_p_is_even_without_an_edge() -> None:
    """Of one trial without an edge, about one in five has a p below a fifth."""
    found = [
        superiority(returns_of(seed, 0.0, 250, 1), Resampling(resamples=200, mean_block=10)) for seed in range(150)
    ]
    assert 18 <= sum(one is not None and one.reality_check <= 0.2 for one in found) <= 45
