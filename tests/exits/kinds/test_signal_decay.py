"""A signal has faded once its score dropped by several times its noise and stayed there; jitter closes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import NOW, held
from tradebot.exits.kind import Input, Measure, Moment
from tradebot.exits.kinds.signal_decay import SignalDecay
from tradebot.exits.lists import parse
from tradebot.model.position import Kept, Outlook
from tradebot.model.values import replace

RULE = SignalDecay(noise_multiple=2, recovery_multiple=1, confirm_passes=2, min_hold_s=600)
"""With noise of 0.1, an entry score of 0.6 has faded at 0.4 and recovered above 0.5."""


def measured(*scores: float, entry: float = 0.6, noise: float = 0.1, age_s: float = 600) -> Measure:
    quantity = "10" if entry > 0 else "-10"
    of = replace(held(quantity, age_s=age_s), kept=Kept(entry_score=entry), outlook=Outlook(scores, noise))
    answer = RULE.judge(of, Moment(NOW))
    assert isinstance(answer, Measure)
    return answer


@pytest.mark.parametrize(
    ("scores", "closes"),
    [
        ((0.38,), False),  # not confirmed yet
        ((0.38, 0.38), True),
        ((0.38, 0.45), True),  # hovering between the two limits confirms it
        ((0.38, 0.55, 0.38), False),  # recovered in between: counted again
        ((0.42, 0.42, 0.42), False),  # never faded
        ((0.38, 0.38, 0.55), False),  # has recovered
        ((-0.3, -0.3), True),
    ],
)
def test_it_acts_once_the_drop_is_confirmed(scores: tuple[float, ...], closes: bool) -> None:
    assert measured(*scores).closes is closes
    assert measured(*(-score for score in scores), entry=-0.6).closes is closes


@pytest.mark.parametrize(("scores", "closes"), [((0.5, 0.75), True), ((0.5, 0.76), False), ((0.51, 0.51), False)])
def test_it_acts_at_its_limits_exactly(scores: tuple[float, ...], closes: bool) -> None:
    """An entry score of 1 and noise of 0.25, which a float holds exactly: faded at 0.5, recovered above 0.75."""
    assert measured(*scores, entry=1.0, noise=0.25).closes is closes


def test_it_never_acts_before_the_least_time() -> None:
    assert not measured(0.1, 0.1, age_s=599).closes
    assert measured(0.1, 0.1, age_s=600).closes


def test_its_numbers_are_the_drop_in_units_of_noise_and_the_share_of_the_score_that_is_left() -> None:
    measure = measured(0.39, 0.39)
    assert measure.observed == pytest.approx(2.1)
    assert measure.limit == 2
    assert measure.shown == pytest.approx(0.65)


@given(st.lists(st.floats(-0.099, 0.099), min_size=1, max_size=30), st.sampled_from([0.6, -0.6]))
def test_scores_within_the_noise_close_nothing(jitter: list[float], entry: float) -> None:
    assert not measured(*(entry + each for each in jitter), entry=entry, age_s=100_000).closes


def test_a_score_of_zero_or_noise_of_zero_measures_nothing() -> None:
    of = held("10")
    for kept, noise, what in (
        (Kept(entry_score=0.0), 0.1, Input.ENTRY_SCORE),
        (Kept(entry_score=0.5), 0.0, Input.NOISE),
    ):
        known = replace(of, kept=kept, outlook=Outlook((0.1,), noise))
        assert RULE.judge(known, Moment(NOW)) == what


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recovery_multiple": 2}, "must be below noise_multiple"),
        ({"min_hold_s": 14_400}, "no position gets that old, so it could never act"),
    ],
)
def test_settings_that_could_never_act_do_not_load(changes: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse([{"signal_decay": {**RULE.model_dump(), **changes}}, {"time_exit": {"after_s": 14_400}}])
