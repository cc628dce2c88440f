"""`tradebot replay`: what a bot did is decided again, and a record that was changed is refused by name."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from commands.shared import pass_recording
from tests.kit.backtest.playing import rotation
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Bot, Said, typed
from tradebot.adapters.facts.recorded_passes import KeptPasses
from tradebot.errors import CannotWriteError, OperatorError
from tradebot.gates import entry
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where what the bot kept of its passes is copied to, so that each test may change it."""
    return tmp_path_factory.mktemp("kept") / "passes.db"


@pytest.fixture
def traded(shared_trader: Bot, kept: Path) -> Bot:
    """Return a bot after two passes of entries, one of them with submitted candidates, and one of exits."""
    bot = shared_trader
    if not kept.exists():
        assert bot.says("replay").err.startswith("error: No pass is stored that could be replayed.")
        assert bot.json("trade-once")["orders"] > 0
        bot.says("trade-once", "--dry-run", "--force-slot")
        lines = kept.with_name("candidates.jsonl")
        lines.write_text(
            '{"symbol": "KO", "side": "buy", "score": 0.9}\n{"symbol": "MSFT", "side": "buy", "score": 0.8}\n'
        )
        assert bot.json("trade-once", "--candidates", str(lines))["candidates"] == 2
        bot.says("exchange", "tick", "1m")
        bot.says("evaluate-exits")
        shutil.copy(bot.folder / "passes.db", kept)
    shutil.copy(kept, bot.folder / "passes.db")
    return bot


def test_each_pass_is_decided_as_it_was_then(traded: Bot) -> None:
    found = traded.json("replay")
    assert (found["passes"], found["equal"], found["changed"]) == (3, 3, 0)
    (day,) = found["sessions"]
    said = traded.says("replay", day)
    assert said.code == 0
    assert said.out.splitlines()[:2] == [
        f"Decided again: 3 passes of {day}",
        f"  all equal, {found['decisions']} decisions compared; nothing was sent",
    ]
    with closing(sqlite3.connect(traded.folder / "passes.db")) as database:
        ((name,),) = database.execute("SELECT id FROM passes ORDER BY at LIMIT 1")
    assert traded.json("replay", name)["passes"] == 1
    assert traded.json("replay", day.replace("-", ""))["passes"] == 3
    assert "2026-02-30 is not a date" in traded.says("replay", "2026-02-30").err


def test_gate_that_decides_otherwise_is_shown_with_both_numbers(traded: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(gate: Gate, passed: bool, reason: Reason, *numbers: Any) -> Decision:
        return Decision(gate, Verdict.FAIL, reason, *numbers)

    monkeypatch.setattr(entry, "answer", refused)
    found = traded.json("replay")
    assert (found["equal"], found["changed"]) == (1, 2)
    first, _ = found["first"]
    assert (first["what"], first["recorded"], first["replayed"]) == ("verdict", "PASS", "FAIL")
    assert first["strategy"] == "flow"
    assert first["symbol"]
    shows(traded.says("replay"), 10, f"{first['symbol']} of flow {first['gate']}, verdict was PASS, is now FAIL")


@pytest.mark.parametrize(
    "change",
    [
        "body = CAST(substr(body, 1, 49) || x'00' || substr(body, 51) AS BLOB)",
        "sum = CAST(substr(sum, 1, 15) || x'00' AS BLOB)",
        "at = replace(at, '2026', '2027')",
        "version = '0.1.1'",
    ],
)
def test_record_with_one_changed_byte_is_refused_by_name(traded: Bot, change: str) -> None:
    with closing(sqlite3.connect(traded.folder / "passes.db")) as database, database:
        ((name,),) = database.execute("SELECT id FROM passes ORDER BY at LIMIT 1").fetchall()
        database.execute(f"UPDATE passes SET {change} WHERE id = '{name}'")  # noqa: S608 - our own names
    found = traded.json("replay")
    assert (found["equal"], [one["id"] for one in found["unreadable"]]) == (2, [name])
    assert [one["why"] for one in found["unreadable"]] == ["its record was changed after it was written"]
    said = traded.says("replay")
    (day,) = found["sessions"]
    assert f"tradebot why-no-orders --session {day} still shows what was decided" in " ".join(said.out.split())
    assert said.code == 10


def test_part_with_one_changed_byte_is_refused_with_each_pass_that_has_it(traded: Bot) -> None:
    with closing(sqlite3.connect(traded.folder / "passes.db")) as database, database:
        # Every pass has the fields of its values.
        ((number, value),) = database.execute("SELECT number, body FROM parts ORDER BY number LIMIT 1").fetchall()
        database.execute("UPDATE parts SET body = ? WHERE number = ?", (value[:-1] + bytes([value[-1] ^ 1]), number))
    found = traded.json("replay")
    assert (found["equal"], len(found["unreadable"])) == (0, 3)


def test_passes_of_another_version_are_chosen_by_it(traded: Bot) -> None:
    assert traded.json("replay", "--from-version", "0.1.0")["recorded_by"] == ["0.1.0"]
    refuses(traded.says("replay", "--from-version", "9.9"), 2, "was recorded by 9.9")


def test_word_that_names_no_pass_is_answered_with_those_that_are_kept(traded: Bot) -> None:
    refuses(traded.says("replay", "2020-01-01"), 2, "No recorded pass matches 2020-01-01.")


def test_pass_goes_on_when_its_record_cannot_be_kept(traded: Bot) -> None:
    traded.says("exchange", "tick", "1m")
    with closing(sqlite3.connect(traded.folder / "passes.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert traded.says("evaluate-exits").code == 0
    (told,) = [one for one in traded.json("events")["events"] if one["event_type"] == "pass_not_kept"]
    assert told["details"]["pass"].startswith("evaluate-exits.")


def test_positions_closed_by_hand_are_decided_again_on_each_desk_that_was_looked_at(traded: Bot) -> None:
    traded.says("flatten", "--all", "--confirm", "ALL", "--dry-run")
    assert traded.json("flatten", "--all", "--confirm", "ALL")["orders"] > 0
    with closing(sqlite3.connect(traded.folder / "passes.db")) as database:
        ((name,),) = database.execute("SELECT id FROM passes WHERE id LIKE '%flatten%'")
    found = traded.json("replay", name)
    assert (found["passes"], found["equal"], found["decisions"] > 0) == (1, 1, True)


def test_pass_not_ended_or_not_kept_is_named_with_the_reason(traded: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*given: object) -> CycleRecord:
        raise OperatorError("The desk burned down.", "call someone")

    traded.says("exchange", "tick", "1m")
    with monkeypatch.context() as broken:
        broken.setattr(pass_recording, "evaluate_exits", failing)
        assert traded.says("evaluate-exits").code == 2
    with closing(sqlite3.connect(traded.folder / "passes.db")) as database, database:
        database.execute("DELETE FROM passes WHERE id = (SELECT id FROM passes WHERE id LIKE 'trade-once%' LIMIT 1)")
    found = traded.json("replay")
    assert found["equal"] == found["passes"] == 2
    whys = {one["why"] for one in found["not_kept"] if "flatten" not in one["id"]}
    assert {"Its inputs weren't stored.", "The pass ended with an error. The desk burned down."} <= whys
    assert "is left out: The pass ended with an error." in " ".join(traded.says("replay").out.split())
    (judged,) = [one for one in traded.json("health")["judgments"] if one["subject"] == "replay"]
    assert judged["state"] == "DEGRADED"


def test_damaged_records_are_told_by_health_and_keep_no_pass_from_trading(traded: Bot) -> None:
    (traded.folder / "passes.db").write_bytes(b"garbage!" * 1000)
    for path in traded.folder.glob("passes.db-*"):
        path.unlink()
    assert "are damaged" in traded.says("replay").err
    (judged,) = [one for one in traded.json("health")["judgments"] if one["subject"] == "replay"]
    assert (judged["state"], "are damaged" in judged["found"]) == ("UNKNOWN", True)
    traded.says("exchange", "tick", "1m")
    assert traded.says("evaluate-exits").code == 0
    assert traded.json("replay")["equal"] == 1


def test_pass_ends_well_where_no_record_can_be_made_at_all(traded: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> None:
        raise CannotWriteError("The disk is full.", "make room")

    monkeypatch.setattr(KeptPasses, "_keep", full)
    traded.says("exchange", "tick", "1m")
    assert traded.says("evaluate-exits").code == 0
    (judged,) = [one for one in traded.json("health")["judgments"] if one["subject"] == "replay"]
    assert judged["state"] == "DEGRADED"
    assert "no record" in judged["found"]


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


def test_run_with_every_pass_is_played_so_again(rotated: Rotated, capsys: pytest.CaptureFixture[str]) -> None:
    place = rotated.days.parent
    words = ("--every-pass", "--name", "every", "--state-dir", str(place / "state"))
    assert typed(capsys, "backtest", *rotation(place), *words).code == 0
    found = typed(capsys, "replay", "--state-dir", str(rotated.run.with_name("every")), "--json").data
    assert found["equal"] == found["passes"] > json.loads(rotated.replays("--json").out)["data"]["passes"]


def test_gate_that_decides_otherwise_is_shown_of_a_session(rotated: Rotated, monkeypatch: pytest.MonkeyPatch) -> None:
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
