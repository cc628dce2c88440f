"""The budget of lines: a room that grows past its figure fails the check, and the figure is a line in the diff."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "lines"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a small project with one room of two lines, within its budget."""
    (tmp_path / "deploy").mkdir()
    shutil.copy(SCRIPT, tmp_path / "deploy" / "lines")
    (tmp_path / "tradebot" / "gates").mkdir(parents=True)
    (tmp_path / "tradebot" / "gates" / "entry.py").write_text("a = 1\nb = 2\n")
    (tmp_path / "deploy" / "lines.txt").write_text("# why\ntradebot/gates 2\n")
    subprocess.run(("git", "init", "-q"), cwd=tmp_path, check=True)  # noqa: S607
    return tmp_path


def lines(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, str(project / "deploy" / "lines"), *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_room_past_its_budget_fails_and_is_named(project: Path) -> None:
    with (project / "tradebot" / "gates" / "entry.py").open("a") as file:
        file.write("c = 3\n")
    done = lines(project)
    assert (done.returncode, "Make room in tradebot/gates, or raise" in done.stdout) == (1, True)


def test_tightening_lowers_a_budget_and_raises_none(project: Path) -> None:
    (project / "deploy" / "lines.txt").write_text("# why\ntradebot/gates 9\n")
    assert lines(project, "--tighten").returncode == 0
    assert [line.split() for line in (project / "deploy" / "lines.txt").read_text().splitlines()] == [
        ["#", "why"],
        ["tradebot/gates", "2"],
    ]
