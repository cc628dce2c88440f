"""A backup that something has touched since it was made is found without reading the others, and so is what is gone."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit import ledgers
from tests.kit.values import NOW
from tradebot.adapters.recovery import backups
from tradebot.adapters.recovery.backups import find_damaged, unchanged_parts


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return the only backup of a bot."""
    return backups.make(ledgers.make(tmp_path / "state"), "by-hand", NOW).path


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


HURTS: tuple[Callable[[Path], object], ...] = (flip, Path.unlink, lambda path: path.write_bytes(b""))


def test_changed_or_removed_part_is_found_by_its_times(made: Path) -> None:
    folder, parts = made.parent.parent, sorted((made.parent / "parts").iterdir())
    assert set(unchanged_parts(folder)) == set(parts)
    for path in parts:
        kept = path.read_bytes()
        for hurt in HURTS:
            hurt(path)
            assert path not in unchanged_parts(folder)
            assert find_damaged(folder, unchanged_parts(folder)) == find_damaged(folder) != []
            path.write_bytes(kept)
    assert find_damaged(folder, unchanged_parts(folder)) == []


def test_everything_is_read_when_a_manifest_was_changed(made: Path) -> None:
    folder, manifest = made.parent.parent, made / "manifest.json"
    os.utime(made, ns=(0, made.stat().st_mtime_ns - 10_000_000_000))
    assert find_damaged(folder, unchanged_parts(folder)) == []
    content = json.loads(manifest.read_text())
    for recipe in content["made_of"].values():
        recipe["parts"] = dict.fromkeys(recipe["parts"], "0" * 64)
    manifest.write_text(json.dumps(content))
    assert unchanged_parts(folder) == {}
    assert [each.name for each in find_damaged(folder, unchanged_parts(folder))] == [made.name]
