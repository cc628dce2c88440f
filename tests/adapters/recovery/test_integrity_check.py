"""Damage is seen before a pass, halts the bot, and moves the books aside whole."""

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.kit import ledgers
from tests.kit.bot import forked
from tests.kit.ledgers import edit
from tests.kit.rows import ACCOUNT, NOW, PASSED, make_intent, minutes
from tradebot.adapters.ledger import integrity
from tradebot.adapters.ledger import schema as ledger_schema
from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.recovery import integrity_check, quarantine
from tradebot.adapters.state import halt_switch, state_folder
from tradebot.adapters.state.marker_text import marker_text
from tradebot.adapters.state.state_folder import LEDGER_VERSION, StateFolder
from tradebot.errors import DamagedBooksError, DamagedJournalError, OperatorError, TemporaryError
from tradebot.model.position import Origin

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return ledgers.make(tmp_path / "state")


def flip(path: Path, text: bytes) -> None:
    path.write_bytes(path.read_bytes().replace(text, bytes([text[0] ^ 1]) + text[1:], 1))


def older(path: Path) -> None:
    """Put a copy back that was taken before the last two things were written."""
    kept = path.read_bytes()
    books = SqliteLedger.open(path.parent)
    books.record_intent(make_intent("open+60m"), (PASSED,))
    books.record_intent(make_intent("open+65m"), (PASSED,))
    books.close()
    path.write_bytes(kept)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "garbage": lambda path: path.write_bytes(b"garbage!" * 8 + path.read_bytes()[64:]),
    "bit-flipped": lambda path: flip(path, b"187.25"),
    "older": older,
    "no owner": lambda path: edit(path, "DELETE FROM book"),
    "halts emptied": lambda path: edit(path, "DELETE FROM trading_states"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_books_halt_and_move_whole_into_the_quarantine(folder: StateFolder, damage: str) -> None:
    path, events = folder.path, MemoryEvents()
    DAMAGE[damage](path / "ledger.db")
    before = {name: (path / name).read_bytes() for name in quarantine.BOOKS if (path / name).exists()}
    with pytest.raises(DamagedBooksError, match="was moved to") as caught:
        integrity_check.require_sound(folder, events)
    assert "tradebot recover" in caught.value.hint
    assert not halt_switch.is_armed(path)
    assert [event.event_type for event in events.emitted] == ["damaged"]
    (place,) = quarantine.places(path)
    assert {name: (place / name).read_bytes() for name in before} == before
    manifest = json.loads((place / "manifest.json").read_text())
    assert {name: quarantine.describe(place / name) for name in before} == manifest["files"]
    assert not any((path / name).exists() for name in quarantine.BOOKS)


def test_sound_books_stay_and_a_hot_rollback_journal_moves_with_its_ledger_each_time_into_another_folder(
    folder: StateFolder,
) -> None:
    integrity_check.require_sound(folder, MemoryEvents())
    assert (halt_switch.is_armed(folder.path), quarantine.places(folder.path)) == (True, [])
    (folder.path / "ledger.db-journal").write_bytes(b"half a commit")
    place = quarantine.move(folder.path, "why not", NOW)
    assert place is not None
    assert (place / "ledger.db-journal").read_bytes() == b"half a commit"
    assert not (folder.path / "ledger.db-journal").exists()
    assert quarantine.move(folder.path, "why", NOW) is None
    (folder.path / "ledger.db").write_bytes(b"again")
    assert quarantine.move(folder.path, "why", NOW) != place


def test_a_crash_before_the_commit_leaves_sound_books(folder: StateFolder) -> None:
    # The journal runs ahead by what was never committed, twice over, as two crashes at the same place leave it.
    code = (
        "import os, signal, sys; from pathlib import Path; from tests.kit.rows import *\n"
        "from tradebot.adapters import failpoint; from tradebot.adapters.ledger.ledger import SqliteLedger\n"
        "def dies(point):\n    if point == 'ledger_file.commit.before': os.kill(os.getpid(), signal.SIGKILL)\n"
        "failpoint.hook = dies; SqliteLedger.open(Path(sys.argv[1])).record_intent(make_intent('open+90m'), (PASSED,))"
    )
    for _ in range(2):
        done = forked.ran(code, folder.path)
        assert done.returncode == -signal.SIGKILL
    integrity_check.problem(folder)
    books = SqliteLedger.open(folder.path)
    assert books.record_intent(make_intent("open+90m"), (PASSED,))
    books.close()
    integrity_check.problem(folder)


def test_check_refuses_the_ledger_of_another_journal(folder: StateFolder, tmp_path: Path) -> None:
    other = ledgers.make(tmp_path / "other")
    books = SqliteLedger.open(other.path)
    books.adjust_cash(Decimal(1), "elsewhere", minutes(20), origin=Origin.PLAN)
    books.close()
    books = SqliteLedger.open(folder.path)
    books.adjust_cash(Decimal(2), "here", minutes(20), origin=Origin.PLAN)
    books.close()
    shutil.copy(other.path / "ledger.db", folder.path / "ledger.db")
    with pytest.raises(DamagedBooksError, match="don't belong together"):
        integrity_check.problem(folder)


def test_the_ledger_of_another_account_is_refused_and_left_alone(folder: StateFolder) -> None:
    stranger = folder._replace(account_number="SBX000000043")
    with pytest.raises(OperatorError, match="belong to account"):
        integrity_check.require_sound(stranger, MemoryEvents())
    assert quarantine.places(folder.path) == []


def test_ledger_of_a_newer_version_is_refused_and_left_alone(folder: StateFolder) -> None:
    edit(folder.path / "ledger.db", f"PRAGMA user_version = {LEDGER_VERSION + 1}")
    with pytest.raises(OperatorError, match="another version"):
        integrity_check.require_sound(folder, MemoryEvents())
    assert quarantine.places(folder.path) == []


def test_locked_ledger_is_a_temporary_error_and_no_damage(folder: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = ledger_schema._connect
    holder = sqlite3.connect(folder.path / "ledger.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(ledger_schema, "_connect", lambda path, mode, _: connect(path, mode, 0.01))
    with pytest.raises(TemporaryError):
        integrity_check.require_sound(folder, MemoryEvents())
    holder.close()
    assert quarantine.places(folder.path) == []
    assert halt_switch.is_armed(folder.path)


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: os.replace(shutil.copy(path, f"{path}.other"), path)])
@pytest.mark.parametrize("name", ["ledger.db", "journal.jsonl"])
def test_promise_refuses_a_file_removed_or_replaced_while_open(
    folder: StateFolder, name: str, harm: Callable[[Path], object]
) -> None:
    books = SqliteLedger.open(folder.path)
    books.record_intent(make_intent("open+90m"), (PASSED,))
    harm(folder.path / name)
    with pytest.raises(DamagedBooksError, match="removed or replaced"):
        books.record_intent(make_intent("open+95m"), (PASSED,))
    books.close()


READ_WITH_FAILURES = """
import sys
from pathlib import Path
from tests.kit.fakes.calls import Calls, Failing, SqliteCalls
from tradebot.adapters.recovery import integrity_check
from tradebot.adapters.state import resources
from tradebot.adapters.state.state_folder import open_state
from tradebot.errors import TradebotError

resources.BOOT_ID = Path("missing")  # Without it, books are read through each time.
folder, lasting = open_state(Path(sys.argv[1])), sys.argv[2] == "lasting"
calls = Calls(folder.path, Failing(1, lasting=lasting, each=True))
calls.install()
SqliteCalls(calls).install()
for nth in range(1, 1000):
    calls._watcher = watcher = Failing(nth, lasting=lasting, each=True)
    try:
        integrity_check.problem(folder)
    except TradebotError as error:
        print(type(error).__name__)
    if watcher.failed is None:
        break
"""


@pytest.mark.parametrize("how", ["once", "lasting"])
def test_unreadable_books_are_never_taken_for_damaged(folder: StateFolder, how: str) -> None:
    done = forked.ran(READ_WITH_FAILURES, folder.path, how)
    assert set(done.stdout.split()) == {"CannotWriteError", "TemporaryError"}


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: flip(path, b"a storm"), lambda path: path.write_bytes(b"")])
def test_damaged_journal_halts_and_leaves_the_ledger_in_place(
    folder: StateFolder, harm: Callable[[Path], object]
) -> None:
    harm(folder.path / "journal.jsonl")
    with pytest.raises(DamagedJournalError):
        integrity_check.problem(folder)
    integrity_check.require_sound(folder, MemoryEvents())
    assert not halt_switch.is_armed(folder.path)
    assert "journal" in halt_switch.read(folder.path).why
    assert SqliteLedger.open(folder.path, ACCOUNT).fills()


def of_another(marker: Path, **differs: Any) -> None:
    """Put the marker of another bot in the place of a bot's own."""
    own = state_folder.read_marker(marker.parent)
    marker.write_text(marker_text(json.loads(marker.read_text()) | differs))
    assert state_folder.read_marker(marker.parent) == own._replace(**differs)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (Path.unlink, "no marker"),
        (lambda path: path.write_text("{"), "is damaged"),
        (lambda path: flip(path, b'id": "'), "is damaged"),
        (lambda path: flip(path, ACCOUNT.encode()), "is damaged"),
        (lambda path: of_another(path, account_number="PA0000000000"), "the state of another bot"),
        (lambda path: of_another(path, id="another"), "the state of another bot"),
    ],
)
def test_hold_refuses_a_folder_whose_marker_changed(
    folder: StateFolder, harm: Callable[[Path], object], said: str
) -> None:
    with integrity_check.hold(folder, "trade-once", MemoryEvents()):
        pass
    harm(folder.path / "state.id")
    (folder.path / "state.id.copy").unlink()
    with pytest.raises(OperatorError, match=said), integrity_check.hold(folder, "trade-once", MemoryEvents()):
        raise AssertionError("a pass began")
    assert (folder.path / "ledger.db").exists()


def test_hold_uses_the_copy_of_a_damaged_marker(folder: StateFolder) -> None:
    (folder.path / "state.id").write_text("{")
    with integrity_check.hold(folder, "evaluate-exits", MemoryEvents()):
        pass


def test_damage_keeps_the_reason_of_a_halt_in_force(folder: StateFolder) -> None:
    halt_switch.halt(folder.path, "me", "a storm", NOW, "REDUCE_ONLY")
    (folder.path / "journal.jsonl").unlink()
    events = MemoryEvents()
    integrity_check.require_sound(folder, events)
    assert halt_switch.read(folder.path).why == "a storm"
    assert events.emitted == []


def test_books_that_a_first_pass_opens_are_known_to_be_sound_before_the_next_pass_begins(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "LARGE", 0)
    opened, reads = list[LedgerFile](), list[str]()
    with integrity_check.hold(folder, "trade-once", MemoryEvents(), lambda: next(iter(opened), None)):
        books = SqliteLedger.open(folder.path)
        opened.append(books.file)
        assert books.record_intent(make_intent("open+90m"), (PASSED,))
    monkeypatch.setattr(LedgerFile, "check_pages", lambda self: reads.append("pages"))
    with closing(books), integrity_check.hold(folder, "evaluate-exits", MemoryEvents()):
        assert reads == []


def test_unexpected_error_is_blamed_on_damaged_books_whatever_the_note_says(folder: StateFolder) -> None:
    events = MemoryEvents()
    with pytest.raises(ZeroDivisionError), integrity_check.hold(folder, "trade-once", events):
        raise ZeroDivisionError
    assert integrity_check.blame(folder) is None
    assert events.emitted == []
    edit(folder.path / "ledger.db", "UPDATE fills SET body = '{}'")
    # What flips on the disk itself changes neither times nor versions, so the note still says what it said.
    note = integrity.IntegrityCache(folder.path)
    note.begin(note.look(), 0)
    note.keep(patient=True)
    assert "rows of fills were changed after they were written" in str(integrity_check.blame(folder))
    with pytest.raises(DamagedBooksError, match="moved to"), integrity_check.hold(folder, "trade-once", events):
        raise ZeroDivisionError
    assert not halt_switch.is_armed(folder.path)


@pytest.mark.parametrize("change", ["account = ''", "journal_sequence = 'x'", "rebuilt = x'ff'"])
def test_books_with_a_changed_owner_row_are_damaged(folder: StateFolder, change: str) -> None:
    edit(folder.path / "ledger.db", "UPDATE book SET " + change)  # noqa: S608 - constants of this test
    with pytest.raises(DamagedBooksError, match="is damaged"):
        LedgerFile.open(folder.path, ACCOUNT, read_only=True)
