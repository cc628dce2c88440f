"""One bot's folder: found, marked, and never mistaken for a new one."""

import errno
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.kit.rows import ACCOUNT, NOW
from tradebot.adapters.facts import schema as facts_schema
from tradebot.adapters.ledger import schema as ledger_schema
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import folder_identity, state_folder
from tradebot.errors import DamagedMarkerError, ExitCode, OperatorError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "bot"
    state_folder.create(path, "sandbox", ACCOUNT, "user", NOW)
    SqliteLedger.create(path, ACCOUNT, NOW).close()
    return path


def test_resolve_prefers_the_flag_then_the_environment() -> None:
    environ = {"TRADEBOT_STATE": "there"}
    assert state_folder.resolve("here", environ) == Path("here")
    assert state_folder.resolve(None, environ) == Path("there")
    assert state_folder.resolve(None, {}) == Path("state")


def test_open_state_returns_what_was_created(folder: Path) -> None:
    state = state_folder.open_state(folder)
    assert (state.kind, state.mode, state.account_number) == ("user", "sandbox", ACCOUNT)
    assert (state.created_at, state.tail) == (NOW, ACCOUNT[-4:])
    assert state.exchange.is_dir()
    assert state.plans.is_dir()


def test_state_files_are_for_their_owner_only(folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir() if path.is_file()}
    assert modes.keys() >= {"state.id", "ledger.db", "journal.jsonl"}
    assert set(modes.values()) == {0o600}


def test_create_accepts_a_folder_with_hidden_files(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*")
    tmp_path.chmod(0o755)
    assert state_folder.create(tmp_path, "paper", ACCOUNT, "user", NOW).path == tmp_path
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_state_is_created_once(folder: Path) -> None:
    with pytest.raises(OperatorError, match="already"):
        state_folder.create(folder, "paper", "OTHER", "user", NOW)
    assert state_folder.open_state(folder).account_number == ACCOUNT


def test_open_state_names_the_missing_folder_known_states_and_the_next_command(here: Path, folder: Path) -> None:
    state_folder.create(here / "state" / "second", "sandbox", ACCOUNT, "demo", NOW)
    with pytest.raises(OperatorError) as caught:
        state_folder.open_state(here / "none", {"TRADEBOT_STATE": str(folder)})
    assert caught.value.code is ExitCode.USAGE
    assert str(here / "none") in caught.value.message
    assert f"state/second, {folder}" in caught.value.message
    assert "tradebot init" in caught.value.hint


def test_open_state_suggests_the_option_for_a_known_state(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state_folder.create(here / "sb", "sandbox", ACCOUNT, "user", NOW)
    with pytest.raises(OperatorError, match="State folders known here: sb") as caught:
        state_folder.open_state(Path("state"), {})
    assert caught.value.hint.startswith("add --state-dir sb to use that one")
    monkeypatch.chdir(here / "sb")
    with pytest.raises(OperatorError, match=r"State folders known here: \.\.$"):
        state_folder.open_state(Path("state"), {})


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"x"', '{"schema": 1}', '{"schema": "x"}', "\udcff", '{"schema": 2}']
)
def test_open_state_refuses_an_unreadable_marker(folder: Path, text: str) -> None:
    marker = folder / "state.id"
    if text == '{"schema": 2}':
        text = json.dumps(json.loads(marker.read_text()) | {"schema": 2})
    marker.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(OperatorError) as caught:
        state_folder.open_state(folder)
    assert caught.value.hint


def test_flipped_bit_in_a_marker_is_found_and_a_backup_restores_it(folder: Path) -> None:
    marker, kept = folder / "state.id", folder / "backups" / "20260105T150000Z-by-hand" / "state.id"
    whole, said = marker.read_bytes(), state_folder.read_marker(folder)
    (folder / "state.id.copy").unlink()
    kept.parent.mkdir(parents=True)
    kept.write_bytes(whole)
    passed, hints = 0, set()
    for place in range(0, 8 * len(whole), 7):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        marker.write_bytes(flipped)
        try:
            assert state_folder.read_marker(folder) == said, flipped
            passed += 1
        except OperatorError as error:
            hints.add(error.hint)
    # JSON doesn't care about most of its blanks.
    assert passed < len(whole) / 7
    assert hints == {f"restore it: cp {kept} {marker}"}
    kept.write_bytes(flipped)
    with pytest.raises(OperatorError) as caught:
        state_folder.read_marker(folder)
    assert "RUNBOOK" in caught.value.hint


@pytest.mark.parametrize("text", [b"", b"\xff" * 200, b"{}", b'{"schema": 1}'])
def test_damaged_marker_is_read_from_its_copy_or_refused(folder: Path, text: bytes) -> None:
    said = state_folder.read_marker(folder)
    (folder / "state.id").write_bytes(text)
    with pytest.raises(DamagedMarkerError, match=r"damaged|can't be read") as caught:
        state_folder.open_state(folder)
    assert caught.value.hint == f"restore it: cp {folder / 'state.id.copy'} {folder / 'state.id'}"
    assert folder_identity.marker_from_copy(folder, caught.value) == folder_identity.load_marker(folder) == said
    (folder / "state.id.copy").write_bytes(text)
    with pytest.raises(DamagedMarkerError):
        folder_identity.load_marker(folder)


def test_lost_marker_is_restored_from_a_backup_or_needs_init(folder: Path) -> None:
    marker, kept = folder / "state.id", folder / "backups" / "20260105T150000Z-by-hand" / "state.id"
    (folder / "state.id.copy").unlink()
    marker.rename(folder / "aside")
    with pytest.raises(OperatorError) as caught:
        state_folder.open_state(folder)
    assert "tradebot init" in caught.value.hint
    kept.parent.mkdir(parents=True)
    (folder / "aside").rename(kept)
    with pytest.raises(DamagedMarkerError, match="lost") as damaged:
        state_folder.open_state(folder)
    assert damaged.value.hint == f"restore it: cp {kept} {marker}"
    assert folder_identity.marker_from_copy(folder, damaged.value).account_number == ACCOUNT


@pytest.mark.parametrize("size", [None, 0])
def test_marked_folder_without_a_ledger_is_lost_and_not_new(folder: Path, size: int | None) -> None:
    (folder / "ledger.db").unlink()
    if size is not None:
        (folder / "ledger.db").touch()
    with pytest.raises(OperatorError, match="the books existed, and are lost") as caught:
        state_folder.open_state(folder)
    assert "RUNBOOK" in caught.value.hint
    with pytest.raises(OperatorError):
        SqliteLedger.create(folder, ACCOUNT, NOW)
    assert (folder / "ledger.db").exists() is (size is not None)


def test_create_refuses_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "bot").write_text("")
    with pytest.raises(OperatorError, match="is not a folder"):
        state_folder.create(tmp_path / "bot", "sandbox", ACCOUNT, "user", NOW)
    with pytest.raises(OperatorError, match="is not a folder"):
        state_folder.open_state(tmp_path / "bot", {})


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize(
    ("name", "within"),
    [("ledger.db", ledger_schema.translate_errors), ("facts.db", facts_schema.FILE.translate_errors)],
)
def test_read_only_database_is_named_with_a_remedy(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    within: Callable[[Path], AbstractContextManager[None]],
    *,
    writable: bool,
) -> None:
    path = tmp_path / name
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE some (one)")
    # Root may write whatever a file's mode says.
    monkeypatch.setattr(os, "access", lambda place, mode: writable)
    with (
        closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database,
        pytest.raises(OperatorError, match=f"{name}: attempt to write a readonly database") as told,
        within(path),
    ):
        database.execute("INSERT INTO some VALUES (1)")
    assert told.value.hint.endswith(f"chmod u+rw {path}") != writable
    assert told.value.hint.startswith("free up disk space") == writable


@pytest.mark.parametrize("there", [True, False])
def test_cannot_write_names_the_file_or_else_the_folder(tmp_path: Path, *, there: bool) -> None:
    path = tmp_path / "fetch.lock"
    if there:
        path.touch()
    told = state_folder.cannot_write(tmp_path, PermissionError(errno.EACCES, "Permission denied", str(path)))
    assert told.hint.endswith(f"chmod u+rw {path}" if there else f"chmod u+rwx {tmp_path}")


def test_on_a_file_system_mounted_read_only_the_next_step_is_to_mount_it_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = OSError(errno.EROFS, "Read-only file system", str(tmp_path / "fetch.lock"))
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    read_only = "attempt to write a readonly database"
    database = state_folder.cannot_write_database(tmp_path / "ledger.db", read_only, "SQLITE_READONLY")
    way = f"its file system is mounted read-only; see findmnt -T {tmp_path}, and mount it writable"
    assert {state_folder.cannot_write(tmp_path, refused).hint, database.hint} == {way}
