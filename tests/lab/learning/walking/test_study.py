"""What a configuration is worth in a study: its median seed where it was chosen, whatever it earned later."""

from datetime import date, timedelta
from statistics import fmean, median, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.errors import ConfigurationError, OperatorError
from tradebot.lab.learning.training.job import TrainingJob
from tradebot.lab.learning.walking.splits import WalkSplit
from tradebot.lab.learning.walking.study import VariedSettings, choosing, figures_of, judged_in
from tradebot.lab.search.space import Space
from tradebot.model.evidence import FORMAT, PolicyResults, PolicyRun, Returns, SessionSpan
from tradebot.model.struct_tools import replace

PER_YEAR = 252
SETTINGS = {"settings": {"n_steps": [512, 1024], "gamma": {"from": 0.9, "to": 0.99}}}


def results(*seeds: Returns) -> PolicyResults:
    days = tuple(date(2026, 1, 1) + timedelta(days=place) for place in range(len(seeds[0])))
    runs = tuple(PolicyRun(seed, 0, each, each, each, 10 * seed) for seed, each in enumerate(seeds, 1))
    return PolicyResults(FORMAT, "policy", "c", "1", {}, {}, PER_YEAR, days, (), days, runs, {}, (), 1)


def sharpe(returns: Returns) -> float:
    return float(fmean(returns) / stdev(returns) * PER_YEAR**0.5)


def test_worth_is_the_median_seed_of_the_first_half_without_the_embargo() -> None:
    seeds = [(0.01, 0.02, 0.5, -0.01, 0.03), (0.02, -0.01, -0.5, 0.02, 0.01), (-0.01, -0.02, 0.5, 0.01, 0.0)]
    long = [(*one[:2], 0.9, *one[:2], 0.7, *one[3:], *one[3:], 0.001, -0.002) for one in seeds]
    found = figures_of(results(*long), 1)
    assert found.sharpe == pytest.approx(median(sharpe(one[:5]) for one in long))
    assert found.held_out == pytest.approx(median(sharpe(one[6:]) for one in long))
    assert (found.positive, found.seeds, found.trades) == (3, 3, 20)
    # With one session more between both, the large one isn't among those that choose.
    assert figures_of(results(*long), 3).sharpe == pytest.approx(median(sharpe(one[:3]) for one in long))


def test_seed_that_never_traded_counts_as_nothing_earned() -> None:
    still, good = (0.0,) * 8, (0.01, 0.02, 0.01, 0.02, 0.01, 0.02, 0.01, 0.02)
    found = figures_of(results(still, still, good), 1)
    assert (found.sharpe, found.held_out, found.positive) == (0.0, 0.0, 1)
    assert figures_of(results(still, good), 1).sharpe == pytest.approx(sharpe(good[:3]) / 2)


@given(st.lists(st.floats(-0.1, 0.1), min_size=8, max_size=30), st.floats(-0.1, 0.1))
def test_what_was_held_out_chooses_nothing(returns: list[float], instead: float) -> None:
    end = len(returns) // 2 - 1
    changed = [one if place < end else instead for place, one in enumerate(returns)]
    before, after = (figures_of(results(tuple(each)), 1) for each in (returns, changed))
    assert (before.sharpe, before.positive) == (after.sharpe, after.positive)


@pytest.mark.parametrize(("sessions", "embargo", "fewest"), [(5, 1, 6), (7, 2, 8)])
def test_too_few_sessions_are_refused_with_how_many_it_takes(sessions: int, embargo: int, fewest: int) -> None:
    with pytest.raises(OperatorError, match=f"only {sessions} judged sessions, which is too few") as told:
        choosing(sessions, embargo)
    assert f"{fewest} judged sessions" in told.value.hint
    assert choosing(fewest, embargo) == 2


def test_sessions_that_judge_are_those_of_the_splits() -> None:
    days = [date(2026, 1, 1) + timedelta(days=place) for place in range(10)]
    splits = [
        WalkSplit((SessionSpan(days[0], days[1]),), (SessionSpan(days[3], days[4]),)),
        WalkSplit((), (SessionSpan(days[7], days[8]),)),
    ]
    assert judged_in(splits, days) == [days[3], days[4], days[7], days[8]]


def test_steps_are_those_that_a_walk_with_the_same_settings_would_have() -> None:
    of = VariedSettings(
        TrainingJob("ppo", 1, 20_480, {"clip_range": 0.1}), 20_000, Space.model_validate(SETTINGS), "space.yaml"
    )
    assert of.with_values({"n_steps": 512, "gamma": 0.912345}) == TrainingJob(
        "ppo", 1, 20_480, {"clip_range": 0.1, "n_steps": 512, "gamma": 0.9123}
    )
    assert of.with_values({"n_steps": 5_000}).steps == 20_000
    with pytest.raises(ConfigurationError, match=r"gamma of ppo can't be 2 \(space.yaml\)"):
        of.with_values({"gamma": 2})


def test_setting_that_is_set_too_is_refused_by_name() -> None:
    of = VariedSettings(
        TrainingJob("ppo", 1, 20_480, {"gamma": 0.9}), 20_000, Space.model_validate(SETTINGS), "space.yaml"
    )
    with pytest.raises(ConfigurationError, match=r"gamma is both varied by space.yaml and set by an option"):
        of.require_settings()
    with pytest.raises(ConfigurationError, match="sac has no setting n_steps"):
        replace(of, job=TrainingJob("sac", 1, 20_000)).require_settings()
