"""Sessions to choose in and to judge in never meet, and are apart by the longest time that a position was held."""

import numpy as np
import pytest

from tradebot.views.selection.splits import By, Cut, learned, splits


@pytest.mark.parametrize("cut", [Cut(), Cut(By.CROSS_VALIDATION, 6, 2)])
@pytest.mark.parametrize("gap", [1, 7])
def test_no_judged_session_is_near_one_that_a_choice_is_made_in(cut: Cut, gap: int) -> None:
    for split in splits(cut, 300, gap):
        assert np.abs(split.inside[:, None] - split.outside).min() > gap


def test_walking_forward_judges_each_later_session_once_by_earlier_ones() -> None:
    found = splits(Cut(parts=4), 301, 5)
    assert np.concatenate([split.outside for split in found]).tolist() == list(range(learned(301), 301))
    assert all(split.inside.max() < split.outside.min() for split in found)


def test_cross_validation_judges_each_session_as_often() -> None:
    found = splits(Cut(By.CROSS_VALIDATION, 6, 2), 300, 3)
    counts = np.bincount(np.concatenate([split.outside for split in found]))
    assert (len(found), set(counts.tolist())) == (15, {5})


def test_too_few_sessions_have_no_splits() -> None:
    assert splits(Cut(), 60, 15) == ()
    assert splits(Cut(), 38, 1) == ()
    assert splits(Cut(By.CROSS_VALIDATION, 6, 3), 60, 12) == ()
