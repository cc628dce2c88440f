"""Every benchmark can be run at a smallest size, which shows that it still runs."""

from pathlib import Path

from benchmarks.support.sizes import SMALLEST

PROGRAMS = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))


def test_every_benchmark_has_a_smallest_size() -> None:
    asks = "sized(", SMALLEST
    assert len(PROGRAMS) > 20
    assert [path.name for path in PROGRAMS if not any(word in path.read_text() for word in asks)] == []
