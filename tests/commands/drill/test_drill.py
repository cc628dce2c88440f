"""`tradebot drill`: each drill is played for real in the campaigns; here, what is said of it and what is kept."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from commands.drill import stage as stages
from commands.drill.drills import DRILLS, read
from commands.drill.stage import Stage, VerbResult, set_stage
from tests.kit.bot import forked
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Bot
from tradebot.errors import TradebotError
from tradebot.model.trading import Mode

WHOLE = "halt"
"""The drill whose verbs are played as a person types them, each a new interpreter."""


def run_forked(command: Sequence[str], *, env: Mapping[str, str], **given: Any) -> "subprocess.CompletedProcess[str]":
    """Run a verb in its own process that needn't import everything again, in the environment that it is given."""

    def first() -> None:
        os.environ.clear()
        os.environ.update(env)
        os.chdir(given.get("cwd", "."))

    words = command[command.index("tradebot") + 1 :]
    with forked.start(words, subprocess.PIPE, first=first) as program:
        try:
            texts = program.communicate(given.get("input"), given["timeout"])
        finally:
            program.kill()
    return subprocess.CompletedProcess(command, program.returncode, *texts)


@pytest.fixture
def verbs_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the verbs of a drill begin as copies of this process; what it only starts is a new interpreter, as usual."""
    processes = SimpleNamespace(run=run_forked, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr(stages, "subprocess", processes)


@pytest.mark.campaign
@pytest.mark.parametrize("name", [name for name in DRILLS if name != WHOLE])
def test_everything_follows_that_must_follow(name: str, tmp_path: Path, verbs_forked: None) -> None:
    played_well(name, tmp_path)


@pytest.mark.campaign
def test_everything_follows_where_each_verb_is_a_new_interpreter(tmp_path: Path) -> None:
    played_well(WHOLE, tmp_path)


def played_well(name: str, tmp_path: Path) -> None:
    """Play a drill, and hold it to all of its checks."""
    with set_stage(tmp_path / "drill") as stage:
        DRILLS[name].play(stage)
    assert stage.checks
    assert [check for check in stage.checks if not check.held] == []


@pytest.mark.campaign
def test_drill_fails_on_a_bot_that_buys_although_it_is_halted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verbs_forked: None
) -> None:
    honest = Stage.says

    def broken(stage: Stage, *words: str, typed: str | None = None) -> VerbResult:
        if words[0] == "halt":
            return VerbResult(0, "", {})
        return honest(stage, *words, typed=typed)

    monkeypatch.setattr(Stage, "says", broken)
    with set_stage(tmp_path / "drill") as stage:
        DRILLS["halt"].play(stage)
    failed = {check.what for check in stage.checks if not check.held}
    assert "people were notified" in failed


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Let a drill find what the test says, without playing it."""
    held: list[bool] = []

    @contextmanager
    def quick(folder: Path) -> Iterator[Stage]:
        yield Stage(folder, [], "")

    def play(stage: Stage) -> None:
        stage.steps.append("tradebot halt")
        for number, each in enumerate(held):
            stage.check(f"thing {number}", each, "<b>found</b>")

    monkeypatch.setattr(stages, "set_stage", quick)
    monkeypatch.setitem(DRILLS, "halt", DRILLS["halt"].__class__("halt", "A person halts the bot.", play))
    return held


def test_passed_drill_leaves_a_page_and_shows_in_the_list(copy: Bot, played: list[bool]) -> None:
    played += [True, True]
    shown = copy.shown("drill", "run", "halt")
    assert "yes thing 0: <b>found</b>" in shown
    assert "passed\nthe evidence: STATE/drills/halt.html" in shown
    page = (copy.folder / "drills" / "halt.html").read_text()
    assert "Everything followed that must follow." in page
    assert "&lt;b&gt;found" in page
    assert "<li>tradebot halt</li>" in page
    assert "A person halts the bot. (passed " in copy.shown("drill", "list")
    row = next(row for row in copy.json("drill", "list")["drills"] if row["name"] == "halt")
    assert row["passed"] is True


def test_drill_that_something_did_not_follow_from_exits_with_10(copy: Bot, played: list[bool]) -> None:
    played += [True, False]
    shows(copy.says("drill", "run", "halt"), 10, "NO  thing 1")
    assert "NOT everything followed" in (copy.folder / "drills" / "halt.html").read_text()


@pytest.mark.parametrize(
    ("found", "said"),
    [(["AAPL", "JPM"], "AAPL, JPM"), ({"JPM": "-31"}, "JPM -31"), ("0.3 s ", "0.3 s"), ("", "nothing")],
)
def test_evidence_of_a_check_is_in_words_and_never_empty(found: object, said: str, tmp_path: Path) -> None:
    stage = Stage(tmp_path, [], "")
    stage.check("a thing", True, found)
    assert stage.checks[0].found == said


def test_drill_without_a_check_has_not_passed(copy: Bot, played: list[bool]) -> None:
    assert copy.says("drill", "run", "halt").code == 10


def test_unreadable_evidence_counts_as_none(copy: Bot, played: list[bool]) -> None:
    played += [True]
    copy.says("drill", "run", "halt")
    (copy.folder / "drills" / "halt.json").write_text("{")
    assert read(copy.folder / "drills") == {}
    assert "A person halts the bot. (not played yet)" in copy.shown("drill", "list")


def test_unknown_drill_is_refused_with_all_names(copy: Bot) -> None:
    refuses(copy.says("drill", "run", "fire"), 2, "choose one of broker_down, wrong_keys")


def test_drills_beside_real_money_are_refused(copy: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradebot.app.wiring.App.mode", property(lambda app: Mode.LIVE))
    refuses(copy.says("drill", "run", "halt"), 2, "not for a bot with real money")


def test_stage_has_no_key_of_its_owner_and_names_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALPACA_KEY", "UW_API_KEY", "TRADEBOT_STATE", "TRADING_MODE", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "a-value-of-the-owner")
    command, environment = Stage(tmp_path, [], "http://127.0.0.1:1/x").command("halt")
    assert "a-value-of-the-owner" not in environment.values()
    assert command[-2:] == ["--state-dir", str(tmp_path / "state")]


def test_stage_that_cannot_be_made_says_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stage, "says", lambda stage, *words: VerbResult(1, "the disk is full", {}))
    with pytest.raises(TradebotError, match=r"init --mode sandbox .*: the disk is full"), set_stage(tmp_path / "drill"):
        pass
