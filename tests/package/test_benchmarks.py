"""Every benchmark judges what it measured, and can be run at a smallest size, which shows that it still runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import rotation
from benchmarks.support.sizes import SMALLEST
from tests.suite.tiers import in_turn

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(set((ROOT / "benchmarks").glob("*.py")) - {Path(str(rotation.__file__))})
"""The rotation's writes a page, and judges nothing."""


def test_every_benchmark_has_a_smallest_size_and_a_verdict() -> None:
    assert 10 < len(PROGRAMS) < 20
    for asked in ("sized(", SMALLEST), ("return show(", "return status", "= show("):
        assert [path.name for path in PROGRAMS if not any(word in path.read_text() for word in asked)] == []


def test_rotation_without_the_data_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    assert rotation.main(["--data", str(tmp_path)]) == 2
    said = capsys.readouterr()
    extra = "install the data extra: make extras NAME=data"
    assert (said.out, said.err) == ("", f"The prices are in a Parquet file. To read it, {extra}\n")


@pytest.mark.campaign
@pytest.mark.parametrize("name", in_turn([path.stem for path in PROGRAMS], len(PROGRAMS) // 2 + 1))
def test_every_benchmark_runs_at_its_smallest_size(name: str) -> None:
    command = [str(ROOT / "benchmarks" / "run"), "--smallest", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    # Other campaigns take this machine's time meanwhile, so no verdict counts here.
    assert "Traceback" not in done.stderr
    assert "verdict" in done.stdout, done.stderr
