"""A file of an earlier version is upgraded in place, once, and loses nothing."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tradebot.adapters.state.cache_database import CacheDatabase, DamagedError
from tradebot.errors import OperatorError

OLD = CacheDatabase("notes", 77, 1, ("CREATE TABLE notes (text TEXT)",))
MIDDLE = ("CREATE TABLE tags (tag TEXT)",)
NEW = CacheDatabase(
    "notes", 77, 3, (*OLD.tables, *MIDDLE, "CREATE INDEX by_tag ON tags (tag)"),
    upgrades={1: MIDDLE, 2: ("CREATE INDEX by_tag ON tags (tag)",)},
)  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    database, _ = OLD.start_over(tmp_path / "notes.db")
    with closing(database):
        database.execute("INSERT INTO notes VALUES ('kept')")
    return tmp_path / "notes.db"


def notes(path: Path) -> list[tuple[str]]:
    with closing(NEW.open(path)) as database:
        database.execute("INSERT INTO tags VALUES ('new')")
        return database.execute("SELECT text FROM notes").fetchall()


def test_it_goes_through_each_version_and_keeps_its_rows(path: Path) -> None:
    assert notes(path) == [("kept",)]
    assert notes(path) == [("kept",)]
    with pytest.raises(DamagedError):
        OLD.open(path)


def test_a_file_of_another_application_or_a_later_version_is_not_upgraded(path: Path) -> None:
    for other in (NEW._replace(application_id=78), CacheDatabase("notes", 77, 5, OLD.tables, {4: ()})):
        with pytest.raises(DamagedError):
            other.open(path)
    assert notes(path) == [("kept",)]


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "dangling link"])
def test_what_is_no_file_at_all_is_damage_and_moved_aside_so_that_exits_go_on(path: Path, kind: str) -> None:
    path.rename(path.with_name("elsewhere"))
    make: dict[str, Callable[[], object]] = {
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "link": lambda: path.symlink_to("elsewhere"),
        "dangling link": lambda: path.symlink_to("nowhere"),
    }
    make[kind]()
    with pytest.raises(DamagedError):
        NEW.open(path)
    database, moved_to = NEW.start_over(path)
    database.close()
    assert moved_to is not None
    assert os.path.lexists(moved_to)
    assert (path.is_file(), path.is_symlink()) == (True, False)


def test_an_upgrade_that_fails_changes_nothing(path: Path) -> None:
    with pytest.raises(OperatorError):
        NEW._replace(upgrades={1: (*MIDDLE, *MIDDLE), 2: ()}).open(path)
    assert notes(path) == [("kept",)]


def test_processes_that_open_it_at_once_upgrade_it_once(path: Path) -> None:
    children = [forked(path) for _ in range(8)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    assert notes(path) == [("kept",)]


def forked(path: Path) -> int:
    """Read the notes in a process of its own, which ends with 0 if they are there; return its number."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if notes(path) == [("kept",)] else 2
        finally:
            os._exit(code)
    return child


def test_a_file_that_can_only_be_read_needs_a_person(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write any file, whatever its mode.
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK)
    with pytest.raises(OperatorError, match="read-only"):
        NEW.open(path)
