"""The verdict on searches over drawn returns: it finds an edge, and doesn't find one where there is none.

Blocks are as long as returns depend on each other, and gains of a few months prove nothing.
"""

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.kit.trades import ASKED, returns_of, tried
from tests.kit.values import there
from tradebot.lab.performance.statistics import total_return
from tradebot.lab.selection.splits import SessionCut, SplitMethod
from tradebot.lab.selection.verdict import (
    SearchConclusion,
    SearchQuestion,
    SearchVerdict,
    block_length,
    by_parts,
    has_enough_sessions,
    judge_search,
)
from tradebot.model.evidence import Variant, VariantKind
from tradebot.model.struct_tools import replace

MANY = 100


def judged(seed: int, sharpe: float, asked: SearchQuestion = ASKED, *variants: Variant) -> SearchVerdict:
    return there(judge_search(tried(returns_of(seed, sharpe)), asked, variants))


def test_edge_is_found_and_noise_is_not() -> None:
    edge, noise = judged(1, 3.0), judged(2, 0.0)
    assert edge.found is SearchConclusion.EDGE
    assert edge.sentence.startswith("There is an edge")
    assert noise.found is SearchConclusion.NOTHING
    assert noise.sentence.startswith("Nothing found")


@pytest.mark.campaign
def test_of_a_hundred_searches_few_find_what_is_not_there_and_most_what_is() -> None:
    """50 trials over 500 sessions, with no edge, or with a true Sharpe ratio of 2 in each."""
    noise = Counter(judged(seed, 0.0).found for seed in range(MANY))
    edge = Counter(judged(MANY + seed, 2.0).found for seed in range(MANY))
    assert noise[SearchConclusion.NOTHING] >= 95, noise
    assert edge[SearchConclusion.EDGE] >= 70, edge


def test_trials_of_earlier_searches_count_too() -> None:
    once, often = judged(1, 3.0), judged(1, 3.0, replace(ASKED, counted=2_000))
    assert often.p == pytest.approx(min(40 * once.p, 1.0))
    assert there(often.deflated_sharpe) < there(once.deflated_sharpe)


def test_sessions_that_a_sampler_learned_from_test_nothing() -> None:
    returns = returns_of(3, 0.0)
    returns[:250] += 0.01
    asked = replace(ASKED, learns=True)
    found = there(judge_search(tried(returns), asked))
    assert (found.tested, found.found) == (250, SearchConclusion.NOTHING)


def test_choice_is_made_inside_and_judged_outside() -> None:
    # The trial that is best in the first half earns nothing later, and the other one much.
    returns = 1e-5 * np.random.default_rng(1).normal(size=(200, 2))
    returns[:100, 0] += 0.01
    returns[150:, 1] += 0.02
    found = there(judge_search(tried(returns), replace(ASKED, cut=SessionCut(parts=2))))
    assert found.outside_return == pytest.approx(total_return(returns[100:, 0].tolist()))
    assert {one.number: (one.outside or 0.0) > 1 for one in found.kept} == {0: False, 1: True}


def test_choice_that_loses_outside_is_nothing_whatever_its_p() -> None:
    returns = returns_of(1, 0.0, trials=6)
    returns[:250] += 0.01
    returns[250:] -= 0.001
    found = there(judge_search(tried(returns), ASKED))
    assert found.p < 0.02
    assert found.found is SearchConclusion.NOTHING
    assert "so what the best trial earned in hindsight doesn't count" in found.sentence


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        (Variant(VariantKind.COSTS, "costs x2", 500, 90, -0.02, -0.1), "with its costs doubled, it earns nothing"),
        (Variant(VariantKind.DELAY, "a session later", 500, 90, 0.0, -0.1), "a session later, it earns nothing"),
    ],
)
def test_edge_that_costs_or_a_day_take_away_is_fragile(variant: Variant, said: str) -> None:
    found = judged(1, 3.0, ASKED, variant)
    assert found.found is SearchConclusion.FRAGILE
    assert said in found.sentence


def test_edge_that_holding_has_too_is_fragile() -> None:
    returns = returns_of(1, 3.0)
    held = (returns.mean(axis=1) + 1e-4).tolist()
    found = there(judge_search(tried(returns), replace(ASKED, held=held)))
    assert found.p < 0.02 < (found.p_held or 0.0)
    assert found.found is SearchConclusion.FRAGILE
    assert "lead over holding the universe may be luck" in found.sentence
    idle = there(judge_search(tried(returns), replace(ASKED, held=[0.0] * len(returns))))
    assert (idle.p_held, idle.found) == (idle.p, SearchConclusion.EDGE)


def test_edge_of_five_trades_is_fragile() -> None:
    found = there(judge_search([replace(one, best_five=one.gained) for one in tried(returns_of(1, 3.0))], ASKED))
    assert found.found is SearchConclusion.FRAGILE
    assert "without its five best trades" in found.sentence


def test_cross_validation_finds_the_edge_too() -> None:
    found = judged(1, 3.0, replace(ASKED, cut=SessionCut(SplitMethod.CROSS_VALIDATION, 6, 2)))
    assert found.found is SearchConclusion.EDGE
    assert found.outside is not None


def test_long_holding_leaves_too_few_sessions_to_judge() -> None:
    long = [replace(one, longest=240) for one in tried(returns_of(1, 3.0))]
    assert not has_enough_sessions(long, ASKED)
    assert judge_search(long, ASKED) is None


def test_trial_without_the_objective_is_never_the_best() -> None:
    returns = returns_of(1, 3.0, trials=6)
    returns[:, 2] = 0.0
    found = there(judge_search(tried(returns), ASKED))
    assert found.kept[-1].number == 2
    assert found.kept[-1].inside is None


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
    assert there(there(judge_search(held, ASKED)).superiority).mean_block == 25


def test_p_of_parts_is_the_share_of_signs_that_do_as_well() -> None:
    good = np.full((60, 1), 0.01) + 1e-4 * np.random.default_rng(1).normal(size=(60, 1))
    assert by_parts(good) == 1 / 64
    good[:10] *= -1
    assert by_parts(good) == pytest.approx(7 / 64), "one part of six lost, and either of them might have"
    assert by_parts(-good) == 1.0
    assert by_parts(good[:5]) == 1.0


def test_an_edge_that_lasts_for_months_only_is_none() -> None:
    found = there(judge_search(tried(wandering(12, 0.4)), ASKED))
    assert found.p <= 0.02, "resampling alone would call it one"
    assert found.outside_return > 0
    assert found.found is SearchConclusion.NOTHING
    assert "too few parts of the period" in found.sentence
