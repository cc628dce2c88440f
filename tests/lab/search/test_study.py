"""A study that processes share: each trial is played once, and a dead worker's trial again, by somebody else.

A study in turn asks for the same values in the same order, wherever its process was killed in between.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from itertools import count
from math import log
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from tests.kit.values import there
from tests.suite import tiers
from tradebot.errors import OperatorError
from tradebot.lab.search import study as studies
from tradebot.lab.search.space import Space, TrialCounts
from tradebot.lab.search.study import Result, SequentialStudy, Study, StudyTrial, open_storage, worker_of


def space_of(sampler: str = "random", trials: int = 4, **more: object) -> Space:
    fields = {"settings": {"a": {"from": 1, "to": 500}}, "sampler": sampler, "trials": trials, "seed": 3, **more}
    return Space.model_validate(fields)


def result(number: int) -> Result:
    return Result((0.01, -0.005, number / 1000), 40, 3, 0.02, 0.01, 1.5, f"digest {number}")


def made(place: Path, space: Space) -> Study:
    study = Study(str(place), "one", space, new=True)
    study.begin({"versions": {"tradebot": "1"}})
    return study


@pytest.mark.parametrize(
    ("sampler", "place"), [("random", "study.journal"), ("tpe", "study.journal"), ("random", "study.db")]
)
def test_workers_share_trials_and_each_is_played_once(tmp_path: Path, sampler: str, place: str) -> None:
    space = space_of(sampler)
    first = made(tmp_path / place, space)
    both, values = [first, Study(str(tmp_path / place), "one", space)], []
    while any(trials := [study.ask() for study in both]):
        for study, trial in zip(both, trials, strict=True):
            if trial is not None:
                values.append(study.values_of(trial))
                study.tell(trial, result(trial.number), [1.0])
    assert len(values) == 4
    assert [one.values for one in first.played_trials()] == values
    assert first.played_trials()[2].returns == (0.01, -0.005, 0.002)
    assert first.counts() == TrialCounts(4, 0, 0, 0, 0)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_trial_of_a_dead_worker_is_put_back_once_and_counts_once(tmp_path: Path, sampler: str) -> None:
    study = made(tmp_path / "study.journal", space_of(sampler, 3))
    lost = there(study.ask())
    with patch.object(studies, "_has_ended", lambda worker: worker == worker_of(os.getpid())):
        assert study.put_back() == 1
        assert study.put_back() == 0
    seen = []
    while (trial := study.ask()) is not None:
        seen.append(study.values_of(trial))
        study.tell(trial, result(trial.number), [1.0])
    assert study.values_of(lost) in seen
    assert (len(seen), study.counts().played, len(study.played_trials())) == (3, 3, 3)
    # Whoever was only thought to be dead changes nothing any more.
    study.tell(lost, result(9), [9.0])
    assert len(study.played_trials()) == 3


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_last_trial_is_played_after_it_was_put_back(tmp_path: Path, sampler: str) -> None:
    study = made(tmp_path / "study.journal", space_of(sampler, 2))
    first, last = study.ask(), study.ask()
    assert first is not None
    assert last is not None
    study.tell(first, result(1), [1.0])
    assert study.put_back(worker_of(os.getpid()), died=False) == 1
    assert study.values_of(there(study.ask())) == study.values_of(last)
    assert study.ask() is None


def test_trial_that_was_ended_but_not_put_back_is_put_back_later(tmp_path: Path) -> None:
    study = made(tmp_path / "study.journal", space_of(trials=2))
    lost = there(study.ask())
    lost.set_user_attr(studies.SPARE, True)
    study._study.tell(lost, state=TrialState.FAIL)
    assert study.put_back() == 0, "whoever ended it may be about to put it back"
    with patch.object(studies, "UNNAMED_S", -1.0):
        assert study.put_back() == 1
    assert study.counts().left == 2


def test_trial_that_kills_each_worker_is_given_up(tmp_path: Path) -> None:
    study = made(tmp_path / "study.journal", space_of(trials=2))
    deaths = 0
    with patch.object(studies, "_has_ended", lambda worker: worker == worker_of(os.getpid())):
        while (trial := study.ask()) is not None:
            if study.values_of(trial) == next(iter(space_of(trials=2).grid())):
                deaths += 1
                study.put_back()
            else:
                study.tell(trial, result(trial.number), [1.0])
    assert deaths == studies.MOST_DEATHS
    assert study.counts() == TrialCounts(1, 0, 0, 0, 1)
    assert study.reasons() == {"its worker died 3 times": 1}


def test_silent_worker_of_another_machine_has_died_after_a_while(tmp_path: Path) -> None:
    study = made(tmp_path / "study.journal", space_of())
    trial = there(study.ask())
    trial.set_user_attr(studies.WORKER, ["elsewhere", "", 7])
    assert study.put_back() == 0
    trial.set_user_attr(studies.BEAT, time.time() - 2 * studies.LOST_S)
    assert study.put_back() == 1


def test_process_that_has_ended_is_known_to_have(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert studies._has_ended(worker_of(ended.pid))
    assert not studies._has_ended(worker_of(os.getpid()))
    assert not studies._has_ended(["elsewhere", "", ended.pid])
    assert not studies._has_ended([])


def test_trial_without_its_objectives_is_counted_and_not_judged(tmp_path: Path) -> None:
    study = made(tmp_path / "study.journal", space_of(trials=3, objectives=["sharpe", "calmar"]))
    for why, values in (("", [1.0, None]), ("fewer than 30 closed trades", [1.0, 2.0]), ("", [1.0, 2.0])):
        trial = there(study.ask())
        study.tell(trial, result(trial.number), values, why)
    assert study.counts() == TrialCounts(3, 0, 0, 2, 0)
    assert (len(study.played_trials()), len(study.results())) == (1, 3)


def test_equal_settings_are_one_trial(tmp_path: Path) -> None:
    study = made(tmp_path / "study.journal", space_of(trials=2))
    for _ in range(2):
        study.tell(there(study.ask()), result(5), [1.0])
    assert len(study.results()) == 1


def test_half_a_line_of_a_killed_writer_is_removed(tmp_path: Path) -> None:
    place = tmp_path / "study.journal"
    study = made(place, space_of())
    with place.open("ab") as file:
        file.write(b'{"op_code": 4, "stu')
    study.tell(there(study.ask()), result(1), [1.0])
    assert Study(str(place), "one", space_of()).counts().played == 1


def test_study_whose_maker_died_is_made_anew_and_a_whole_one_is_not(tmp_path: Path) -> None:
    place = str(tmp_path / "study.journal")
    Study(place, "one", space_of(), new=True)
    Study(place, "one", space_of(), new=True).begin({})
    with pytest.raises(OperatorError, match="there is a study one already") as raised:
        Study(place, "one", space_of(), new=True)
    assert "--resume" in raised.value.hint


def test_storage_that_vanishes_or_is_replaced_is_a_sentence(tmp_path: Path) -> None:
    place = tmp_path / "study.journal"
    study = made(place, space_of())
    place.unlink()
    with pytest.raises(OperatorError, match="can't be reached") as raised:
        study.ask()
    assert "--resume" in raised.value.hint
    made(place, space_of())
    with pytest.raises(OperatorError, match="another file has taken its place"):
        study.ask()


def test_storage_that_is_not_there_damaged_or_out_of_reach_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="there is no study yet"):
        Study(str(tmp_path / "nothing.journal"), "one", space_of())
    damaged = tmp_path / "damaged.journal"
    damaged.write_text("nonsense\nand more of it\n")
    with pytest.raises(OperatorError, match="is damaged"):
        Study(str(damaged), "one", space_of())
    with pytest.raises(OperatorError, match="can't be reached"):
        Study(str(tmp_path / "no folder" / "study.db"), "one", space_of(), new=True)
    open_storage(str(tmp_path / "empty.journal"), new=True)
    with pytest.raises(OperatorError, match="has no study one"):
        Study(str(tmp_path / "empty.journal"), "one", space_of())


def test_password_in_the_address_of_a_storage_is_not_repeated() -> None:
    with pytest.raises(OperatorError) as raised:
        Study("sqlite:////nowhere/at-all/my-word.db", "one", space_of(), new=True)
    assert "my-word" not in f"{raised.value.message} {raised.value.hint}"


MADE = {"space": "one", "agent": "logistic"}
CHANGED = {"space": "its space was another one", "agent": "its agent was another one"}
TRIALS = 13
"""Some more than a sampler that learns draws before it has learned anything."""


def two_dimensions(sampler: str, seed: int = 3) -> Space:
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
        tried = played(place, two_dimensions(sampler))
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
        die_in_turn(place, two_dimensions(sampler), at)
        die_in_turn(place, two_dimensions(sampler), 0)
        assert played(place, two_dimensions(sampler)) == spared, at


def test_seed_chooses_the_values_and_what_was_learned_the_later_ones(tmp_path: Path) -> None:
    one, other, drawn = (
        [each.values for each in played(tmp_path / f"{sampler}{seed}", two_dimensions(sampler, seed))]
        for sampler, seed in (("tpe", 3), ("tpe", 4), ("random", 3))
    )
    assert one != other
    assert one != drawn
    assert not {each["c"] for each in one} & {each["c"] for each in other}
    disliked = [
        each.values for each in played(tmp_path / "disliked", two_dimensions("tpe"), lambda values: -worth(values))
    ]
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
    place, space = str(tmp_path / "study"), two_dimensions("random")
    SequentialStudy.open_study(place, "one", space, MADE, CHANGED)
    with pytest.raises(OperatorError, match=CHANGED[part]) as told:
        SequentialStudy.open_study(place, "one", space, {**MADE, part: "two"}, CHANGED)
    assert "--study with another name" in told.value.hint


@pytest.mark.parametrize("content", [b"nonsense\n{}\n", b"\xff\xfe\n\n", b'{"op_code": 1\n{"op_code": 2}\n'])
def test_storage_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "study"
    place.write_bytes(content)
    with pytest.raises(OperatorError, match=f"the storage {place} is damaged"):
        SequentialStudy.open_study(str(place), "one", two_dimensions("random"), MADE, CHANGED)


def test_folder_instead_of_a_storage_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=f"the storage {tmp_path} can't be reached: .*Is a directory"):
        SequentialStudy.open_study(str(tmp_path), "one", two_dimensions("random"), MADE, CHANGED)
