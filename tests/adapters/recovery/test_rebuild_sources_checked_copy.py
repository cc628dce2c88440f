"""A second process copies the ledger and checks the copy; only a copy that it found whole becomes new books."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Never

import pytest

from tests.kit import ledgers
from tests.kit.ledgers import BESIDE, MONEY, PERSONS, content, part
from tests.kit.rows import NOW
from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.recovery import backups, quarantine, rebuild, rebuild_sources
from tradebot.adapters.recovery.rebuild_sources import CheckedCopy
from tradebot.adapters.state.state_folder import BACKUPS, LEDGER, StateFolder

FILL = b"187.25"
"""The price of the fills, as text in their rows: SQLite's own check does not see that it has changed."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateFolder:
    monkeypatch.setattr(rebuild_sources, "LARGE", 0)
    made = ledgers.make(tmp_path / "state")
    backups.make(made, "by-hand", NOW)
    return made


def change_a_row(path: Path) -> None:
    found = path.read_bytes()
    assert FILL in found
    path.write_bytes(found.replace(FILL, b"187.35"))


def damage_a_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(os.urandom(4096))


HARM: dict[str, Callable[[Path], object]] = {"row": change_a_row, "page": damage_a_page}


def copied(folder: StateFolder, place: Path) -> bool:
    with rebuild_sources.start_copy(place, folder.path / BACKUPS) as copy:
        assert copy is not None
        return copy.is_whole()


def never(*_: object, **__: object) -> Never:
    raise AssertionError("the second process has done this already")


def test_second_process_copies_a_whole_ledger(folder: StateFolder) -> None:
    with rebuild_sources.start_copy(folder.path, folder.path / BACKUPS) as copy:
        assert copy is not None
        assert copy.is_whole()
        assert part(content(copy.target), *MONEY, *BESIDE) == part(content(folder.path), *MONEY, *BESIDE)
    assert not list((folder.path / BACKUPS).glob(".*"))


@pytest.mark.parametrize("harm", HARM)
def test_second_process_finds_damage_in_a_ledger(folder: StateFolder, harm: str) -> None:
    HARM[harm](folder.path / LEDGER)
    assert not copied(folder, folder.path)


def test_second_process_finds_damage_in_a_backup(folder: StateFolder) -> None:
    (place,) = backups.places(folder.path)
    assert copied(folder, place)
    (made,) = (folder.path / BACKUPS / "parts").glob(f"*.{LEDGER}")
    change_a_row(made)
    assert not copied(folder, place)


@pytest.mark.parametrize("harm", HARM)
def test_rebuild_ignores_a_ledger_that_the_second_process_found_damaged(folder: StateFolder, harm: str) -> None:
    before = content(folder.path)
    (folder.path / "journal.jsonl").unlink()
    HARM[harm](folder.path / LEDGER)
    made = rebuild.rebuild(folder, "damaged", NOW)
    assert made.ledger == backups.places(folder.path)[0]
    assert [doubt.what for doubt in made.doubts if doubt.where == str(folder.path / LEDGER)] == ["ledger"]
    # What a backup holds as accepted may have been tightened since, so that alone does not come back.
    told = [name for name in MONEY if name not in PERSONS]
    assert part(content(folder.path), *told) == part(before, *told)


@pytest.mark.parametrize("lost", [("journal.jsonl",), quarantine.BOOKS], ids=["journal", "both"])
def test_rebuild_uses_the_copy_that_was_checked(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch, lost: tuple[str, ...]
) -> None:
    before = content(folder.path)
    for name in lost:
        (folder.path / name).unlink(missing_ok=True)
    monkeypatch.setattr(LedgerFile, "check_pages", never)
    monkeypatch.setattr("tradebot.adapters.recovery.rebuild.copy_database", never)
    rebuild.rebuild(folder, "damaged", NOW)
    told = [name for name in (*MONEY, *BESIDE) if name not in PERSONS]
    assert part(content(folder.path), *told) == part(before, *told)
    assert not list((folder.path / BACKUPS).glob(".*"))


def test_ledger_is_read_when_no_second_process_starts(folder: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> Never:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", full)
    (folder.path / "journal.jsonl").unlink()
    change_a_row(folder.path / LEDGER)
    assert rebuild.rebuild(folder, "damaged", NOW).ledger == backups.places(folder.path)[0]


def test_copy_of_a_killed_process_is_not_used(folder: StateFolder, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as ended:
        ended.kill()
        assert not CheckedCopy(folder.path, tmp_path, ended).is_whole()


def test_no_process_is_started_for_a_small_ledger(folder: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(subprocess, "Popen", never)
    with rebuild_sources.start_copy(folder.path, folder.path / BACKUPS) as copy:
        assert copy is None


@pytest.mark.skipif(not Path("/proc/self/mounts").exists(), reason="needs /proc/self/mounts")
def test_second_process_gets_no_key(folder: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPACA_SECRET", "a-key-of-ours")
    with rebuild_sources.start_copy(folder.path, folder.path / BACKUPS) as copy:
        assert copy is not None
        environ = Path(f"/proc/{copy._process.pid}/environ").read_bytes()
        while not environ and copy._process.poll() is None:  # It is empty for a moment after the start.
            environ = Path(f"/proc/{copy._process.pid}/environ").read_bytes()
        assert b"PYTHONPATH" in environ
        assert b"a-key-of-ours" not in environ
        assert copy.is_whole()
