"""docs/BARS.md: its commands run, and it explains each finding."""

import re
import shlex
from pathlib import Path

import pytest

from commands.bars.check import REMEDIES
from papervenue.market.bar_shapes import SHAPES, Shape
from tests.kit.bot.folder import typed
from tradebot.auditing.bar_findings import Flaw

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "BARS.md").read_text(encoding="utf-8")
ROW = "2026-11-13,AAPL,100,101,99,100,1000"


def test_its_commands_run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(folder.parent)
    Path("daily.csv").write_text(f"date,symbol,open,high,low,close,volume\n{ROW}\n")
    commands = re.findall(r"^\$ (tradebot [^#\n]+)", PAGE, flags=re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        said = typed(capsys, *shlex.split(command)[1:])
        assert said.code == 0, f"{command}\n{said.out}{said.err}"


def test_every_finding_is_explained_here_and_has_a_remedy() -> None:
    findings = PAGE.partition("## What `bars check` finds")[2]
    assert re.findall(r"^\| `(\w+)` \|", findings, flags=re.MULTILINE) == [flaw.value for flaw in Flaw]
    assert list(REMEDIES) == [flaw.value for flaw in Flaw]


def shape_table() -> list[str]:
    """Return the lines of the table of shapes, as the page must have them."""
    head = "| shape | written by | columns | times | zone | stamp | prices |"
    return [head, "|---|---|---|---|---|---|---|", *map(shape_row, SHAPES)]


def shape_row(shape: Shape) -> str:
    times = shape.time.replace("|", "` or `").replace("+", "` and `")
    usual = ", ".join(f"`{name}`" for name in (times, *shape.values, *shape.more))
    usual = usual.replace("`open`, `high`, `low`, `close`, `volume`", "…")
    marks = {",": "", ";": "between `;`", "\t": "between tabs"}[shape.separator]
    prices = [marks, "decimal comma" if shape.decimal == "," else "", f"× {10**shape.places:,}" if shape.places else ""]
    is_daily = "date" in shape.bare and "time" not in shape.bare
    cells = (
        f"`{shape.name}`",
        shape.publisher,
        f"no header: `{','.join(shape.bare)}`" if shape.bare else usual,
        " or ".join(f"`{form.example.partition(' ')[0] if is_daily else form.example}`" for form in shape.forms),
        shape.zone or "",
        shape.stamp or "",
        ", ".join(filter(None, prices)),
    )
    return f"| {' | '.join(cells)} |"


def test_table_of_shapes_is_the_one_that_files_are_read_by() -> None:
    assert "\n".join(shape_table()) in PAGE
