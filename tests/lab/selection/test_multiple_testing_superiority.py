"""White's reality check and Hansen's test: their laws; `tests/clients/test_superiority.py` has arch judge them."""

import numpy as np
import pytest

from tests.kit.trades import returns_of
from tradebot.lab.performance.chance import Resampling
from tradebot.lab.selection.multiple_testing import superiority

QUICK = Resampling(resamples=500, mean_block=10)


def test_p_is_small_with_an_edge_and_large_with_a_loss() -> None:
    good, bad = superiority(returns_of(1, 4.0), QUICK), superiority(returns_of(1, -4.0), QUICK)
    assert good is not None
    assert bad is not None
    assert max(good.reality_check, good.spa) < 0.02
    assert min(bad.reality_check, bad.spa) > 0.5


def test_consistent_p_is_between_its_bounds() -> None:
    for seed in range(5):
        returns = returns_of(seed, 1.0, trials=10)
        returns[:, :5] -= 0.002
        found = superiority(returns, QUICK)
        assert found is not None
        assert found.spa_lower <= found.spa <= found.spa_upper


def test_hopeless_trials_weaken_the_reality_check_more_than_hansens_test() -> None:
    returns = returns_of(3, 2.0, trials=2)
    wild = 10 * returns_of(4, -20.0, trials=40)
    alone, together = superiority(returns, QUICK), superiority(np.hstack((returns, wild)), QUICK)
    assert alone is not None
    assert together is not None
    assert together.spa == pytest.approx(alone.spa, abs=0.02)
    assert together.reality_check > alone.reality_check + 0.2


def test_copies_of_a_trial_count_as_one() -> None:
    returns = returns_of(5, 1.5, trials=1)
    alone, copied = superiority(returns, QUICK), superiority(np.hstack([returns] * 20), QUICK)
    assert alone == copied


def test_scale_of_the_returns_changes_nothing() -> None:
    returns = returns_of(6, 1.0, trials=5)
    one, other = superiority(returns, QUICK), superiority(4 * returns, QUICK)
    assert one == other


def test_trials_that_never_moved_have_no_p() -> None:
    assert superiority(np.zeros((100, 3)), QUICK) is None


def test_p_is_even_without_an_edge() -> None:
    """Of one trial without an edge, about one in five has a p below a fifth."""
    found = [
        superiority(returns_of(seed, 0.0, 250, 1), Resampling(resamples=200, mean_block=10)) for seed in range(150)
    ]
    assert 18 <= sum(one is not None and one.reality_check <= 0.2 for one in found) <= 45
