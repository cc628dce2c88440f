"""A file that isn't of its kind and version is damage, and whatever is in its place is moved aside."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tradebot.adapters.state.cache_database import CacheDatabase, DamagedError

NOTES = CacheDatabase("notes", 77, 1, ("CREATE TABLE notes (text TEXT)",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    database, _ = NOTES.start_over(tmp_path / "notes.db")
    with closing(database):
        database.execute("INSERT INTO notes VALUES ('kept')")
    return tmp_path / "notes.db"


def test_open_refuses_a_file_of_another_application_or_version_and_leaves_it(path: Path) -> None:
    for other in (NOTES._replace(application_id=78), NOTES._replace(version=2)):
        with pytest.raises(DamagedError):
            other.open(path)
    with closing(NOTES.open(path)) as database:
        assert database.execute("SELECT text FROM notes").fetchall() == [("kept",)]


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "dangling link"])
def test_start_over_moves_aside_what_is_no_regular_file(path: Path, kind: str) -> None:
    path.rename(path.with_name("elsewhere"))
    make: dict[str, Callable[[], object]] = {
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "link": lambda: path.symlink_to("elsewhere"),
        "dangling link": lambda: path.symlink_to("nowhere"),
    }
    make[kind]()
    with pytest.raises(DamagedError):
        NOTES.open(path)
    database, moved_to = NOTES.start_over(path)
    database.close()
    assert moved_to is not None
    assert os.path.lexists(moved_to)
    assert (path.is_file(), path.is_symlink()) == (True, False)
