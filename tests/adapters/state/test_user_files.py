"""A person's file is changed completely or not at all, and never over a change of somebody else."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from tests.kit.fakes.machine import Timer
from tradebot.adapters.state import user_files
from tradebot.adapters.state.user_files import open_for_change
from tradebot.errors import ExitCode, OperatorError, TradebotError


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_replaced_file_keeps_its_mode_and_the_link_that_leads_to_it(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "mine.yaml", tmp_path / "tradebot.yaml"
    target.write_text("before")
    target.chmod(0o640)
    link.symlink_to(target)
    with open_for_change(link) as file:
        assert (file.exists, file.content) == (True, b"before")
        file.replace("after")
    assert (target.read_text(), link.is_symlink(), target.stat().st_mode & 0o777) == ("after", True, 0o640)
    assert names(target.parent) == ["mine.yaml"]


def test_new_file_is_the_owners_and_never_takes_the_place_of_one_made_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "tradebot.yaml"
    with open_for_change(path) as file:
        file.replace("first")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("first", 0o600)
    path.unlink()
    with open_for_change(path) as file:
        path.write_text("theirs")
        with pytest.raises(TradebotError, match="was made by someone else meanwhile"):
            file.replace("ours")
    assert (path.read_text(), names(tmp_path)) == ("theirs", ["tradebot.yaml"])


@pytest.mark.parametrize("how", ["in place", "replaced", "removed"])
def test_change_of_somebody_else_meanwhile_is_never_lost(tmp_path: Path, how: str) -> None:
    path = tmp_path / "tradebot.yaml"
    path.write_text("before")
    with open_for_change(path) as file:
        if how == "in place":
            path.write_text("theirs")
        else:
            path.unlink()
        if how == "replaced":
            path.write_text("theirs")
        with pytest.raises(TradebotError, match="was changed by someone else meanwhile"):
            file.replace("ours")
    assert names(tmp_path) == ([] if how == "removed" else ["tradebot.yaml"])
    assert how == "removed" or path.read_text() == "theirs"


def test_file_that_another_process_changes_is_waited_for_and_then_given_up(tmp_path: Path, waiting: Timer) -> None:
    path = tmp_path / "tradebot.yaml"
    path.write_text("before")
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(TradebotError) as busy, open_for_change(path):
            pass
    assert (busy.value.code, waiting is not None) == (ExitCode.ANOTHER_INSTANCE, True)


def test_read_only_file_and_what_is_no_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tradebot.yaml"
    path.write_text("mine")
    path.chmod(0o444)
    with pytest.raises(OperatorError, match="is read-only") as refused, open_for_change(path):
        pass
    assert refused.value.hint == f"chmod u+w {path}"
    (tmp_path / "lost").symlink_to(tmp_path / "gone")
    with pytest.raises(OperatorError, match="is a link that leads nowhere"), open_for_change(tmp_path / "lost"):
        pass
    os.mkfifo(tmp_path / "pipe")
    for name, kind in (("pipe", "a pipe"), (".", "a folder")):
        with pytest.raises(OperatorError, match=f"is {kind}, not a regular file"), open_for_change(tmp_path / name):
            pass


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (errno.EROFS, "its file system is read-only"),
        (errno.EACCES, "see who may write there: ls -ld "),
        (errno.ENOSPC, "make room"),
    ],
)
def test_file_that_cannot_be_written_is_named_itself_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, what: str
) -> None:
    def refused(draft: Path) -> None:
        raise OSError(number, os.strerror(number), f"{draft}.593336306977561a.new")

    monkeypatch.setattr(user_files, "create_draft", refused)
    path = tmp_path / "tradebot.yaml"
    with open_for_change(path) as own, pytest.raises(OperatorError) as told:
        own.replace("shadow: true\n")
    assert told.value.message == f"{path} can't be written: {os.strerror(number)}. Nothing was written."
    assert told.value.hint.startswith(what)


def test_file_of_a_read_only_file_system_is_not_to_be_made_writable_by_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tradebot.yaml"
    path.write_text("")
    found = list(os.statvfs(tmp_path))
    found[8] |= os.ST_RDONLY
    monkeypatch.setattr(os, "statvfs", lambda place: os.statvfs_result(found))
    with pytest.raises(OperatorError, match="can't be written: Read-only file system") as told, open_for_change(path):
        pass
    assert "chmod" not in told.value.hint
