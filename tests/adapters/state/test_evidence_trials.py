"""The list of trials: code counts under any name, and a list that was edited or cut is noticed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tradebot.adapters.state import evidence
from tradebot.adapters.state.evidence import LAST, TRIALS, Trial, append_trials, load_trial_list, trials_of
from tradebot.errors import OperatorError

IDEAS = [Trial(f"idea{n}", f"d{n}", f"run{n}", 60, n / 2, "c0de") for n in range(1, 6)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for one in IDEAS:
        append_trials(tmp_path, [one])
    return tmp_path


def test_settings_of_one_code_under_five_names_are_five_trials(folder: Path) -> None:
    append_trials(folder, [Trial("other", "d9", "run9", 60, 1.0, "else"), Trial("old", "d8", "run8", 60, 1.0)])
    listed = load_trial_list(folder) or ()
    assert trials_of(listed, {"idea1"}) == IDEAS
    assert [one.digest for one in trials_of(listed, {"old"})] == ["d8"], "code that isn't known is nobody's"
    assert trials_of(listed, {"new"}, {"c0de"}) == IDEAS, "its code was tried before it had this name"


def test_same_trial_is_added_once_and_a_list_without_sums_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / TRIALS).write_text('{"strategy": "idea1", "digest": "d0"}\nno line\n')
    append_trials(tmp_path, IDEAS[:2])
    append_trials(tmp_path, IDEAS[1:3])
    assert load_trial_list(tmp_path) == [Trial("idea1", "d0"), *IDEAS[:3]]


def edited(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def made(folder: Path) -> None:
        file = folder / TRIALS
        file.write_text("".join(change(file.read_text().splitlines(keepends=True))))

    return made


@pytest.mark.parametrize(
    "change",
    [
        edited(lambda lines: lines[1:]),
        edited(lambda lines: lines[:-1]),
        edited(lambda lines: [*lines[:2], *lines[3:]]),
        edited(lambda lines: [lines[0].replace("0.5", "0.1"), *lines[1:]]),
        edited(lambda lines: [*lines, '{"strategy": "idea6", "digest": "d6"}\n']),
        edited(lambda lines: []),
        lambda folder: (folder / TRIALS).unlink(),
        lambda folder: (folder / LAST).unlink(),
    ],
)
def test_list_that_was_edited_or_cut_is_noticed(change: Callable[[Path], None], folder: Path) -> None:
    change(folder)
    for use in (load_trial_list, lambda place: append_trials(place, IDEAS)):
        with pytest.raises(OperatorError, match="edited or cut") as found:
            use(folder)
        assert f"rm {folder / TRIALS} {folder / LAST}" in str(found.value.hint)


def test_death_between_the_line_and_its_sum_is_no_edit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(evidence, "write_durably", dies)
        with pytest.raises(KeyboardInterrupt):
            append_trials(folder, [Trial("idea6", "d6")])
    assert len(load_trial_list(folder) or ()) == 6
    append_trials(folder, [Trial("idea7", "d7")])
    assert len(load_trial_list(folder) or ()) == 7
