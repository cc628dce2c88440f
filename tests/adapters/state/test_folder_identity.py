"""A copied folder is known by the note of where it was copied from, for as long as the bot is still there."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tradebot.adapters.state import folder_identity, state_folder
from tradebot.adapters.state.state_folder import HOME, StateFolder, read_marker


def made(path: Path, mode: str = "paper", kind: str = "user") -> StateFolder:
    return state_folder.create(path, mode, "PA1", kind, datetime.now(UTC))


@pytest.fixture
def first(tmp_path: Path) -> StateFolder:
    return made(tmp_path / "first")


def copied(folder: StateFolder, name: str) -> StateFolder:
    return read_marker(shutil.copytree(folder.path, folder.path.with_name(name)))


def original_after_a_pass(path: Path) -> Path | None:
    """Return what a folder is a copy of, also once a pass has noted where it is."""
    folder = read_marker(path)
    before = folder_identity.original(folder)
    folder_identity.note_place(folder)
    assert folder_identity.original(folder) == before
    return before


def test_copy_is_known_while_the_bot_is_where_it_was_copied_from_and_the_bot_never_is_one(first: StateFolder) -> None:
    copies = copied(first, "copy"), copied(first, "another")
    assert [original_after_a_pass(copy.path) for copy in copies] == [first.path, first.path]
    assert original_after_a_pass(first.path) is None
    (first.path / state_folder.MARKER).write_text("{")
    assert original_after_a_pass(copies[0].path) == first.path, "its marker's copy still says whose it is"


@pytest.mark.parametrize("place", ["else where", "sub/first", "f\udcff"])
def test_moved_folder_goes_on_and_what_is_copied_from_there_is_a_copy_of_it(place: str, first: StateFolder) -> None:
    there = first.path.parent / place
    there.parent.mkdir(exist_ok=True)
    first.path.rename(there)
    assert original_after_a_pass(there) is None
    copied(read_marker(there), "copy")
    assert original_after_a_pass(there.with_name("copy")) == there
    assert original_after_a_pass(there) is None


def test_copy_that_takes_the_place_of_its_original_is_the_bot_and_what_was_put_aside_is_the_copy(
    first: StateFolder,
) -> None:
    """So `mv state kept; cp -a kept state` goes on, and so does a folder restored from a backup of files."""
    aside = first.path.rename(first.path.with_name("kept"))
    shutil.copytree(aside, first.path)
    assert original_after_a_pass(first.path) is None
    assert original_after_a_pass(aside) == first.path


def test_other_names_of_one_folder_and_another_bot_in_its_former_place_make_no_copy(first: StateFolder) -> None:
    link = first.path.with_name("link")
    link.symlink_to(first.path)
    assert original_after_a_pass(link) is None
    there = first.path.rename(first.path.with_name("moved"))
    made(first.path)
    assert original_after_a_pass(there) is None


@pytest.mark.parametrize("note", [b"", b"{", b"[1]", b'"\\u0000"', b"\xff"])
def test_note_that_cannot_be_read_stops_nothing_and_is_written_again(note: bytes, first: StateFolder) -> None:
    (first.path / HOME).write_bytes(note)
    assert original_after_a_pass(first.path) is None
    assert folder_identity.original(copied(first, "copy")) == first.path


def test_note_that_cannot_be_written_stops_nothing(first: StateFolder) -> None:
    (first.path / HOME).unlink()
    (first.path / HOME).mkdir()
    assert original_after_a_pass(first.path) is None


def test_of_two_folders_the_one_that_takes_over_trades_and_it_can_be_taken_back(first: StateFolder) -> None:
    copy = copied(first, "copy")
    for now, before in ((copy, first), (first, copy)):
        folder_identity.take_over(now, before.path)
        assert (original_after_a_pass(now.path), original_after_a_pass(before.path)) == (None, now.path)


@pytest.mark.parametrize(("mode", "kind"), [("sandbox", "user"), ("paper", "backtest"), ("live", "shadow")])
def test_what_has_an_account_of_its_own_is_copied_freely(mode: str, kind: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "own", mode, kind)
    folder_identity.note_place(folder)
    assert not (folder.path / HOME).exists()
    assert original_after_a_pass(copied(folder, "copy").path) is None
