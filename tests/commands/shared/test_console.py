"""The console of every verb: what is there to be copied stays on one line, whatever the width."""

import pytest

from commands.shared.console import Screen
from commands.shared.tables import Table, sentence

PATH = "/" + "a-long-name/" * 12 + "state"
PROSE = "a sentence of many short words, which is told in as many lines as it takes"
WHOLE = [PATH, f"tradebot status --state-dir {PATH}", f"tradebot status --state-dir '{PATH} of mine'"]


def in_table(text: str) -> Table:
    table = Table("name", sentence("told"))
    table.row("name", text)
    return table


@pytest.mark.parametrize("whole", WHOLE)
def test_path_or_command_is_never_wrapped(whole: str, capsys: pytest.CaptureFixture[str]) -> None:
    for text in (f"{PROSE}: {whole}", in_table(f"{PROSE}: {whole}")):
        Screen(width=40).print(text)
        assert whole in capsys.readouterr().out


@pytest.mark.parametrize("text", [PROSE, in_table(PROSE)], ids=["line", "table"])
def test_prose_wraps_at_the_width(text: str | Table, capsys: pytest.CaptureFixture[str]) -> None:
    Screen(width=40).print(text)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 40
