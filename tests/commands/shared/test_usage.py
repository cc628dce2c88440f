"""A command line that was typed wrong is answered in our words, with what to type instead."""

import shlex

import pytest

from commands.app import program
from commands.shared.help import leaves
from tests.bot import typed
from tradebot.timetable.lines import CHORES

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
    "search": ("tradebot has no verb 'search'", "tradebot --help lists all verbs"),
    "flaten": ("tradebot has no verb 'flaten'", "tradebot --help lists all verbs"),
    "trdae-once": ("tradebot has no verb 'trdae-once'", "tradebot --help lists all verbs"),
    "sevre": ("tradebot has no verb 'sevre'", "tradebot --help lists all verbs"),
    "qqqqq": ("tradebot has no verb 'qqqqq'", "tradebot --help lists all verbs"),
    "journal": ("tradebot journal needs one of its verbs: verify", "tradebot journal --help"),
    "--debug": ("tradebot needs one of its verbs: init, demo, ", "tradebot --help"),
    "score --explain": ("--explain needs a value", "tradebot score --help"),
    "status --json=1": ("--json takes no value", "tradebot status --help"),
    "why-no-orders --last 0": ("--last takes a whole number from 1 to 10,000", "tradebot why-no-orders --help"),
    "exchange serve --port http": ("--port takes a whole number from 0 to 65,535", "tradebot exchange serve --help"),
    "init --edge much": ("--edge takes a number", "tradebot init --help"),
    "adopt": ("adopt needs SYMBOL", "tradebot adopt --help"),
    "trade-once now please": ("trade-once doesn't know what to do with 'now please'", "tradebot trade-once --help"),
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_command_line_is_explained_with_a_hint(
    line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["tradebot"])
    wrong, hint = WRONG[line]
    said = typed(capsys, *shlex.split(line))
    assert (said.code, said.out) == (2, "")
    first, following = said.err.splitlines()
    assert first.startswith(f"error: {wrong}")
    assert following.startswith(f"  next: {hint}")


def test_misspelled_verb_never_suggests_one_that_acts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["tradebot"])
    acting = {verb for verb, command in leaves(program()) if getattr(command.callback, "acts", False)}
    assert acting == {
        "serve", "trade-once", "evaluate-exits", "flatten", "unhalt", "adopt", "live arm", "config accept",
        "exchange reset",
    }  # fmt: skip
    assert acting.isdisjoint(CHORES)
    for verb in acting:
        *group, last = verb.split()
        for wrong in {last[:place] + last[place + 1 :] for place in range(len(last))}:
            said = typed(capsys, *group, wrong)
            guessed = said.err.partition("did you mean tradebot ")[2].partition("?")[0]
            assert said.code == 2
            assert guessed not in acting, (wrong, guessed)
