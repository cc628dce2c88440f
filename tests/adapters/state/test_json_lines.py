"""Rotated lines: none is lost before its time, and the files never hold more than their bound."""

import json
import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.kit.values import NOW, ago
from tradebot.adapters.failpoint import around
from tradebot.adapters.state import json_lines
from tradebot.adapters.state.json_lines import BACK, RotatedLines, Row, TailFile, writing
from tradebot.adapters.text.canonical import time_text


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


def rows(count: int) -> list[Row]:
    return [{"at": time_text(ago(100 - number)), "id": number} for number in range(count)]


def read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def tail(path: Path, max_bytes: int = 10_000, kept: int = 3) -> TailFile:
    return TailFile(path, max_bytes, kept, "at", ("id",))


def add(file: TailFile, found: Sequence[Row], now: datetime = NOW) -> int:
    return file.add(lambda since: found, now)


@pytest.mark.parametrize("remembers", [True, False])
def test_each_row_has_one_line_however_often_it_is_read(tmp_path: Path, remembers: bool) -> None:
    path, file = tmp_path / "rows", tail(tmp_path / "rows")
    for count in (2, 2, 5, 5):
        add(file if remembers else tail(path), rows(count))
    assert read(path) == rows(5)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("remembers", [True, False])
def test_lines_are_whole_and_single_after_a_kill_at_any_byte(tmp_path: Path, remembers: bool) -> None:
    path, file = tmp_path / "rows", tail(tmp_path / "rows")
    add(file, rows(4))
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        add(file if remembers else tail(path), rows(4))
        assert path.read_bytes() == whole


def test_lines_are_single_after_a_kill_in_any_rotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kill_at in range(1, 12):
        path, hits = tmp_path / f"{kill_at}" / "rows", 0
        path.parent.mkdir()

        def killed(point: str, kill_at: int = kill_at) -> object:
            nonlocal hits
            hits += 1
            if hits == kill_at:
                raise KeyboardInterrupt
            return around(point)

        monkeypatch.setattr(json_lines, "around", killed)
        with pytest.raises(KeyboardInterrupt):
            add(tail(path, 150, 9), rows(16))
        monkeypatch.setattr(json_lines, "around", around)
        add(tail(path, 150, 9), rows(16))
        files = sorted(path.parent.iterdir(), reverse=True, key=lambda file: file.name[4:])
        assert [row for file in files for row in read(file)] == rows(16)


def test_full_disk_loses_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, file = tmp_path / "rows", tail(tmp_path / "rows")
    with monkeypatch.context() as full:
        write = os.write
        full.setattr(os, "write", lambda descriptor, line: write(descriptor, line[:20]))
        add(file, rows(1))
    assert len(path.read_bytes()) == 20
    assert add(file, rows(1)) == 1, "what the disk took in part only isn't taken for a line"
    add(file, rows(3))
    assert read(path) == rows(3)


def test_rows_that_come_late_are_written_and_older_ones_left_out(tmp_path: Path) -> None:
    path, (first, late, last) = tmp_path / "rows", rows(3)
    old = {"at": time_text(NOW - BACK - timedelta(seconds=1)), "id": "old"}
    add(tail(path), [old, first, last])
    add(tail(path), [old, first, late, last])
    assert read(path) == [first, last, late]


def test_row_that_is_late_by_a_whole_file_is_written_once_and_those_of_full_files_are_known(tmp_path: Path) -> None:
    path, some = tmp_path / "rows", rows(9)
    add(tail(path, max_bytes=150), [*some[:1], *some[2:]])
    assert all(file.is_file() for file in [path.with_name(f"rows.{number}") for number in (1, 2)])
    assert add(tail(path, max_bytes=10_000), some) == 1
    assert read(path)[-1] == some[1]
    assert add(tail(path, max_bytes=10_000), some) == 0


def test_deleted_file_begins_again_with_the_last_day(tmp_path: Path) -> None:
    path, asked = tmp_path / "rows", list[datetime]()
    file = tail(path)
    add(file, rows(3))
    path.unlink()

    def found(since: datetime) -> Iterable[Row]:
        asked.append(since)
        return rows(3)

    file.add(found, NOW)
    assert (asked, read(path)) == ([NOW - BACK], rows(3))


def test_damaged_line_stays_and_its_row_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    add(tail(path), rows(3))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "\x00 garbage {", "[1]", lines[2], ""]))
    add(tail(path), rows(3))
    assert [line for line in path.read_text().splitlines() if line.startswith("{")] == [lines[0], lines[2], lines[1]]


def test_only_one_writes_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "tail"
    with writing(folder) as first, writing(folder) as second:
        assert (first, second) == (True, False)
    with writing(folder) as again:
        assert again
    assert folder.stat().st_mode & 0o777 == 0o700


def test_no_more_of_a_file_is_kept_in_memory_than_a_late_row_may_repeat(tmp_path: Path) -> None:
    path, file, times = (
        tmp_path / "rows",
        tail(tmp_path / "rows", max_bytes=2_000),
        [NOW + n * BACK / 4 for n in range(61)],
    )
    for number, at in enumerate(times[:60]):
        assert add(file, [{"at": time_text(at), "id": number}], at) == 1
        assert len(file._known) <= 6
    again = tail(path, max_bytes=2_000)
    assert (
        add(again, [{"at": time_text(times[number]), "id": number} for number in (40, 55, 57, 59, 60)], times[60]) == 1
    )
    assert len(again._known) <= 6
    assert [row["id"] for row in read(path)][-1] == 60
