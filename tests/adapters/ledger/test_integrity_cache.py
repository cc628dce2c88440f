"""Books that nobody else has touched are read through once a day; after any other change they are read again."""

import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from tests.kit import ledgers
from tests.kit.ledgers import edit
from tests.kit.rows import PASSED, make_intent
from tradebot.adapters import failpoint
from tradebot.adapters.ledger import integrity
from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import resources
from tradebot.adapters.state.state_folder import LEDGER_VERSION
from tradebot.errors import OperatorError

NOTE = "books.checked"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by one each time the books are read through."""
    read, check = list[str](), LedgerFile.check_pages

    def counted(self: LedgerFile) -> None:
        read.append("pages")
        check(self)

    monkeypatch.setattr(LedgerFile, "check_pages", counted)
    return read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder whose books were read through a moment ago."""
    path = ledgers.make(tmp_path / "state").path
    check(path)
    return path


def check(path: Path) -> None:
    """Check the books as a new process does."""
    with closing(LedgerFile.open(path, read_only=True)) as books:
        books.check()


def write(path: Path, slot: str) -> None:
    """Write to the books as another process does, which checks them first."""
    with closing(SqliteLedger.open(path)) as books:
        books.file.check()
        assert books.record_intent(make_intent(slot), (PASSED,))


def test_checked_books_are_trusted_until_another_program_writes(folder: Path, reads: list[str]) -> None:
    check(folder)
    write(folder, "open+90m")
    check(folder)
    assert reads == []
    edit(folder / "ledger.db", f"PRAGMA user_version = {LEDGER_VERSION}")
    check(folder)
    assert reads == ["pages"]


def flipped(path: Path) -> None:
    """Flip a bit in place and put back the time of the last change, as a careless repair does."""
    before, whole = path.stat(), path.read_bytes()
    place = whole.rindex(b"a storm") if path.suffix == ".jsonl" else whole.rindex(b"187.25")
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes([whole[place] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def shorter(path: Path) -> None:
    """Cut the file in half."""
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("name", ["ledger.db", "journal.jsonl"])
@pytest.mark.parametrize("harm", [flipped, shorter])
def test_damage_is_found_at_once_even_if_it_keeps_size_and_time(
    folder: Path, harm: Callable[[Path], None], name: str
) -> None:
    harm(folder / name)
    with pytest.raises(OperatorError):
        check(folder)


def test_older_copy_that_was_put_back_is_checked_again(folder: Path, reads: list[str]) -> None:
    shutil.copy2(folder / "ledger.db", folder / "copy")
    write(folder, "open+90m")
    (folder / "copy").rename(folder / "ledger.db")
    check(folder)
    assert reads == ["pages"]


def test_copied_folder_is_checked_again(folder: Path, reads: list[str]) -> None:
    shutil.copytree(folder, folder.with_name("copied"))
    check(folder.with_name("copied"))
    assert reads == ["pages"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda note: note | {"boot": "another"},
        lambda note: note | {"day": "2026-01-05"},
        lambda note: note | {"at_ns": note["ledger"][-1] + 1},
        lambda note: {},
        lambda note: [],
    ],
)
def test_note_is_ignored_when_it_is_damaged_too_late_or_of_another_day_or_boot(
    folder: Path, reads: list[str], spoil: Callable[[dict[str, object]], object]
) -> None:
    note = json.loads((folder / NOTE).read_text())
    (folder / NOTE).write_text(json.dumps(spoil(note)))
    check(folder)
    check(folder)
    assert reads == ["pages"], "the second time, the new note is believed"


def test_every_process_checks_the_books_when_the_boot_has_no_id(
    folder: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "BOOT_ID", folder / "missing")
    for _ in range(2):
        check(folder)
    assert reads == ["pages"] * 2


def test_open_books_are_checked_again_on_the_next_day(
    folder: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(SqliteLedger.open(folder)) as books:
        books.file.check()
        monkeypatch.setattr(integrity, "_today", lambda: date(2199, 1, 1))
        books.file.check()
        books.file.check()
    assert reads == ["pages"]


def test_books_are_checked_before_risk_is_added_whatever_the_note_says(folder: Path, reads: list[str]) -> None:
    with closing(SqliteLedger.open(folder)) as books:
        books.file.check_whole()
        books.file.check_whole()
    assert reads == ["pages"]


def test_failed_commit_ends_the_trust_in_the_books(
    folder: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(point: str) -> None:
        if point == "ledger_file.commit.before":
            raise OSError

    with closing(SqliteLedger.open(folder)) as books:
        books.file.check()
        monkeypatch.setattr(failpoint, "hook", fails)
        with pytest.raises(OperatorError):
            books.record_intent(make_intent("open+90m"), (PASSED,))
        monkeypatch.setattr(failpoint, "hook", None)
        books.file.check()
    assert reads == ["pages"]


def test_books_changed_between_two_checks_of_an_open_ledger_are_read_through(folder: Path) -> None:
    with closing(SqliteLedger.open(folder)) as books:
        books.file.check()
        flipped(folder / "journal.jsonl")
        with pytest.raises(OperatorError):
            books.file.check()


def test_note_is_written_only_when_its_time_proves_it(folder: Path) -> None:
    write(folder, "open+90m")
    note = json.loads((folder / NOTE).read_text())
    assert max(note["ledger"][-1], note["journal"][-1]) + integrity.COARSE_NS < note["at_ns"] <= time.time_ns()


def test_two_processes_with_large_books_take_turns_without_reading_them_through(
    folder: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "LARGE", 0)
    with closing(SqliteLedger.open(folder)) as one, closing(SqliteLedger.open(folder)) as other:
        for turn in range(6):
            books = (one, other)[turn % 2]
            books.file.check()
            assert books.record_intent(make_intent(f"open+{90 + turn}m"), (PASSED,))
            books.file.keep_custody()
    assert reads == []
