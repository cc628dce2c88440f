"""The guides from other programs: the strategy that each of them ports is installed, tested and played as it says.

The other program's half isn't run, because it isn't installed here. It has to be Python.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.following import NOTHING, follow, text_of
from tests.kit.bot.folder import Said
from tradebot.app import sandbox


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder beside those of the strategy and of what is installed."""
    place = tmp_path / "tradebot"
    place.mkdir()
    monkeypatch.chdir(place)
    for folder in ("site", "smacross", "leader"):
        monkeypatch.syspath_prepend(tmp_path / folder)
    return place


def install(command: str) -> Said:
    """Install beside the tests' environment instead of into it."""
    program, *words = shlex.split(command)
    assert program == "python"
    added = ("--target", "../site", "--no-index", "-q")
    done = subprocess.run([sys.executable, *words, *added], capture_output=True, text=True, timeout=120, check=False)
    return Said(done.returncode, done.stdout, done.stderr)


def remove(command: str) -> Said:
    os.remove(command.removeprefix("rm "))
    return NOTHING


def their_half(name: str) -> str:
    (code,) = re.findall(r"it\s+could be:\n\n```python\n(.*?)```", text_of(name), re.DOTALL)
    return str(code)


@pytest.mark.campaign(follows="docs/guides/from-freqtrade.md")
def test_a_strategy_of_freqtrade_is_ported(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compile(their_half("from-freqtrade"), "freqtrade", "exec")
    follow("from-freqtrade", capsys, {"python -m pip": install, "rm": remove})
    sandbox.stop(place / "state" / "smacross" / "exchange")


@pytest.mark.campaign(follows="docs/guides/from-backtrader.md")
def test_a_strategy_of_backtrader_is_ported(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compile(their_half("from-backtrader"), "backtrader", "exec")
    follow("from-backtrader", capsys, {"python -m pip": install, "rm": remove})


@pytest.mark.campaign(follows="docs/guides/from-lumibot.md")
def test_a_strategy_of_lumibot_is_ported(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compile(their_half("from-lumibot"), "lumibot", "exec")
    follow("from-lumibot", capsys, {"python -m pip": install, "rm": remove})
