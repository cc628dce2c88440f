"""Rotated lines: none is lost before its time, and the files never hold more than their bound."""

from pathlib import Path

import pytest

from tradebot.adapters.state.json_lines import RotatedLines


@pytest.mark.parametrize("kept", [1, 3])
def test_rotated_lines_stay_in_order_and_within_their_bound(tmp_path: Path, kept: int) -> None:
    lines = RotatedLines(tmp_path / "log", 100, kept)
    for number in range(200):
        lines.append(f"line {number:04d}")
    files = sorted(tmp_path.iterdir(), key=lambda file: file.name, reverse=True)
    names = ["log", *(f"log.{number}" for number in range(1, kept + 1))]
    assert sorted(file.name for file in files) == sorted(names)
    text = "".join((tmp_path / name).read_text() for name in reversed(names)).split("\n")[:-1]
    assert text == [f"line {number:04d}" for number in range(200 - len(text), 200)]
    assert all(file.stat().st_size <= 100 for file in files)


def test_a_line_longer_than_the_bound_is_still_written(tmp_path: Path) -> None:
    RotatedLines(tmp_path / "log", 10, 2).append("x" * 50)
    assert (tmp_path / "log").read_text() == "x" * 50 + "\n"


def test_append_loses_lines_without_raising_when_the_disk_fails(tmp_path: Path) -> None:
    RotatedLines(tmp_path / "none" / "log", 100, 2).append("line")
    (tmp_path / "log").symlink_to("/dev/null")
    RotatedLines(tmp_path / "log", 100, 2).append("line")
    assert (tmp_path / "log").is_symlink()


def test_a_line_after_a_torn_one_is_written_on_its_own(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"whole\nto")
    lines = RotatedLines(path, 100, 1)
    assert [lines.append("next"), lines.append("last")] == [False, False]
    assert path.read_text().splitlines() == ["whole", "to", "next", "last"]
