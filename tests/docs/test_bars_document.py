"""docs/BARS.md: its commands run, and it explains each finding."""

import re
import shlex
from pathlib import Path

import pytest

from commands.bars.check import REMEDIES
from tests.kit.bot.folder import typed
from tradebot.auditing.bar_findings import Flaw

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "BARS.md").read_text(encoding="utf-8")
ROW = "2026-11-13,AAPL,100,101,99,100,1000"


def test_its_commands_run_one_after_the_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder.parent)
    Path("daily.csv").write_text(f"date,symbol,open,high,low,close,volume\n{ROW}\n")
    commands = re.findall(r"^\$ (tradebot [^#\n]+)", PAGE, flags=re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        said = typed(capsys, *shlex.split(command)[1:])
        assert said.code == 0, f"{command}\n{said.out}{said.err}"


def test_every_finding_is_explained_here_and_has_a_remedy() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE) == [flaw.value for flaw in Flaw]
    assert list(REMEDIES) == [flaw.value for flaw in Flaw]
