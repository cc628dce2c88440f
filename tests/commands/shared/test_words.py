"""Plain text of errors at a narrow terminal: wrapped between words, and never inside a command."""

import sys
from datetime import UTC, datetime

import pytest

from commands.shared.notes import why_in_state
from commands.shared.plain import print_error, wrapped_plain
from commands.shared.times import show_utc, slot_for_reader
from tradebot.errors import OperatorError
from tradebot.model.reasons import Reason
from tradebot.model.trading import Override, TradingState, TradingStateRecord
from tradebot.model.values import replace

UNBROKEN = (
    "tradebot restore --state-dir 'my bot' 20261121T070105Z-by-hand",
    "tradebot config show --state-dir z2 sectors",
    "tradebot exchange tick --state-dir z2 5m",
    "tradebot exchange faults add lost-reply",
    'tradebot unhalt --override --reason "the feed is back"',
    "tradebot init --mode paper --state-dir NEW",
    "tradebot reconcile --apply plan-1a2b3c4d",
    "tradebot adopt BRK.B --manage",
    "mv state/HALT state/HALT.aside",
    "chmod u+rwx state",
)


@pytest.mark.parametrize("command", UNBROKEN)
@pytest.mark.parametrize("width", [40, 41, 47, 60])
def test_a_command_is_never_broken_in_its_middle(command: str, width: int) -> None:
    text = f"error: something is in the way of it\n  next: look at what it says, then {command}, and once more"
    lines = wrapped_plain(text, width).splitlines()
    assert [line for line in lines if command in line], lines
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())
    assert all(len(line) <= width for line in lines if command not in line)


def test_further_lines_are_indented_under_the_first() -> None:
    assert wrapped_plain("error: one two three four\n  next: five six seven eight", 16) == (
        "error: one two\n  three four\n  next: five six\n    seven eight"
    )


def test_an_error_is_wrapped_where_a_width_is_known_and_left_alone_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = OperatorError("what happened, and why, in a sentence that is longer than a line", "tradebot status")
    print_error(error)
    assert capsys.readouterr().err.count("\n") == 2, "a pipe has no width"
    monkeypatch.setenv("COLUMNS", "50")
    print_error(error)
    assert capsys.readouterr().err == (
        "error: what happened, and why, in a sentence that\n  is longer than a line\n  next: tradebot status\n"
    )
    assert not sys.stderr.isatty()


def test_the_slot_of_a_pass_outside_the_timetable_is_named_in_the_readers_time() -> None:
    at = datetime(2026, 11, 16, 21, 0, 1, tzinfo=UTC)
    assert slot_for_reader("at 21:00:00Z", at) == "at 16:00:00 ET"
    assert slot_for_reader("open+90m#2", at) == "open+90m#2"
    assert slot_for_reader("at 99:00:00Z", at) == "at 99:00:00Z", "foreign text that only looks like a time"
    show_utc(True)
    try:
        assert slot_for_reader("flatten 21:00:00Z", at) == "flatten 21:00:00 UTC"
    finally:
        show_utc(False)


def test_note_of_an_override_names_the_accepted_causes_and_time() -> None:
    at = datetime(2026, 11, 16, 16, 2, tzinfo=UTC)
    accepted = Override(frozenset({Reason.DRAWDOWN_REACHED, Reason.DAILY_LOSS_HALT}), at)
    state = TradingStateRecord(TradingState.ACTIVE, "ada", "override: seen", at, override=accepted)
    shown = "override: seen (DAILY_LOSS_HALT, DRAWDOWN_REACHED accepted, as of 2026-11-16 16:02:00 UTC)"
    assert why_in_state(state) == shown
    assert why_in_state(replace(state, override=None)) == "override: seen", "words alone accept nothing"
