"""A person's file is changed completely or not at all, and never over a change of somebody else.

The file of keys and gates: each line means what its writer meant, or nothing is read.
"""

import errno
import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.fakes.machine import Timer
from tradebot.adapters.state import user_files
from tradebot.adapters.state.user_files import describe_sources, open_for_change, read_env_file
from tradebot.app.keys import load_gates
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.gates.permission import NAMES, PermissionInputs, permission_of
from tradebot.model.reasons import Reason
from tradebot.model.trading import Mode


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
        with pytest.raises(TradebotError, match="was created by someone else meanwhile:"):
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
        (errno.EACCES, "check who may write there: ls -ld "),
        (errno.ENOSPC, "free some space"),
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


SECRET = "s3cret-of-mine"
UNREADABLE = {
    "a colon": (f"UW_API_KEY={SECRET}\n\nDRY_RUN: true\n", "line 3: it is not NAME=VALUE"),
    "a blank": ("DRY_RUN true\n", "line 1: it is not NAME=VALUE"),
    "a quote left open": (f'A=1\n# note\nALPACA_SECRET="{SECRET}\n', "line 3: it is not NAME=VALUE"),
    "a quote closed by a later line": (
        f'ALPACA_SECRET="{SECRET}\nDRY_RUN=true\nOTHER=x"\n', "line 1: its quote is not closed on the same line"
    ),
    "another shell": ('$env:DRY_RUN="true"\n', "line 1: it is not NAME=VALUE"),
    "a name that only looks like one": ("DRY_RUN\u200b=true\n", "line 1: it is not NAME=VALUE"),
    "quotes around the name": ('"DRY_RUN"=true\n', "line 1: it is not NAME=VALUE"),
    "small letters": ("\r\n\r\ndry_run=true\n", "line 3: DRY_RUN must be spelled exactly like this"),
    "a dash": ("Allow-Orders=false\n", "line 1: ALLOW_ORDERS must be spelled exactly like this"),
}  # fmt: skip


def written(folder: Path, text: str) -> Path:
    path = folder / ".env"
    path.write_bytes(text.encode())
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("case", UNREADABLE)
def test_unreadable_line_is_named_by_number_without_its_text(case: str, tmp_path: Path) -> None:
    text, said = UNREADABLE[case]
    path = written(tmp_path, text)
    with pytest.raises(OperatorError) as caught:
        load_gates({}, path)
    assert caught.value.message == f"{path}, {said}"
    assert caught.value.hint == f"write each line of {path} as NAME=VALUE and close quotes"
    assert SECRET not in caught.value.message


def test_common_notations_are_read(tmp_path: Path) -> None:
    text = (
        "\ufeff# keys\r\nexport DRY_RUN = 'false' # never\r\n\r\nALLOW_ORDERS=\nENABLE_ORDER_EXEC\n"
        'PEM="a\nb"\nmy.own-name=1\n'
    )
    assert read_env_file(written(tmp_path, text)) == {
        "DRY_RUN": "false", "ALLOW_ORDERS": "", "ENABLE_ORDER_EXEC": "", "PEM": "a\nb", "my.own-name": "1",
    }  # fmt: skip


LETTERS = {
    "DRY_RUN=false ": "false ",
    "DRY_RUN= false": " false",
    "DRY_RUN=\tfalse\t": "\tfalse\t",
    "DRY_RUN=false\u00a0": "false\u00a0",
    "DRY_RUN='false '": "false ",
    "DRY_RUN=false   # never": "false",
    'DRY_RUN = "false"': "false",
    "\n\nexport DRY_RUN=false": "false",
    "DRY_RUN=": "",
}
"""Lines of a gate, and what each says: blanks beside a bare word are part of it, as in the environment."""


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
@pytest.mark.parametrize("line", LETTERS)
def test_gate_in_the_file_has_the_value_it_would_have_in_the_environment(
    line: str, ending: str, tmp_path: Path
) -> None:
    said = load_gates({}, written(tmp_path, f"{line}{ending}"))["DRY_RUN"]
    assert said == LETTERS[line]
    for mode in Mode:
        closed = dict(permission_of(PermissionInputs(mode, "", "912345678", {"DRY_RUN": said}, None)).closed)
        found = next((text for text in closed.values() if text.startswith("DRY_RUN")), None)
        blank = bool(said) and said != said.strip()
        assert (found is None) is (said == "false")
        assert blank is (found == f"DRY_RUN has an unclear value: {said!r} has a space next to the word")


def test_other_values_lose_the_spaces_around_them(tmp_path: Path) -> None:
    assert read_env_file(written(tmp_path, "UW_API_KEY= key-of-mine \n")) == {"UW_API_KEY": "key-of-mine"}


@pytest.mark.parametrize("link", [False, True], ids=["the file", "the link to it"])
def test_a_file_of_another_user_is_refused(link: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, us = written(tmp_path, "DRY_RUN=false\n"), os.geteuid()
    read = os.lstat if link else os.fstat

    def of_somebody(place: object) -> os.stat_result:
        found = read(place)  # type: ignore[arg-type]
        return os.stat_result((*found[:4], 54_321, *found[5:]))

    monkeypatch.setattr(os, read.__name__, of_somebody)
    with pytest.raises(OperatorError) as refused:
        read_env_file(path)
    assert refused.value.message == f"{path} belongs to another user (uid 54321, and this is uid {us})"
    assert f"sudo chown {us} {path}" in refused.value.hint


@given(
    line=st.text(st.characters(codec="utf-8", categories=("L", "P", "S", "Z")), max_size=12),
    name=st.sampled_from(NAMES),
)
def test_gate_in_a_file_is_read_or_the_file_is_refused(
    line: str, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever stands between a name and a word: a file that holds both never counts as one that says nothing."""
    path = written(tmp_path_factory.mktemp("env"), f"{name}{line}no\n")
    try:
        found = load_gates({}, path)
    except OperatorError:
        return
    assert name in found or not line.startswith("=")


def test_environment_overrides_the_file_even_with_an_empty_value(tmp_path: Path) -> None:
    path = written(tmp_path, "ALLOW_ORDERS=true\nENABLE_ORDER_EXEC=true\nDRY_RUN=\n")
    found = load_gates({"ALLOW_ORDERS": ""}, path)
    assert found == {"ALLOW_ORDERS": "", "ENABLE_ORDER_EXEC": "true", "DRY_RUN": ""}
    for mode in Mode:
        closed = permission_of(PermissionInputs(mode, "", "912345678", found, None)).closed
        assert (Reason.ORDER_GATE_CLOSED, "ALLOW_ORDERS is set but empty") in closed
        assert (Reason.ORDER_GATE_CLOSED, "DRY_RUN is set but empty") in closed


def test_describe_sources_names_the_full_path(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert describe_sources(Path(".env")) == f"the environment only: no {here / '.env'}"
    written(here, "")
    assert describe_sources(Path(".env")) == f"the environment, then {here / '.env'}"
    gone = here / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert describe_sources(Path(".env")) == "the environment only: the current folder was deleted"
