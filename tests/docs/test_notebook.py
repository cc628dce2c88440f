"""docs/guides/notebook.md is true: its commands and its Python, typed in order, give the tables that it names."""

import re
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.kit.bot.folder import typed
from tests.kit.recipes import ROOT

GUIDE = (ROOT / "docs" / "guides" / "notebook.md").read_text(encoding="utf-8")


@pytest.mark.campaign(follows="docs/guides/notebook.md")
def test_the_guide_gives_the_same_tables_in_files_and_in_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for line in re.findall(r"^\$ tradebot (.+)$", GUIDE, flags=re.MULTILINE):
        said = typed(capsys, *shlex.split(line))
        assert said.code == 0, said.err
    (block,) = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)
    found: dict[str, Any] = {}
    exec(block, found)  # noqa: S102 - it is our own page
    for name in ("equity", "trades", "fills", "decisions"):
        table = found[name]
        assert f"`tried-{name}.csv`" in GUIDE
        assert f"Written: tried-{name}.csv" in said.out
        written = pd.read_csv(f"tried-{name}.csv")
        assert list(written.columns) == list(table.columns)
        assert len(written) == len(table) > 0
    assert found["growth"].iloc[-1] == pytest.approx(found["equity"]["equity_usd"].iloc[-1] / 100_000)
    assert found["by_symbol"].sum() == pytest.approx(found["trades"]["net_usd"].sum())
    assert found["why_not"].sum() == found["decisions"]["reason"].notna().sum()
