"""`tradebot replay` in the folder of a backtest: played again, each pass is decided as the run kept it."""

import json
from pathlib import Path

import pytest

from tests.kit.backtest.playing import rotation
from tests.kit.bot.ending import shows
from tests.kit.bot.folder import Said, typed
from tradebot.gates import entry
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason


class Rotated:
    """A finished backtest of a rotation, and the files that it was made from."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.days, self.run = folder / "days.csv", folder / "state" / "backtests" / "turns"
        self._capture = capture

    def replays(self, *words: str) -> Said:
        return typed(self._capture, "replay", *words, "--state-dir", str(self.run))


@pytest.fixture
def rotated(tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]) -> Rotated:
    folder = tmp_path_factory.getbasetemp() / "rotated"
    if not folder.exists():
        folder.mkdir()
        words = ("--name", "turns", "--state-dir", str(folder / "state"))
        assert typed(capsys, "backtest", *rotation(folder), *words).code == 0
    return Rotated(folder, capsys)


def test_each_pass_is_decided_as_the_run_kept_it(rotated: Rotated) -> None:
    found = json.loads(rotated.replays("--json").out)["data"]
    assert found["equal"] == found["passes"] > 5
    assert found["decisions"] > 50
    assert (found["other_code"], found["sessions"]) == ([], ["2025-02-26", "2025-03-03"])


def test_run_with_every_pass_is_played_with_every_pass_again(
    rotated: Rotated, capsys: pytest.CaptureFixture[str]
) -> None:
    place = rotated.days.parent
    words = ("--every-pass", "--name", "every", "--state-dir", str(place / "state"))
    assert typed(capsys, "backtest", *rotation(place), *words).code == 0
    found = typed(capsys, "replay", "--state-dir", str(rotated.run.with_name("every")), "--json").data
    assert found["equal"] == found["passes"] > json.loads(rotated.replays("--json").out)["data"]["passes"]


def test_gate_that_decides_otherwise_now_is_shown_for_the_session_that_is_asked_for(
    rotated: Rotated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(gate: Gate, _passed: bool, reason: Reason, *_numbers: object) -> Decision:
        return Decision(gate, Verdict.FAIL, reason)

    monkeypatch.setattr(entry, "answer", refused)
    shows(rotated.replays("2025-03-03"), 10, "verdict was PASS, is now FAIL", "of 2025-03-03")


@pytest.mark.parametrize(
    ("file", "told"), [("days.csv", "days.csv has changed since"), ("tradebot.yaml", "changed since")]
)
def test_run_whose_inputs_have_changed_is_refused_by_name(rotated: Rotated, file: str, told: str) -> None:
    path = rotated.days if file == "days.csv" else rotated.run / file
    whole = path.read_text()
    try:
        path.write_text(whole.replace("100.50", "100.51", 1) if file == "days.csv" else whole.replace("1.4", "1.3", 1))
        assert path.read_text() != whole
        said = rotated.replays()
    finally:
        path.write_text(whole)
    assert said.code == 2
    assert told in said.err
    assert "turns" in said.err


def test_run_whose_file_is_gone_is_refused_by_name(rotated: Rotated) -> None:
    aside = rotated.days.rename(rotated.days.with_suffix(".aside"))
    said = rotated.replays()
    aside.rename(rotated.days)
    assert (said.code, "days.csv is missing" in said.err) == (2, True)
