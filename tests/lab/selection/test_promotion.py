"""Conditions of promotion: each number beside its bound, what is missing, and what chance and an edge reach.

The interval that holds after every session: how often it ever misses, and how much that costs in width.
"""

from decimal import Decimal
from math import sqrt
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from benchmarks.promotion import AS_ASSUMED, TRIALS, best_by_chance, climb, reached, shipped_rules, with_edge
from tests.kit.values import there
from tradebot.lab.performance.statistics import max_drawdown, sharpe
from tradebot.lab.selection.conditions import LONGEST, RungCondition
from tradebot.lab.selection.promotion import (
    GAINS,
    TrackRecord,
    anytime,
    conditions,
    effect_size,
    half_width,
    interval,
    least_since,
    rung_conditions,
    sharpe_gain,
)
from tradebot.model.promotion import PaperRecord, Rung
from tradebot.model.struct_tools import replace

RULES = shipped_rules()
GOOD = tuple((0.004 * (np.random.default_rng(1).normal(size=400) + 0.4)).tolist())
"""400 sessions with a Sharpe ratio of more than 6 a year."""
TRADES = tuple(sum(GOOD[place : place + 4]) for place in range(0, 400, 4))
SHOWN = TrackRecord(frozenset({PaperRecord.PAPER}), GOOD, TRADES, 100, 252, 0.05, TRIALS, AS_ASSUMED)
ERROR = float(RULES.error)


def of(evidence: TrackRecord, rung: Rung = Rung.LIVE) -> dict[str, RungCondition]:
    return {one.name: one for one in conditions(evidence, RULES, rung)}


def unmet(evidence: TrackRecord, rung: Rung = Rung.LIVE) -> set[str]:
    assert all(one.is_met() for one in rung_conditions(evidence, RULES, rung)) is all(
        one.met for one in of(evidence, rung).values()
    )
    return {name for name, one in of(evidence, rung).items() if not one.met}


def test_large_edge_meets_every_condition_that_is_asked() -> None:
    rows = of(SHOWN)
    assert all(one.met for one in rows.values())
    asked_for = (name for name, bound in RULES.live if bound is not None and name not in {"traded", "policy"})
    assert (list(rows), rows["sessions"].number) == (["traded", *asked_for], 400)
    assert rows["mean_above"].number == pytest.approx(interval(SHOWN, ERROR).low)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"traded": frozenset({PaperRecord.PAPER, PaperRecord.BACKTEST})}, {"traded"}),
        ({"returns": GOOD[:269]}, {"sessions"}),
        ({"here": 19}, {"sessions_here"}),
        ({"trades": TRADES[:99]}, {"trades"}),
        ({"trades": tuple(-each for each in TRADES)}, {"wins_low", "effect"}),
        ({"costs": sum(GOOD)}, {"costs_times"}),
        ({"costs": None}, {"costs_times"}),
        ({"trials": None}, {"mean_above", "deflated_sharpe", "spa_p"}),
        ({"parity": None}, {"parity_sessions", "parity_worse_bps"}),
        ({"parity": replace(AS_ASSUMED, sessions=19)}, {"parity_sessions"}),
        ({"parity": replace(AS_ASSUMED, worse_bps=Decimal("10.1"))}, {"parity_worse_bps"}),
        ({"parity": replace(AS_ASSUMED, ours=1)}, {"parity_worse_bps"}),
        ({"champion": GOOD}, {"spa_p", "sharpe_gain", "sharpe_gain_low"}),
        ({"champion_trades": TRADES}, {"effect"}),
    ],
)
def test_each_condition_fails_for_what_it_is_about(changes: dict[str, Any], names: set[str]) -> None:
    assert unmet(replace(SHOWN, **changes)) == names


def test_loss_spread_over_all_sessions_fails_what_is_about_returns() -> None:
    lost = replace(SHOWN, returns=tuple(-each for each in GOOD))
    assert unmet(lost) >= {"mean_above", "deflated_sharpe", "spa_p", "costs_times", "sharpe_gain", "sharpe_gain_low"}


def test_losses_that_come_together_are_deeper_than_in_any_order() -> None:
    assert unmet(replace(SHOWN, returns=tuple(sorted(GOOD)))) >= {"drawdown_worse"}


def test_drawdown_is_compared_with_the_champions() -> None:
    wild = replace(SHOWN, returns=tuple(8 * each for each in GOOD), champion=GOOD)
    assert wild.deeper == pytest.approx(max_drawdown(GOOD) - max_drawdown(wild.returns))
    assert unmet(wild) >= {"drawdown_worse"}


def test_strategy_that_never_traded_lacks_evidence_and_meets_nothing() -> None:
    nothing = TrackRecord(frozenset(), (), (), 0, 252)
    rows = of(nothing)
    assert not any(one.met for one in rows.values())
    lacking = {name for name, one in rows.items() if one.number is None and one.lacks}
    assert rows.keys() - lacking == {"sessions", "sessions_here", "trades"}
    assert interval(nothing, ERROR) is None


def test_what_waiting_meets_says_in_how_many_sessions_and_what_it_does_not_says_nothing() -> None:
    rows = of(replace(SHOWN, returns=GOOD[:100], trades=TRADES[:25], here=5))
    assert (rows["sessions"].left, rows["sessions_here"].left, rows["trades"].left) == (170, 15, 300)
    left = rows["deflated_sharpe"].left
    assert left is None or 0 < left <= LONGEST
    assert of(replace(SHOWN, costs=sum(GOOD)))["costs_times"].left is None
    assert of(replace(SHOWN, returns=tuple(-each for each in GOOD)))["mean_above"].left is None


def test_by_when_is_the_first_session_at_which_the_same_moments_meet_it() -> None:
    weak = replace(SHOWN, returns=tuple(each - 0.001 for each in GOOD))
    row = of(weak)["mean_above"]
    assert not row.met
    assert of(replace(weak, returns=weak.returns * (2 + there(row.left) // len(GOOD))))["mean_above"].met


def test_gain_over_a_champion_is_the_difference_of_both_ratios() -> None:
    half = tuple(each - 0.0005 for each in GOOD)
    found = sharpe_gain(GOOD, half, 252, replace(GAINS, resamples=200))
    assert found.value == pytest.approx(there(sharpe(GOOD, 252)).value - there(sharpe(half, 252)).value)
    assert found.low < found.value < found.high


def test_effect_size_is_a_distance_in_standard_deviations() -> None:
    one, other = (1.0, 3.0) * 20, (0.0, 2.0) * 20
    assert effect_size(one, other) == pytest.approx(1 / (40 / 39) ** 0.5)
    assert effect_size(one) == pytest.approx(2 / (40 / 39) ** 0.5)
    assert effect_size((1.0,) * 19) is None
    assert effect_size((1.0,) * 40) is None


def test_results_contradict_a_promotion_only_if_their_mean_is_clearly_below() -> None:
    based_on = there(interval(SHOWN, ERROR))
    least = there(least_since(based_on, GOOD[:200], ERROR))
    assert least < fmean(GOOD[:200])
    assert least_since(based_on, GOOD[:19], ERROR) is None
    lost = tuple(each - fmean(GOOD) for each in GOOD)
    gone = there(least_since(based_on, lost, ERROR))
    assert gone > fmean(lost)
    # The more there is of both, the closer they have to be.
    assert least < gone < (based_on.low + based_on.high) / 2


def test_rung_asks_of_a_learned_policy_what_it_asks_of_no_other() -> None:
    policy = replace(SHOWN, policy="no evaluation")
    rows = of(policy)
    own = {name for name in rows if name.startswith("policy_")}
    assert own == rows.keys() - of(SHOWN).keys()
    assert unmet(policy) == own, "nobody has its results"
    assert rows["policy_deflated_sharpe"].lacks == "no evaluation"
    replayed = of(replace(policy, replays=(0.0999,) * 59 + (0.1,)))["policy_replay_sessions"]
    assert (replayed.number, replayed.met, replayed.left) == (59, False, 1)
    assert of(replace(policy, replays=(0.0999,) * 60))["policy_replay_sessions"].met
    assert not [name for name in of(policy, Rung.SHADOW) if name.startswith("policy_")]
    assert "policy_replay_sessions" not in of(policy, Rung.PAPER)


def test_chance_stays_below_real_money_and_a_large_edge_gets_there() -> None:
    assert {rung for _, rung in climb(best_by_chance(1), RULES)} <= {Rung.SHADOW, Rung.PAPER}
    rungs = [*climb(with_edge(3, 4.5), RULES)]
    assert [rung for _, rung in rungs] == [Rung.SHADOW, Rung.PAPER, Rung.LIVE_SMALL, Rung.LIVE]
    assert rungs[-1][0] >= RULES.live.sessions  # type: ignore[operator]


@pytest.mark.campaign
def test_of_many_drawn_strategies_few_by_chance_and_most_with_an_edge_reach_live() -> None:
    chance = reached((best_by_chance(seed) for seed in range(10_000, 10_200)), RULES)
    edge = reached((with_edge(seed, 3.0) for seed in range(10_000, 10_100)), RULES)
    assert chance[Rung.LIVE] < 0.05 * 200, chance
    assert edge[Rung.LIVE] >= 0.5 * 100, edge


def test_interval_that_is_looked_at_every_session_seldom_ever_misses_the_true_mean() -> None:
    """An ordinary interval with the same error at each look misses it at some time for several times as many."""
    error, count, many = 0.05, 500, 2_000
    drawn = np.random.default_rng(1).normal(size=(many, count))
    looks = np.arange(60, count + 1)
    means = np.cumsum(drawn, axis=1)[:, 59:] / looks
    widths = np.array([half_width(look, error) for look in looks.tolist()])
    above, ordinary = (means > widths).any(axis=1).mean(), (means > 1.645 / np.sqrt(looks)).any(axis=1).mean()
    assert above <= error
    assert ordinary > 2 * error


def test_interval_is_around_the_mean_and_narrows_with_the_root_of_its_returns() -> None:
    returns = (0.01, -0.01, 0.02, 0.0) * 100
    ends = there(anytime(returns, 0.05))
    assert (ends.low + ends.high) / 2 == pytest.approx(0.005)
    assert half_width(400, 0.05) * sqrt(400) == pytest.approx(half_width(1_600, 0.05) * sqrt(1_600), rel=0.2)
    assert half_width(500, 0.05 / 20) > half_width(500, 0.05)


def test_one_return_has_no_interval() -> None:
    assert anytime((0.01,), 0.05) is None
