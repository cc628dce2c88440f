"""A study in turn asks for the same values in the same order, wherever its process was killed in between."""

import os
import signal
from collections.abc import Callable, Mapping
from itertools import count
from math import log
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from optuna.storages.journal import JournalFileBackend

from tests.suite import tiers
from tradebot.errors import OperatorError
from tradebot.lab.search.space import Space
from tradebot.lab.search.study import SequentialStudy, StudyTrial

MADE = {"space": "one", "agent": "logistic"}
CHANGED = {"space": "its space was another one", "agent": "its agent was another one"}
TRIALS = 13
"""Some more than a sampler that learns draws before it has learned anything."""


def space_of(sampler: str, seed: int = 3) -> Space:
    settings = {"c": {"from": 0.01, "to": 10.0, "log": True}, "size": [1, 2]}
    return Space.model_validate({"settings": settings, "sampler": sampler, "trials": TRIALS, "seed": seed})


def worth(values: Mapping[str, Any]) -> float:
    return float(values["size"]) - abs(log(float(values["c"])))


def played(place: Path, space: Space, worth: Callable[[Mapping[str, Any]], float] = worth) -> list[StudyTrial]:
    study = SequentialStudy.open_study(str(place), "one", space, MADE, CHANGED)
    while (trial := study.take()) is not None:
        values = study.values_of(trial)
        if float(values["c"]) > 9:
            study.tell(trial, None, [], "c is too large")
        else:
            study.keep(trial, worth(values), {"sharpe": worth(values)})
    return study.in_order()


def writes(place: Path, sampler: str) -> tuple[list[StudyTrial], int]:
    """Return what a study that nobody stops tries, and how often it writes."""
    number, real = count(), JournalFileBackend.append_logs

    def counting(self: JournalFileBackend, logs: list[dict[str, Any]]) -> None:
        next(number)
        real(self, logs)

    with patch.object(JournalFileBackend, "append_logs", counting):
        tried = played(place, space_of(sampler))
    return tried, next(number)


def die_in_turn(place: Path, space: Space, at: int) -> None:
    """Play in a process that is killed in the middle of one of its writes."""
    if not (child := os.fork()):
        number, real = count(), JournalFileBackend.append_logs

        def dying(self: JournalFileBackend, logs: list[dict[str, Any]]) -> None:
            if next(number) == at:
                with place.open("ab") as file:
                    file.write(b'{"op_code":')
                os.kill(os.getpid(), signal.SIGKILL)
            real(self, logs)

        try:
            with patch.object(JournalFileBackend, "append_logs", dying):
                played(place, space)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.sampled
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_study_that_was_killed_at_any_write_tries_what_one_that_never_was_tries(tmp_path: Path, sampler: str) -> None:
    spared, many = writes(tmp_path / "spared.journal", sampler)
    assert len(spared) == TRIALS
    # In the middle of making it, of drawing a trial, and of keeping what came of it.
    sample = [2, many // 2, many // 2 + 1, many - 2]
    for at in tiers.drawn(f"killed {sampler}", sample, range(many), 20):
        place = tmp_path / f"{at}.journal"
        die_in_turn(place, space_of(sampler), at)
        die_in_turn(place, space_of(sampler), 0)
        assert played(place, space_of(sampler)) == spared, at


def test_seed_chooses_the_values_and_what_was_learned_the_later_ones(tmp_path: Path) -> None:
    one, other, drawn = (
        [each.values for each in played(tmp_path / f"{sampler}{seed}", space_of(sampler, seed))]
        for sampler, seed in (("tpe", 3), ("tpe", 4), ("random", 3))
    )
    assert one != other
    assert one != drawn
    assert not {each["c"] for each in one} & {each["c"] for each in other}
    disliked = [each.values for each in played(tmp_path / "disliked", space_of("tpe"), lambda values: -worth(values))]
    begun = [same for same, (liked, not_liked) in enumerate(zip(one, disliked, strict=True)) if liked == not_liked]
    assert begun == [*range(10)], "ten are drawn, and then what they were worth counts"


def test_trial_that_was_left_out_says_why_and_keeps_its_place(tmp_path: Path) -> None:
    place = tmp_path / "study"
    found = played(place, Space.model_validate({"settings": {"c": [1, 10, 2], "size": [1]}, "sampler": "grid"}))
    assert [(one.place, one.values["c"], one.why) for one in found] == [
        (1, 1, ""), (2, 10, "c is too large"), (3, 2, "")
    ]  # fmt: skip
    assert (found[0].figures, found[1].figures) == ({"sharpe": worth(found[0].values)}, {})


@pytest.mark.parametrize("part", MADE)
def test_study_of_something_else_is_refused_by_what_differs(tmp_path: Path, part: str) -> None:
    place, space = str(tmp_path / "study"), space_of("random")
    SequentialStudy.open_study(place, "one", space, MADE, CHANGED)
    with pytest.raises(OperatorError, match=CHANGED[part]) as told:
        SequentialStudy.open_study(place, "one", space, {**MADE, part: "two"}, CHANGED)
    assert "--study with another name" in told.value.hint


@pytest.mark.parametrize("content", [b"nonsense\n{}\n", b"\xff\xfe\n\n", b'{"op_code": 1\n{"op_code": 2}\n'])
def test_storage_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "study"
    place.write_bytes(content)
    with pytest.raises(OperatorError, match=f"the storage {place} is damaged"):
        SequentialStudy.open_study(str(place), "one", space_of("random"), MADE, CHANGED)


def test_folder_instead_of_a_storage_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=f"the storage {tmp_path} can't be reached: .*Is a directory"):
        SequentialStudy.open_study(str(tmp_path), "one", space_of("random"), MADE, CHANGED)
