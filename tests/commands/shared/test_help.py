"""Help: every verb stands in the program's own, begins with examples that can be typed, and is one line each."""

import shlex
from typing import Any

import pytest

from commands.app import program
from commands.shared.help import PURPOSES, leaves
from tests.bot import typed

KNOWN: dict[str, Any] = dict(leaves(program()))


def test_help_lists_every_verb_under_one_purpose() -> None:
    listed = [verb for verbs in PURPOSES.values() for verb in verbs]
    assert sorted(listed) == sorted(KNOWN)


def test_program_help_gives_each_verb_one_line_of_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = typed(capsys, "--help").out.splitlines()
    listed = lines[lines.index("Try:") :]
    assert [line.rstrip(":") for line in listed if line and not line.startswith(" ")] == list(PURPOSES)
    assert len([line for line in listed if line.startswith("  ")]) == len(KNOWN)
    assert [line for line in listed if line.endswith("...")] == []


def test_program_help_wraps_under_its_line_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    said = typed(capsys, "--help").out
    assert "\n  trade-once       Send an order for each candidate that" in said
    assert "\n                   passes every gate\n" in said


@pytest.mark.parametrize("verb", ["", *KNOWN, "bars", "exchange", "config", "journal", "strategy", "live"])
def test_help_says_what_a_verb_does_then_shows_examples_then_usage(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
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
