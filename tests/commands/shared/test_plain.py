"""Typed confirmation and foreign text, as every verb has them."""

import pytest

from commands.shared.plain import clean, confirm
from commands.shared.surface import console
from tradebot.errors import ExitCode, OperatorError


def ask(given: str | None, *, by_hand: bool) -> None:
    confirm("1234", given, what="Ending the halt", command="tradebot unhalt", by_hand=by_hand)


def test_confirm_option_is_enough_without_real_money() -> None:
    ask("1234", by_hand=False)


@pytest.mark.parametrize("given", ["", "123", "1234 ", "yes"])
def test_wrong_confirmation_is_refused(given: str) -> None:
    with pytest.raises(OperatorError) as refused:
        ask(given, by_hand=False)
    assert refused.value.code is ExitCode.REFUSED


@pytest.mark.parametrize("given", [None, "1234"])
def test_real_money_needs_a_terminal_whatever_the_command_line_says(given: str | None) -> None:
    with pytest.raises(OperatorError, match="needs a person at a terminal") as refused:
        ask(given, by_hand=True)
    assert refused.value.code is ExitCode.USAGE


def test_foreign_text_is_stripped_of_control_characters() -> None:
    assert clean("a\x1b[31mb\r\n\x00c\u202e") == "a [31mb   c "


def test_foreign_text_that_nobody_escaped_is_shown_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    console().print("failed: [/later] \x1b[2J")
    assert capsys.readouterr().out.strip() == "failed: [/later]  [2J"
