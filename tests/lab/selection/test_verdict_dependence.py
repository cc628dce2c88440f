"""Blocks are as long as returns depend on each other, and gains of a few months prove nothing."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.kit.trades import ASKED, returns_of, tried
from tests.kit.values import there
from tradebot.lab.selection.verdict import SearchConclusion, block_length, by_parts, verdict
from tradebot.model.struct_tools import replace


def following(share: float, sessions: int = 2_000, trials: int = 5) -> NDArray[np.float64]:
    """Return returns of which each takes so much of the one before."""
    drawn = np.random.default_rng(1).normal(size=(sessions, trials))
    for place in range(1, sessions):
        drawn[place] += share * drawn[place - 1]
    return drawn


def wandering(seed: int, strength: float, lasting: int = 60) -> NDArray[np.float64]:
    """Return returns without an edge, whose means are drawn anew every `lasting` sessions, for each trial by itself."""
    returns, chance = returns_of(seed, 0.0), np.random.default_rng(seed)
    sessions, trials = returns.shape
    levels = chance.normal(size=(sessions // lasting + 2, trials))
    places = (np.arange(sessions)[:, None] + chance.integers(0, lasting, trials)) // lasting
    return returns + 0.01 * strength * np.take_along_axis(levels, places, axis=0)


@pytest.mark.parametrize(("share", "theory"), [(0.0, 1.0), (0.5, 15.3), (0.8, 34.0)])
def test_blocks_are_as_long_as_theory_says_of_returns_that_follow_each_other(share: float, theory: float) -> None:
    # Politis and White: the best length is (2 (share / (1 - share**2))**2 n)**(1/3) for such a series.
    assert block_length(following(share), 1) == pytest.approx(theory, rel=0.5, abs=3)


def test_blocks_are_never_shorter_than_the_longest_holding() -> None:
    assert block_length(returns_of(1, 0.0), 10) == 10
    held = [replace(one, longest=25) for one in tried(returns_of(1, 3.0))]
    found = there(verdict(held, ASKED)).superiority
    assert found is not None
    assert found.mean_block == 25


def test_p_of_parts_is_the_share_of_signs_that_do_as_well() -> None:
    good = np.full((60, 1), 0.01) + 1e-4 * np.random.default_rng(1).normal(size=(60, 1))
    assert by_parts(good) == 1 / 64
    good[:10] *= -1
    assert by_parts(good) == pytest.approx(7 / 64), "one part of six lost, and either of them might have"
    assert by_parts(-good) == 1.0
    assert by_parts(good[:5]) == 1.0


def test_an_edge_that_lasts_for_months_only_is_none() -> None:
    found = there(verdict(tried(wandering(12, 0.4)), ASKED))
    assert found.p <= 0.02, "resampling alone would call it one"
    assert found.outside_return > 0
    assert found.found is SearchConclusion.NOTHING
    assert "too few parts of the time" in found.sentence
