"""Every benchmark can be run at a smallest size, which shows that it still runs."""

import subprocess
from pathlib import Path

import pytest

from benchmarks.support.sizes import SMALLEST

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted((ROOT / "benchmarks").glob("*.py"))


def test_every_benchmark_has_a_smallest_size() -> None:
    asks = "sized(", SMALLEST
    assert len(PROGRAMS) > 20
    assert [path.name for path in PROGRAMS if not any(word in path.read_text() for word in asks)] == []


@pytest.mark.campaign
@pytest.mark.parametrize("name", [path.stem for path in PROGRAMS])
def test_every_benchmark_runs_at_its_smallest_size(name: str) -> None:
    command = [str(ROOT / "benchmarks" / "run"), "--smallest", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
