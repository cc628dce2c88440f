"""Starts that ended well don't count, those that didn't do for ten minutes, and the file never grows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tradebot.adapters.state.serve_status import MOST_STARTS, forget_start, note_start
from tradebot.adapters.state.state_folder import STARTS

NOON = datetime(2026, 11, 16, 12, 0, 0, 123_456, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def test_each_start_counts_for_ten_minutes(tmp_path: Path) -> None:
    assert [note_start(tmp_path, NOON + number * MINUTE) for number in range(5)] == [1, 2, 3, 4, 5]
    assert note_start(tmp_path, NOON + 10 * MINUTE - SECOND) == MOST_STARTS + 1
    assert note_start(tmp_path, NOON + 30 * MINUTE) == 1


def test_many_starts_keep_a_small_file(tmp_path: Path) -> None:
    assert [note_start(tmp_path, NOON + number * SECOND) for number in range(50)][MOST_STARTS:] == [
        MOST_STARTS + 1
    ] * 45
    assert (tmp_path / STARTS).stat().st_size < 300


def test_a_start_that_ended_well_is_forgotten(tmp_path: Path) -> None:
    for number in range(20):
        at = NOON + number * SECOND
        assert note_start(tmp_path, at) == 1
        forget_start(tmp_path, at)


def test_note_start_counts_starts_when_the_clock_was_set_back(tmp_path: Path) -> None:
    assert [note_start(tmp_path, NOON - number * MINUTE) for number in range(7)][-1] == MOST_STARTS + 1


@pytest.mark.parametrize("text", ["", "{", "[1]", '["yesterday"]', '["2026-11-16T12:00:00"]', "7"])
def test_unreadable_file_of_starts_counts_nothing_and_is_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / STARTS).write_text(text)
    assert note_start(tmp_path, NOON) == 1
    assert note_start(tmp_path, NOON + SECOND) == 2


def test_a_start_that_cannot_be_noted_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        note_start(tmp_path / "none", NOON)
