"""docs/guides/first-strategy.md is true: its commands, typed in order, end with a strategy that has traded."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.bot.folder import log, typed
from tests.kit.recipes import ROOT
from tradebot.app import sandbox
from tradebot.model.reasons import Reason

GUIDE = (ROOT / "docs" / "guides" / "first-strategy.md").read_text(encoding="utf-8")
BY_HAND = {"git", "make", "source"}
"""Programs that make an environment, which the tests have."""
MINUTES = ("--minutes", "33")


def commands() -> list[list[str]]:
    return [shlex.split(line) for line in re.findall(r"^\$ (.+)$", GUIDE, flags=re.MULTILINE)]


def python(arguments: list[str], place: Path) -> str:
    """Run Python as the guide says, but install beside the tests' environment instead of into it."""
    elsewhere = ["--target", "../site", "--no-index", "-q"] if "pip" in arguments else []
    done = subprocess.run(
        [sys.executable, *arguments, *elsewhere],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(place.parent / "reversion"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.campaign(follows="docs/guides/first-strategy.md")
def test_the_guide_ends_with_a_strategy_that_has_traded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "tradebot"
    place.mkdir()
    monkeypatch.chdir(place)
    for folder in ("site", "reversion"):
        monkeypatch.syspath_prepend(tmp_path / folder)
    (block,) = re.findall(r"Write this to `reversion.yaml`:\n\n```yaml\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
    (place / "reversion.yaml").write_text(block)
    said = dict[str, str]()
    try:
        for program, *arguments in commands():
            line = " ".join(arguments)
            if program == "export":
                name, _, value = arguments[0].partition("=")
                monkeypatch.setenv(name, value)
            elif program == "python":
                said[line] = python(arguments, place)
            elif program not in BY_HAND:
                assert program == "tradebot", program
                done = typed(capsys, *arguments, *(MINUTES if arguments == ["demo"] else ()))
                assert done.code in {0, 10}, f"{line}\n{done.out}{done.err}"
                said[line] = done.out
        sent = log(sandbox.start(place / "state" / "reversion" / "exchange"))
    finally:
        sandbox.stop(place / "state" / "reversion" / "exchange")
    assert "5 passed" in said["-m pytest ../reversion/tests"]
    assert "recorded by this bot" in said["strategy test reversion"]
    assert re.search(r"\.REVER\.", str(sent)), "the exchange has no order of the strategy's"


def test_the_guide_names_only_words_that_a_strategy_can_import() -> None:
    from tradebot import ports

    named = set(re.findall(r"`([A-Z][a-zA-Z]+)\(", GUIDE))
    assert {"Open", "Target", "Reduce", "Close", "Needs"} <= named <= set(ports.__all__)


def test_every_reason_that_the_guide_explains_exists() -> None:
    named = set(re.findall(r"^\| `([A-Z]+_[A-Z_]+)`", GUIDE, flags=re.MULTILINE))
    assert len(named) >= 6
    assert named <= set(Reason)
