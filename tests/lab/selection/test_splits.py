"""Sessions to choose in and to judge in never meet, and are apart by the longest time that a position was held."""

from datetime import date, timedelta
from itertools import pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.support.policies import shipped
from tradebot.lab.selection.splits import (
    SessionCut,
    SplitMethod,
    of_policies,
    paths,
    rolling,
    splits,
    training_sessions,
)
from tradebot.model.promotion import SplitRules


@pytest.mark.parametrize("cut", [SessionCut(), SessionCut(SplitMethod.CROSS_VALIDATION, 6, 2)])
@pytest.mark.parametrize("gap", [1, 7])
def test_no_judged_session_is_near_one_that_a_choice_is_made_in(cut: SessionCut, gap: int) -> None:
    for split in splits(cut, 300, gap):
        assert np.abs(split.inside[:, None] - split.outside).min() > gap


def test_walking_forward_judges_each_later_session_once_by_earlier_ones() -> None:
    found = splits(SessionCut(parts=4), 301, 5)
    assert np.concatenate([split.outside for split in found]).tolist() == list(range(training_sessions(301), 301))
    assert all(split.inside.max() < split.outside.min() for split in found)


def test_cross_validation_judges_each_session_as_often() -> None:
    found = splits(SessionCut(SplitMethod.CROSS_VALIDATION, 6, 2), 300, 3)
    counts = np.bincount(np.concatenate([split.outside for split in found]))
    assert (len(found), set(counts.tolist())) == (15, {5})


def test_too_few_sessions_have_no_splits() -> None:
    assert splits(SessionCut(), 60, 15) == ()
    assert splits(SessionCut(), 38, 1) == ()
    assert splits(SessionCut(SplitMethod.CROSS_VALIDATION, 6, 3), 60, 12) == ()


RULES = shipped().splits
FEWEST_IN_A_MONTH = 20
"""Weekdays: a longer embargo may leave nothing of a month to train on."""


def weekdays(first: date, count: int) -> list[date]:
    return [day for day in (first + timedelta(number) for number in range(count)) if day.weekday() < 5]


@st.composite
def rules(draw: st.DrawFn) -> SplitRules:
    test = draw(st.integers(1, 3))
    groups = draw(st.integers(3, 6))
    return SplitRules(
        train_months=draw(st.integers(1, 14)),
        test_months=test,
        step_months=draw(st.integers(test, 4)),
        embargo_sessions=draw(st.integers(1, 30)),
        groups=groups,
        judged=draw(st.integers(1, groups - 1)),
    )


@given(rules(), st.dates(date(2020, 1, 1), date(2024, 1, 1)), st.data())
def test_no_judged_session_nor_its_embargo_is_ever_trained_on(of: SplitRules, first: date, data: st.DataObject) -> None:
    days = weekdays(first, data.draw(st.integers(0, 900)))
    left_out = data.draw(st.sets(st.integers(0, 500), max_size=60))
    calendar = [day for place, day in enumerate(days) if place not in left_out]
    for split in of_policies(of, calendar):
        near = split.outside[:, None] + np.arange(-of.embargo_sessions, of.embargo_sessions + 1)
        assert not np.isin(split.inside, near).any()


@given(rules(), st.dates(date(2020, 1, 1), date(2024, 1, 1)))
def test_walking_forward_trains_on_the_months_before_and_judges_each_session_once(of: SplitRules, first: date) -> None:
    calendar = weekdays(first, 800)
    found = [*rolling(of, calendar)]
    judged = np.concatenate([split.outside for split in found]) if found else np.array([])
    assert len(set(judged.tolist())) == len(judged)
    for split in found:
        months = {12 * calendar[place].year + calendar[place].month for place in split.inside}
        begin = 12 * calendar[split.outside[0]].year + calendar[split.outside[0]].month
        assert split.inside.max() < split.outside.min()
        assert months <= set(range(begin - of.train_months, begin))
    if of.step_months == of.test_months and of.embargo_sessions < FEWEST_IN_A_MONTH:
        assert all(here.outside[-1] + 1 == there.outside[0] for here, there in pairwise(found))


def test_shipped_splits_train_a_year_judge_a_month_and_leave_a_session_out() -> None:
    calendar = weekdays(date(2023, 1, 2), 3 * 365)
    found = [*rolling(RULES, calendar)]
    assert len(found) == 24
    first = found[0]
    assert [calendar[place] for place in (first.inside[0], first.inside[-1])] == [date(2023, 1, 2), date(2023, 12, 28)]
    assert [calendar[place] for place in (first.outside[0], first.outside[-1])] == [date(2024, 1, 1), date(2024, 1, 31)]
    assert len([*of_policies(RULES, calendar)]) == 24 + 66
    assert len(paths(SessionCut(SplitMethod.CROSS_VALIDATION, RULES.groups, RULES.judged))) == 11


@pytest.mark.parametrize(("groups", "judged"), [(12, 2), (6, 3), (5, 1), (4, 3)])
def test_each_path_judges_each_group_once_and_all_use_each_split_as_it_judges(groups: int, judged: int) -> None:
    found, calendar = paths(SessionCut(SplitMethod.CROSS_VALIDATION, groups, judged)), 40 * groups
    cut = splits(SessionCut(SplitMethod.CROSS_VALIDATION, groups, judged), calendar, 1)
    assert len(found) == comb(groups - 1, judged - 1)
    for path in found:
        assert all(40 * group in cut[place].outside for group, place in enumerate(path))
    assert set(np.bincount([place for path in found for place in path], minlength=len(cut)).tolist()) == {judged}
