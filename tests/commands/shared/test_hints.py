"""Commands that are proposed: as they must be typed to act on the same bot.

A command line that was typed wrong is answered in our words, with what to type instead.
Help: every verb stands in the program's own, begins with examples that can be typed, and is one line each.
"""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from commands.app import program
from commands.shared import hints
from commands.shared.declaration import VerbPurpose
from commands.shared.help import leaves
from commands.shared.listed_verbs import VERBS
from tests.kit.bot.folder import Bot, typed
from tradebot.__main__ import main
from tradebot.timetable.entries import CHORES, NOT_IN_CHORES


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
        ("tradebot web --bots FOLDER FOLDER", "tradebot web --bots FOLDER FOLDER"),
        ("this is a bug in tradebot: no verb", "this is a bug in tradebot: no verb"),
        ("a tradebot here", "a tradebot here"),
        ("Run tradebot status.", "Run tradebot status --state-dir odd"),
        ("Run tradebot status. Wait.", "Run tradebot status --state-dir odd; Wait."),
    ],
)
def test_command_in_a_text_names_the_folder_once(text: str, typed: str) -> None:
    hints.set_hint_folder(["status", "--state-dir=first", "--state-dir", "odd"])
    assert hints.with_bot_options(text) == typed
    assert hints.with_bot_options(hints.with_bot_options(text)) == typed


def test_the_default_folder_is_not_named_and_one_with_spaces_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRADEBOT_STATE", raising=False)
    hints.set_hint_folder(["status"])
    assert hints.with_bot_options("tradebot halt") == "tradebot halt"
    monkeypatch.setenv("TRADEBOT_STATE", "my bots/a")
    hints.set_hint_folder(["status"])
    assert hints.with_bot_options("tradebot halt") == "tradebot halt --state-dir 'my bots/a'"


def test_quoted_words_of_a_person_are_unchanged() -> None:
    hints.set_hint_folder(["status", "--state-dir", "odd"])
    said = {"why": "see tradebot status", "rows": [{"fix": "tradebot status"}], "count": 3}
    expected = {"why": "see tradebot status", "rows": [{"fix": "tradebot status --state-dir odd"}], "count": 3}
    assert hints.aimed_all(said) == expected


def test_hints_know_every_verb_of_the_command_line() -> None:
    takes: dict[str, bool] = {}

    def look(command: object, name: str) -> None:
        for verb, inner in getattr(command, "commands", {}).items():
            look(inner, f"{name} {verb}".strip())
        if not hasattr(command, "commands"):
            takes[name] = any("--state-dir" in parameter.opts for parameter in command.params)  # type: ignore[attr-defined]

    look(program(), "")
    assert takes.keys() == VERBS.keys()
    assert not {verb for verb, taken in takes.items() if not taken} & {
        verb for verb, listed in VERBS.items() if not listed.elsewhere
    }


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


WRONG = {
    "--json-lines status": ("--json-lines has to come after the verb", "tradebot status --json-lines"),
    "--state-dir 'a b' exchange status": (
        "--state-dir has to come after the verb",
        "tradebot exchange status --state-dir 'a b'",
    ),
    "--nonsense": ("tradebot has no option --nonsense", "tradebot --help lists them"),
    "positions --stat": (
        "tradebot positions has no option --stat",
        "did you mean --state-dir? tradebot positions --help",
    ),
    "statsu": ("tradebot has no verb 'statsu'", "did you mean tradebot status? tradebot --help lists all verbs"),
    "tick 5m": ("tradebot has no verb 'tick'", "did you mean tradebot exchange tick?"),
    "exchange tikc": ("tradebot exchange has no verb 'tikc'", "did you mean tradebot exchange tick?"),
    "resume": ("tradebot has no verb 'resume'", "did you mean tradebot unhalt? tradebot --help lists all verbs"),
    "lookup": ("tradebot has no verb 'lookup'", "tradebot --help lists all verbs"),
    "journal": ("tradebot journal needs one of its verbs: verify", "tradebot journal --help"),
    "--debug": ("tradebot needs one of its verbs: demo, backtest, ", "tradebot --help"),
    "score --explain": ("--explain needs a value", "tradebot score --explain AAPL --plot aapl.svg"),
    "trades --plot": ("--plot needs a value", "tradebot trades --symbol SPY --plot spy.svg"),
    "status --json=1": ("--json takes no value", "tradebot status --help"),
    "why-no-orders --last 0": ("--last takes a whole number from 1 to 10,000", "tradebot why-no-orders --help"),
    "exchange serve --port http": ("--port takes a whole number from 0 to 65,535", "tradebot exchange serve --help"),
    "backtest --cash 0.5": ("--cash takes a number of at least 1", "tradebot backtest --help"),
    "init --edge much": ("--edge takes a number", "tradebot init --help"),
    "adopt": ("adopt needs SYMBOL", "tradebot reconcile lists them; tradebot adopt --help"),
    "approvals approve 4": ("approvals doesn't know what to do with 'approve 4'", "tradebot approve --help"),
    "strategy new dip --kind bar": ("--kind takes flow, bars, target, not 'bar'", "--kind bars; tradebot strategy new"),
    "status --quick": ("tradebot status has no option --quick", "it takes --stores, --watch, --explain, "),
    "exchange tick -3m": ("tradebot exchange tick takes no negative numbers", "tradebot exchange tick --help"),
    "incident x": ("incident needs --out", "tradebot incident PASS --out incident.txt"),
    "cancel": ("cancel needs ORDER", "tradebot orders lists them; tradebot cancel --help"),
    "approve": ("approve needs ID", "tradebot approvals lists them; tradebot approve --help"),
    "config set": ("config set needs KEY VALUE...", "tradebot config show lists them; tradebot config set --help"),
    "cancel AAPL --confirm": ("--confirm needs a value", "tradebot cancel --help"),
    "trade-once now please": ("trade-once doesn't know what to do with 'now please'", "tradebot trade-once --help"),
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_words_get_a_hint(line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["tradebot"])
    wrong, hint = WRONG[line]
    said = typed(capsys, *shlex.split(line))
    assert (said.code, said.out) == (2, "")
    first, *_, following = said.err.splitlines()
    assert first.startswith(f"error: {wrong}")
    assert following.startswith(f"  next: {hint}")


def test_misspelling_suggests_none_acting(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["tradebot"])
    acting = {verb for verb, command in leaves(program()) if getattr(command.callback, "acts", False)}
    assert acting == {
        "serve", "trade-once", "approve", "evaluate-exits", "flatten", "cancel", "unhalt", "adopt", "promote", "retire",
        "live arm", "live take-over", "config accept", "exchange reset", "chat pair", "chat listen",
    }  # fmt: skip
    # A chore may promote only by itself, as a setting allows.
    assert acting & CHORES == {"promote"}
    assert {option for verb, option in NOT_IN_CHORES if verb == "promote"} >= {"--to", "--without-evidence"}
    for verb in acting:
        *group, last = verb.split()
        for wrong in {last[:place] + last[place + 1 :] for place in range(len(last))}:
            said = typed(capsys, *group, wrong)
            guessed = said.err.partition("did you mean tradebot ")[2].partition("?")[0]
            assert said.code == 2
            assert guessed not in acting, (wrong, guessed)


KNOWN: dict[str, Any] = dict(leaves(program()))


def test_help_lists_every_verb_under_one_purpose() -> None:
    assert VERBS.keys() == KNOWN.keys()
    assert [*dict.fromkeys(listed.purpose for listed in VERBS.values())] == [purpose.value for purpose in VerbPurpose]


def test_help_gives_each_verb_a_short_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = typed(capsys, "--help").out.splitlines()
    listed = lines[lines.index("Try:") :]
    headings = [line.rstrip(":") for line in listed if line and not line.startswith(" ")]
    assert headings == [purpose.value for purpose in VerbPurpose]
    assert len([line for line in listed if line.startswith("  ")]) == len(KNOWN)
    assert [line for line in listed if line.endswith("...")] == []


@pytest.mark.parametrize("verb", ["", *KNOWN, "bars", "exchange", "config", "journal", "strategy", "live"])
def test_help_says_what_a_verb_does_then_examples_then_usage(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = typed(capsys, *verb.split(), "--help")
    assert said.code == 0
    what, examples, usage = (said.out.find(part) for part in (".\n", "\nExamples:\n  tradebot ", "\nUsage: tradebot"))
    assert 0 < what < examples < usage


@pytest.mark.parametrize("verb", KNOWN)
def test_every_example_can_be_typed(verb: str) -> None:
    for example in KNOWN[verb].epilog.splitlines():
        words = shlex.split(example, comments=True)
        assert words[: 1 + len(verb.split())] == ["tradebot", *verb.split()]
        KNOWN[verb].make_context(verb, words[1 + len(verb.split()) :]).close()
