"""What a backtest leaves beside its books is read as it was written, and a damaged file is named.

The list of trials: code counts under any name, and a list that was edited or cut is noticed.
"""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from tradebot.adapters.state import evidence
from tradebot.adapters.state.evidence import (
    LAST,
    TRIALS,
    Trial,
    append_trials,
    backtested_code,
    load_trial_list,
    read_evidence,
    read_trials,
    trials_of,
    write_evidence,
)
from tradebot.adapters.state.state_folder import EVIDENCE
from tradebot.errors import OperatorError
from tradebot.model.evidence import (
    NO_EVIDENCE,
    BacktestRefusals,
    DatedRate,
    DayPrice,
    Evidence,
    Trials,
    Unrecorded,
    Variant,
    VariantKind,
)

KNOWN = Evidence(
    trials=Trials(12, (0.4, -0.1)),
    variants=(
        Variant(VariantKind.COSTS, "costs x2", 1257, 60, 0.5, -0.4, 0.084, 0.4),
        Variant(VariantKind.REBALANCE_DAY, "day 3", 60, 3, 0.01, 0.0),
    ),
    cash_rates=(DatedRate(date(2020, 1, 2), 0.0155), DatedRate(date(2020, 3, 16), 0.0025)),
    borrowing_spread=0.015,
    benchmark=(DayPrice(date(2020, 1, 2), 323.5, 324.25),),
    unrecorded=Unrecorded("counts", (BacktestRefusals("SLOT_TAKEN", 12),)),
)


@pytest.mark.parametrize("evidence", [KNOWN, NO_EVIDENCE])
def test_evidence_is_read_as_it_was_written(tmp_path: Path, evidence: Evidence) -> None:
    assert read_evidence(tmp_path) == NO_EVIDENCE
    write_evidence(tmp_path, KNOWN)
    write_evidence(tmp_path, evidence)
    assert read_evidence(tmp_path) == evidence
    assert [file.name for file in tmp_path.iterdir()] == [EVIDENCE]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"trials": {"count": "many"}}', '{"other": 1}'])
def test_unreadable_evidence_is_named_with_a_remedy(tmp_path: Path, text: str) -> None:
    (tmp_path / EVIDENCE).write_text(text)
    with pytest.raises(OperatorError, match=r"evidence\.json can't be read") as raised:
        read_evidence(tmp_path)
    assert raised.value.hint == "run the backtest again, or remove the file"


def test_write_evidence_names_a_folder_that_can_not_be_written(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"evidence\.json can't be written: No such file"):
        write_evidence(tmp_path / "gone", KNOWN)


def test_trials_are_settings_of_a_strategy_and_count_once(tmp_path: Path) -> None:
    lines = (
        '{"strategy": "rotation", "digest": "a", "name": "x", "sessions": 9, "sharpe": 0.5}',
        '{"strategy": "rotation", "digest": "b", "name": "y", "sessions": 9, "sharpe": null}',
        '{"strategy": "rotation", "digest": "a", "name": "z", "sessions": 9, "sharpe": 0.7}',
        '{"strategy": "flow", "digest": "c", "name": "w", "sessions": 9, "sharpe": 1.5}',
        '{"strategy": "rotation", "digest": "d", "sharpe": "high"}',
        "{",
        "[]",
    )
    (tmp_path / TRIALS).write_text("\n".join(lines) + "\n")
    folder = tmp_path / "x"
    assert read_trials(folder, {"rotation"}) == Trials(2, (0.7,))
    assert read_trials(folder, {"rotation", "flow"}) == Trials(3, (0.7, 1.5))
    assert read_trials(folder, {"other"}) is None
    assert read_trials(folder / "deeper", {"rotation"}) is None


def test_tested_code_is_listed_by_strategy_with_the_last_run_of_each(tmp_path: Path) -> None:
    lines = (
        '{"strategy": "rotation", "digest": "a", "name": "old", "sharpe": 0.5}',
        '{"strategy": "rotation", "digest": "a", "name": "x", "sharpe": 0.5, "code": "c1"}',
        '{"strategy": "rotation", "digest": "b", "name": "y", "sharpe": null, "code": "c2"}',
        '{"strategy": "rotation", "digest": "c", "name": "z", "sharpe": 0.7, "code": "c1"}',
        "{",
        "[]",
    )
    (tmp_path / "backtests").mkdir()
    (tmp_path / "backtests" / TRIALS).write_text("\n".join(lines) + "\n")
    assert [*backtested_code(tmp_path)["rotation"].items()] == [("c2", "y"), ("c1", "z")]
    assert backtested_code(tmp_path / "backtests") == {}


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
        with pytest.raises(OperatorError, match="edited or truncated") as found:
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
