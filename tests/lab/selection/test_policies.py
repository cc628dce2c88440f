"""The gate for learned policies: what each condition is about, and how often noise and an edge pass."""

from datetime import timedelta
from decimal import Decimal
from functools import cache
from statistics import median
from typing import Any

import numpy as np
import pytest

from benchmarks.policies import CONTROLS, NOISE, SKILL, Control, passed, passes, study_runner
from benchmarks.support.policies import CONFIGURATIONS, SEEDS, SESSIONS, Study, ratio_of, shipped, study
from tests.kit.values import there
from tests.suite import tiers
from tests.views.test_parity import day
from tradebot.lab.performance.chance import best_by_chance
from tradebot.lab.performance.statistics import moments_of_returns, probabilistic_sharpe, sharpe_error, total_return
from tradebot.lab.selection.conditions import RungCondition
from tradebot.lab.selection.policies import (
    AGAINST,
    NO_RESULTS,
    PolicyFigures,
    off_replay,
    policy_conditions,
    sentence,
    some_pass,
)
from tradebot.lab.selection.splits import SessionCut, SplitMethod, splits
from tradebot.model.evidence import PolicyResults, PolicyRun, SessionSpan, Split, TriedReturns
from tradebot.model.parity import DayParity
from tradebot.model.struct_tools import replace

RULES = shipped()
BOUNDS = RULES.live.policy
SPA = {f"policy_spa_{name}" for name in AGAINST}


@cache
def good() -> PolicyResults:
    """Return a policy that passes: one with a Sharpe ratio of about 5."""
    return study(3, Study(5.0))


def rows(
    of: PolicyResults, trials: int | None = None, replays: tuple[float, ...] = (0.0,) * 60
) -> dict[str, RungCondition]:
    measured = PolicyFigures(of, trials or of.trials, RULES.splits)
    return {one.name: one.answer() for one in policy_conditions(measured, BOUNDS, replays)}


def seen_of(of: PolicyResults) -> int:
    return PolicyFigures(of, of.trials, RULES.splits).judging.seen


def unmet(of: PolicyResults, **given: Any) -> set[str]:
    return {name for name, one in rows(of, **given).items() if not one.met}


def each(of: PolicyResults, **changes: Any) -> PolicyResults:
    """Return results whose runs all have some changes; a function gets the run."""
    runs = (replace(run, **{name: change(run) for name, change in changes.items()}) for run in of.runs)
    return replace(of, runs=tuple(runs))


def negative(returns: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(-one for one in returns)


def test_good_policy_meets_every_condition() -> None:
    found = rows(good())
    assert all(one.met for one in found.values()), unmet(good())
    assert found.keys() == {
        *SPA,
        *(f"policy_{name}" for name, _ in BOUNDS if name not in {"left_above", "spa_p", "replay_costs"}),
        *("policy_seen", "policy_doubled", "policy_later"),
    }
    assert (found["policy_sessions"].number, found["policy_seeds"].number) == (SESSIONS, SEEDS)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"trades": lambda run: 199 if run.seed < 3 else 1_000}, {"policy_trades"}),
        ({"doubled": lambda run: negative(run.doubled) if run.seed < 3 else run.doubled}, {"policy_doubled"}),
        ({"later": lambda run: negative(run.later) if run.seed < 3 else run.later}, {"policy_later"}),
        ({"returns": lambda run: negative(run.returns) if run.seed == 4 else run.returns}, {"policy_drawdown"}),
        ({"path": lambda run: 0 if run.seed < 4 else 1, "seed": lambda run: run.seed % 4}, {"policy_seeds"}),
    ],
)
def test_each_condition_fails_for_what_it_is_about(changes: dict[str, Any], names: set[str]) -> None:
    assert unmet(each(good(), **changes)) == names


def test_two_losing_seeds_of_five_are_too_many() -> None:
    two = each(good(), returns=lambda run: negative(run.returns) if run.seed > 2 else run.returns)
    assert unmet(two) == {"policy_seeds_positive", "policy_drawdown"}
    assert rows(two)["policy_seeds_positive"].number == pytest.approx(0.6)


def test_four_of_seven_seeds_are_fewer_than_four_of_five() -> None:
    more = replace(good(), runs=(*good().runs, *(replace(run, seed=run.seed + SEEDS) for run in good().runs[:2])))
    lost = each(more, returns=lambda run: negative(run.returns) if run.seed > 3 else run.returns)
    assert "policy_seeds_positive" in unmet(lost)


def test_too_few_sessions_aren_t_enough_whatever_they_show() -> None:
    few = slice(0, 249)
    cut = each(good(), returns=lambda run: run.returns[few], doubled=lambda run: run.doubled[few])
    cut = replace(
        cut,
        sessions=cut.sessions[few],
        benchmarks={name: returns[few] for name, returns in cut.benchmarks.items()},
        tried=tuple(replace(one, returns=one.returns[few]) for one in cut.tried),
    )
    assert rows(cut)["policy_sessions"].number == 249
    assert "policy_sessions" in unmet(cut)


def test_figures_are_those_of_the_median_seed() -> None:
    measured = PolicyFigures(good(), 20, RULES.splits)
    ratios = [one for one in measured.sharpes if one is not None]
    moments = [found for run in good().runs if (found := moments_of_returns(run.returns)) is not None]
    deflated = [probabilistic_sharpe(one, best_by_chance(20, sharpe_error(one))) for one in moments]
    assert measured.deflated_ratio == pytest.approx(median(one for one in deflated if one is not None))
    assert measured.low == pytest.approx(median(measured.spans[0]))
    assert there(measured.low) < median(ratios)
    assert ratio_of(measured.typical.returns) * 252**0.5 == pytest.approx(median(ratios), rel=2e-3)
    assert measured.middle(lambda run: total_return(run.later)) == median(
        total_return(run.later) for run in good().runs
    )


def test_every_trial_counts_in_the_deflated_ratio_and_in_each_p() -> None:
    few, many = rows(good()), rows(good(), trials=2_000)
    assert there(many["policy_deflated_sharpe"].number) < there(few["policy_deflated_sharpe"].number)
    assert all(there(many[name].number) > there(few[name].number) for name in SPA)


def test_benchmark_that_is_as_good_fails_its_own_comparison_alone() -> None:
    """At equal volatility: a benchmark with the same ratio isn't beaten by taking more risk."""
    half = tuple(0.5 * one for one in max(good().runs, key=lambda run: ratio_of(run.returns)).returns)
    assert unmet(replace(good(), benchmarks={**good().benchmarks, "rule": half})) == {"policy_spa_rule"}


def test_policy_that_never_trades_meets_nothing_that_is_estimated() -> None:
    nothing = (0.0,) * SESSIONS
    still = each(
        good(), returns=lambda _: nothing, doubled=lambda _: nothing, later=lambda _: nothing, trades=lambda _: 0
    )
    still = replace(still, tried=(TriedReturns(still.configuration, nothing),), trials=1)
    found = rows(still)
    lacking = {name for name, one in found.items() if one.lacks == "its returns don't vary"}
    assert lacking == {"policy_deflated_sharpe", "policy_sharpe_low", "policy_spa_flat"}
    assert {"policy_trades", "policy_seeds_positive", "policy_doubled", "policy_later"} <= unmet(still)
    figures = next(PolicyFigures(still, 1, RULES.splits).runs())
    assert (figures.sharpe, figures.low, figures.high) == (None, None, None)


def test_missing_results_meet_nothing_and_say_where_they_belong() -> None:
    found = [one.answer() for one in policy_conditions(NO_RESULTS, BOUNDS)]
    assert not any(one.met for one in found)
    unplayed = "no session on paper was compared with its replay: tradebot parity"
    assert {one.lacks for one in found} == {NO_RESULTS, unplayed}
    assert not [*policy_conditions(NO_RESULTS, RULES.shadow.policy)]


def test_model_that_saw_a_judged_session_or_the_embargo_is_noticed() -> None:
    first, *rest = good().splits
    judged = sum(first.judged[0].first <= one <= first.judged[0].last for one in good().sessions)
    for days, seen in ((0, 0), (1, judged), (200, judged)):
        last = first.trained[0].last + timedelta(days)
        longer = replace(first, trained=(SessionSpan(first.trained[0].first, last),))
        assert seen_of(replace(good(), splits=(longer, *rest))) == seen, days
    assert seen_of(replace(good(), splits=tuple(rest))) == judged, "nothing judged them"


def crossed() -> PolicyResults:
    """Return good results of a cross-validation, whose seeds have eleven paths."""
    calendar, rules = good().sessions, RULES.splits

    def spans(places: Any) -> tuple[SessionSpan, ...]:
        parts = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
        return tuple(SessionSpan(calendar[part[0]], calendar[part[-1]]) for part in parts)

    cut = splits(SessionCut(SplitMethod.CROSS_VALIDATION, rules.groups, rules.judged), SESSIONS, rules.embargo_sessions)
    made_of = tuple(Split(spans(one.inside), spans(one.outside), good().splits[0].model) for one in cut)
    runs = tuple(replace(run, path=path) for run in good().runs for path in range(11))
    return replace(good(), calendar=calendar, splits=made_of, runs=runs)


def test_cross_validation_needs_a_run_of_each_seed_along_each_path() -> None:
    found = crossed()
    assert unmet(found) == set()
    assert PolicyFigures(replace(found, runs=found.runs[1:]), 20, RULES.splits).whole_seeds == SEEDS - 1
    sharp = replace(found, splits=(replace(found.splits[0], trained=(SessionSpan(*found.sessions[:: SESSIONS - 1]),)),))
    assert seen_of(sharp) == SESSIONS


def test_median_of_a_seed_is_over_its_paths_first() -> None:
    runs = [PolicyRun(seed, path, (0.0, 0.1), (), (), 10 * seed + path) for seed in range(3) for path in range(3)]
    found = PolicyFigures(replace(good(), runs=(*runs, PolicyRun(2, 3, (0.0, 0.1), (), (), 1_000))), 20, RULES.splits)
    assert found.by_seed([run.trades for run in found.results.runs]) == [1, 11, 21.5]
    assert found.middle(lambda run: run.trades) == 11


def test_session_is_as_replayed_if_both_differ_by_little_of_what_it_cost() -> None:
    def costing(costs: str | None, *, complete: bool = True) -> DayParity:
        return replace(day(), costs_usd=None if costs is None else Decimal(costs), complete=complete)

    assert off_replay([costing("5"), costing("0"), costing(None), costing("5", complete=False)]) == (0.0,)
    assert off_replay([]) == ()


@pytest.mark.parametrize(("trials", "chance"), [(8, 0.337), (45, 0.901)])
def test_some_of_many_tries_passes_a_test_by_luck(trials: int, chance: float) -> None:
    assert some_pass(trials) == pytest.approx(chance, abs=5e-4)


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ([("ppo", [])], "ppo passes: every condition is met."),
        ([("ppo", []), ("sac", ["a"]), ("td3", [])], "ppo, td3 pass: every condition is met; 1 of 3 don't."),
        ([("ppo", ["a", "b"]), ("sac", ["b"])], "None passes: ppo lacks a, b; sac lacks b."),
    ],
)
def test_sentence_says_who_passes_or_what_each_lacks(lacking: list[tuple[str, list[str]]], said: str) -> None:
    assert sentence(lacking) == said


def test_chosen_noise_fails_and_a_large_edge_passes() -> None:
    assert not passes(study(1, NOISE))
    assert passes(study(3, Study(5.0)))


@pytest.mark.parametrize("name", CONTROLS)
def test_shipped_gate_refuses_what_a_broken_one_lets_through(name: str) -> None:
    control = CONTROLS[name]
    both = ((control.broken(one), passes(one)) for one in (study(number, control.about) for number in range(40)))
    assert (not control.skilled, control.skilled) in both


def test_planted_skill_is_what_it_says() -> None:
    """The true ratio of the skilled configuration is 3 after costs, and noise loses what it pays."""
    skilled = [ratio_of(_middle_one(number, SKILL)) for number in range(12)]
    assert np.mean(skilled) * 252**0.5 == pytest.approx(3.0, abs=3 * 0.71 / 12**0.5)


def _middle_one(number: int, of: Study) -> tuple[float, ...]:
    return study(number, of).tried[CONFIGURATIONS // 2].returns


@pytest.mark.campaign
def test_of_a_thousand_policies_without_skill_few_pass_and_of_those_with_skill_most_do() -> None:
    first = 10_000 * (tiers.seed() or 0)
    noise = passed(study_runner(NOISE), passes, first, 1_000)
    unpaid = passed(study_runner(Study(costs=0.0)), passes, first, 1_000)
    skill = passed(study_runner(SKILL), passes, first, 200)
    assert noise.high < 0.05, noise
    assert unpaid.high < 0.05, unpaid
    assert skill.value > 0.5, skill


@pytest.mark.campaign
@pytest.mark.parametrize("name", tiers.in_turn([*CONTROLS], 2))
def test_broken_gate_fails_the_proof_that_the_shipped_one_passes(name: str) -> None:
    first, control = 10_000 * (tiers.seed() or 0), CONTROLS[name]
    broken = passed(study_runner(control.about), control.broken, first, 90)
    assert control.fails(broken), broken
    shipped_one = passed(study_runner(control.about), passes, first, 40)
    assert not Control(passes, control.about, control.skilled).fails(shipped_one), shipped_one
