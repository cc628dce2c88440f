"""Commands that are proposed: as they must be typed to act on the same bot."""

import json
from pathlib import Path

import pytest

from commands.app import program
from commands.shared import hints
from tests.bot import Bot
from tradebot.__main__ import main


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("tradebot status", "tradebot status --state-dir odd"),
        ("tradebot exchange tick 5m", "tradebot exchange tick --state-dir odd 5m"),
        (
            "tradebot reconcile, then tradebot reconcile --apply PLAN.",
            "tradebot reconcile --state-dir odd, then tradebot reconcile --state-dir odd --apply PLAN.",
        ),
        (
            "tradebot status --state-dir b, or tradebot score",
            "tradebot status --state-dir b, or tradebot score --state-dir odd",
        ),
        ("tradebot init --state-dir NEW", "tradebot init --state-dir NEW"),
        ("tradebot status --help", "tradebot status --help"),
        ("this is a bug in tradebot: no verb", "this is a bug in tradebot: no verb"),
        ("a tradebot here", "a tradebot here"),
        ("Run tradebot status.", "Run tradebot status --state-dir odd"),
        ("Run tradebot status. Wait.", "Run tradebot status --state-dir odd; Wait."),
    ],
)
def test_command_in_a_text_names_the_folder_once(text: str, typed: str) -> None:
    hints.aim(["status", "--state-dir=first", "--state-dir", "odd"])
    assert hints.aimed(text) == typed
    assert hints.aimed(hints.aimed(text)) == typed


def test_the_default_folder_is_not_named_and_one_with_spaces_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRADEBOT_STATE", raising=False)
    hints.aim(["status"])
    assert hints.aimed("tradebot halt") == "tradebot halt"
    monkeypatch.setenv("TRADEBOT_STATE", "my bots/a")
    hints.aim(["status"])
    assert hints.aimed("tradebot halt") == "tradebot halt --state-dir 'my bots/a'"


def test_quoted_words_of_a_person_are_unchanged() -> None:
    hints.aim(["status", "--state-dir", "odd"])
    said = {"why": "see tradebot status", "rows": [{"fix": "tradebot status"}], "count": 3}
    assert hints.aimed_all(said) == {
        "why": "see tradebot status",
        "rows": [{"fix": "tradebot status --state-dir odd"}],
        "count": 3,
    }


def test_hints_know_every_verb_of_the_command_line() -> None:
    takes: dict[str, bool] = {}

    def look(command: object, name: str) -> None:
        for verb, inner in getattr(command, "commands", {}).items():
            look(inner, f"{name} {verb}".strip())
        if not hasattr(command, "commands"):
            takes[name] = any("--state-dir" in parameter.opts for parameter in command.params)  # type: ignore[attr-defined]

    look(program(), "")
    assert takes.keys() == hints.ON_A_STATE | hints.ELSEWHERE
    assert {verb for verb, taken in takes.items() if not taken} <= hints.ELSEWHERE


@pytest.mark.parametrize("verb", ["why-no-orders", "status", "trade-once", "halt", "doctor --offline"])
def test_screen_and_document_propose_the_same_commands(verb: str, bot: Bot, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*verb.split(), "--state-dir", str(bot.folder)]
    main(words)
    shown = capsys.readouterr().out
    main([*words, "--json"])
    document = capsys.readouterr().out
    assert f"--state-dir {bot.folder}" in shown
    proposed = {line.partition("Next: ")[2] for line in shown.splitlines() if line.startswith("Next: ")}
    assert all(command in json.dumps(json.loads(document), ensure_ascii=False) for command in proposed)
    assert "tradebot status\n" not in shown


def test_error_hint_works_on_the_same_bot(bot: Bot, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--state-dir", str(bot.folder)]
    main(["halt", *place])
    assert main(["unhalt", *place]) == 2
    hint = capsys.readouterr().err.partition("next: ")[2].split()
    assert hint[:4] == ["tradebot", "unhalt", "--state-dir", str(bot.folder)]
    assert main(hint[1:]) == 0


def test_program_is_named_as_it_was_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started = tmp_path / "bin" / "tradebot"
    started.parent.mkdir()
    started.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(started)])
    assert hints.invoked_as() == "bin/tradebot"
    monkeypatch.setenv("PATH", str(started.parent))
    assert hints.invoked_as() == "tradebot"
    monkeypatch.setattr("sys.argv", ["/somewhere/tradebot/__main__.py"])
    assert hints.invoked_as() == "python -m tradebot"
