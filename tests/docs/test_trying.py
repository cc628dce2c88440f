"""docs/guides/trying.md is true: its commands, typed in order, change settings and show what came of it."""

import re
import shlex
from pathlib import Path

import pytest

from tests.kit.bot.folder import typed
from tests.kit.recipes import ROOT
from tradebot.app import sandbox

GUIDE = (ROOT / "docs" / "guides" / "trying.md").read_text(encoding="utf-8")
SHORTER = ("--minutes", "4", "--symbols", "2")


@pytest.mark.campaign(follows="docs/guides/trying.md")
def test_the_guides_loop_shows_what_each_change_came_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    for line in re.findall(r"^\$ tradebot (.+)$", GUIDE, flags=re.MULTILINE):
        words = shlex.split(line)
        done = typed(capsys, *words, *(SHORTER if words[0] == "demo" else ()))
        assert done.code == 0, done.err
        said.append(done.out)
    first, second, more, alone, dry, written, differ, kept = said
    assert "Compared with the last run" not in first
    assert "limits.max_open_positions 20 5" in " ".join(second.split())
    assert "played.sessions 1 3" in " ".join(more.split())
    assert "Sessions 2026-11-16 to 2026-11-17" in alone
    assert ("Nothing was written" in dry, "Written to state/try/tradebot.yaml" in written) == (True, True)
    assert "state/demo.yaml" in differ.replace("try/", "")
    assert "Settings  state/try/tradebot.yaml" in kept
    assert "limits.max_new_entries 5 3" in " ".join(kept.split())
    assert Path("state/try/tradebot.yaml").read_text() == "limits:\n  max_open_positions: 5\n  max_new_entries: 3\n"
    sandbox.stop(Path("state/try/exchange"))
