"""A backup counts once it was read through, and is what the books were at one moment."""

import os
import threading
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.kit import ledgers
from tests.kit.ledgers import verify
from tests.kit.rows import DAY, NOW, PASSED, make_intent
from tradebot.adapters import failpoint
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.recovery import backup_parts, backups, quarantine, rebuild
from tradebot.adapters.recovery.backups import Backup
from tradebot.adapters.state.state_folder import StateFolder
from tradebot.errors import DamagedBooksError, ExitCode, OperatorError, TradebotError

BOTH = ("ledger.db", "journal.jsonl")


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return ledgers.make(tmp_path / "state")


def test_a_backup_holds_what_the_books_held(folder: StateFolder) -> None:
    made = backups.make(folder, "by-hand", NOW)
    with backups.assembled_backup(made.path) as copy:
        found, kept = ledgers.content(copy), ledgers.content(folder.path)
        # The copy is no state of its own: it has no ARMED.
        assert ledgers.part(found, *ledgers.MONEY, *ledgers.BESIDE) == ledgers.part(
            kept, *ledgers.MONEY, *ledgers.BESIDE
        )
        assert (copy / "journal.jsonl").read_bytes() == (folder.path / "journal.jsonl").read_bytes()
    assert backups.verify_backup(folder, made.path.name) == made
    assert (made.intents, made.fills, made.record) == (5, 2, verify(folder.path / "journal.jsonl").sequence)


def test_backup_beside_a_writer_is_of_one_moment(folder: StateFolder) -> None:
    def write() -> None:
        books = SqliteLedger.open(folder.path)
        for number in range(12):
            books.record_intent(make_intent(f"open+{number}h"), (PASSED,))
        books.close()

    writer = threading.Thread(target=write)
    writer.start()
    made = [backups.make(folder, f"number-{number}", NOW) for number in range(4)]
    writer.join()
    for copy in made:
        assert backups.verify_backup(folder, copy.path.name) == copy


def test_second_backup_is_refused_while_one_is_made(folder: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    read_through, refused = backups._read_through, list[TradebotError]()

    def meanwhile(*given: Any) -> Backup:
        for again in (
            partial(backups.make, folder, "second"),
            partial(backups.backup_session, folder, DAY, max_count=30),
        ):
            with pytest.raises(TradebotError) as error:
                again(NOW)
            refused.append(error.value)
        return read_through(*given)

    monkeypatch.setattr(backups, "_read_through", meanwhile)
    made = backups.make(folder, "first", NOW)
    assert [error.code for error in refused] == [ExitCode.ANOTHER_INSTANCE] * 2
    monkeypatch.undo()
    assert backups.verify_backup(folder, made.path.name) == made
    assert backups.make(folder, "second", NOW).record == made.record


def part_of(made: Backup, name: str) -> Path:
    """Return the part that a backup added for a file."""
    return made.path.parent / "parts" / f"{made.path.name}.{name}"


def test_backups_of_one_second_have_different_names(folder: StateFolder) -> None:
    made = [backups.make(folder, "by-hand", NOW).path for _ in range(3)]
    assert sorted(backups.places(folder.path)) == sorted(set(made))
    assert made[2].name == f"{made[0].name}-3"


@pytest.mark.parametrize("name", ["ledger.db", "journal.jsonl", "state.id"])
def test_verified_refuses_a_changed_backup(folder: StateFolder, name: str) -> None:
    made = backups.make(folder, "by-hand", NOW)
    path = made.path / name if name == "state.id" else part_of(made, name)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OperatorError, match="has changed since"):
        backups.verify_backup(folder, made.path.name)
    path.unlink()
    with pytest.raises(OperatorError, match="has changed since"):
        backups.verify_backup(folder, made.path.name)


def test_the_backup_of_another_bot_is_refused(folder: StateFolder) -> None:
    made = backups.make(folder, "by-hand", NOW)
    with pytest.raises(OperatorError, match="another bot"):
        backups.verify_backup(folder._replace(id="another"), made.path.name)
    with pytest.raises(OperatorError, match="there is no backup"):
        backups.verify_backup(folder, "nonsense")


def test_damaged_books_become_no_backup(folder: StateFolder) -> None:
    path = folder.path / "ledger.db"
    path.write_bytes(path.read_bytes().replace(b"187.25", b"187.26"))
    with pytest.raises(DamagedBooksError):
        backups.make(folder, "by-hand", NOW)
    assert backups.places(folder.path) == []


def test_interrupted_backup_does_not_count_and_is_made_again(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(point: str) -> None:
        if point == "backups.name.before":
            raise KeyboardInterrupt

    monkeypatch.setattr(failpoint, "hook", dies)
    with pytest.raises(KeyboardInterrupt):
        backups.backup_session(folder, DAY, NOW, max_count=30)
    assert backups.places(folder.path) == []
    monkeypatch.setattr(failpoint, "hook", None)
    assert backups.backup_session(folder, DAY, NOW, max_count=30) is not None


def test_session_is_backed_up_once_and_the_oldest_are_deleted(folder: StateFolder) -> None:
    by_hand = backups.make(folder, "by-hand", NOW - timedelta(days=9))
    days = [date(2026, 1, day) for day in (5, 6, 7)]
    for number, day in enumerate(days):
        assert backups.backup_session(folder, day, NOW + timedelta(days=number), max_count=2) is not None
        assert backups.backup_session(folder, day, NOW + timedelta(days=number, hours=1), max_count=2) is None
    names = [path.name for path in backups.places(folder.path)]
    assert [name.partition("-")[2] for name in names] == ["session-2026-01-07", "session-2026-01-06", "by-hand"]
    assert backups.verify_backup(folder, by_hand.path.name) == by_hand


def test_make_refuses_a_file_in_place_of_the_backups(folder: StateFolder) -> None:
    (folder.path / "backups").write_text("not a folder")
    with pytest.raises(OperatorError, match="is not a folder"):
        backups.make(folder, "by-hand", NOW)


def grown(folder: StateFolder, number: int) -> None:
    """Let the books hold one intent more."""
    books = SqliteLedger.open(folder.path)
    books.record_intent(make_intent(f"open+{number}h"), (PASSED,))
    books.close()


def test_parts_are_deleted_only_when_no_backup_needs_them(folder: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_parts, "MAX_PARTS", 3)
    for number in range(6):
        grown(folder, number)
        made = backups.backup_session(folder, DAY + timedelta(days=number), NOW + timedelta(days=number), max_count=2)
        kept = backups.places(folder.path)
        assert [backups.verify_backup(folder, place.name).path for place in kept] == kept
        assert made is not None
    parts = {path.name.partition("Z")[0] for path in (folder.path / "backups" / "parts").iterdir()}
    assert 2 <= len(parts) <= 4


def flip(path: Path, at: int = 0) -> None:
    """Change one byte of a file, and neither its size nor its times."""
    content, found = bytearray(path.read_bytes()), path.stat()
    content[at] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.fixture
def both(folder: StateFolder) -> tuple[Backup, Backup]:
    """Return two backups, of which the second is made of parts of both."""
    first = backups.make(folder, "by-hand", NOW)
    grown(folder, 1)
    return first, backups.make(folder, "by-hand", NOW + timedelta(hours=1))


def damaged(folder: StateFolder) -> dict[str, str]:
    return dict(backups.find_damaged(folder.path))


@pytest.mark.parametrize("name", BOTH)
def test_damaged_part_damages_every_backup_that_needs_it(
    folder: StateFolder, both: tuple[Backup, Backup], name: str
) -> None:
    first, second = both
    assert damaged(folder) == damaged(ledgers.make(folder.path.with_name("without"))) == {}
    flip(part_of(second, name))
    assert damaged(folder) == {second.path.name: f"{part_of(second, name)} has changed since the backup was made"}
    flip(part_of(first, name))
    assert damaged(folder).keys() == {first.path.name, second.path.name}


@pytest.mark.parametrize("name", ["state.id", "manifest.json", "part"])
@pytest.mark.parametrize("harm", [flip, Path.unlink])
def test_only_the_backup_with_a_damaged_file_is_named(
    folder: StateFolder, both: tuple[Backup, Backup], name: str, harm: Callable[[Path], None]
) -> None:
    _, second = both
    harm(part_of(second, "journal.jsonl") if name == "part" else second.path / name)
    assert damaged(folder).keys() == {second.path.name}


POINTS = (
    "backups.sync.before",
    "backups.drop_copy.after",
    "state_folder.replace.before",
    "backups.name.before",
    "backups.name.after",
    "backups.forget_old.before",
    "backups.forget_old.after",
    "backups.forget_part.before",
    "backups.forget_part.after",
)


@pytest.mark.parametrize("point", POINTS)
def test_killed_backup_leaves_the_others_whole(
    folder: StateFolder, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_parts, "MAX_PARTS", 1)
    by_hand = backups.make(folder, "by-hand", NOW)
    for number in (1, 2):
        grown(folder, number)
        backups.backup_session(folder, DAY + timedelta(days=number), NOW + timedelta(days=number), max_count=1)
    last, reached = backups.places(folder.path)[0], list[str]()

    def dies(at: str) -> None:
        reached.append(at)
        if at == point:
            raise KeyboardInterrupt

    monkeypatch.setattr(failpoint, "hook", dies)
    with pytest.raises(KeyboardInterrupt):
        backups.backup_session(folder, DAY + timedelta(days=3), NOW + timedelta(days=3), max_count=1)
    monkeypatch.setattr(failpoint, "hook", None)
    assert point in reached
    assert backups.verify_backup(folder, by_hand.path.name) == by_hand
    newest = backups.places(folder.path)[0]
    assert backups.verify_backup(folder, newest.name).path == newest
    assert newest >= last
    assert backups.make(folder, "by-hand", NOW + timedelta(days=4)).intents == 7


@pytest.mark.parametrize("name", ["ledger.db", "journal.jsonl"])
def test_rebuild_uses_an_older_backup_for_a_damaged_part(
    folder: StateFolder, both: tuple[Backup, Backup], name: str
) -> None:
    first, second = both
    part = part_of(second, name)
    flip(part)
    for lost in BOTH:
        (folder.path / lost).unlink()
    with pytest.raises(OperatorError, match=f"{part.name} has changed since"):
        backups.verify_backup(folder, second.path.name)
    made = rebuild.rebuild(folder, "damaged", NOW)
    whole = {"ledger.db": second.path, "journal.jsonl": second.path} | {name: first.path}
    assert (made.ledger, made.journal, made.intents) == (whole["ledger.db"], whole["journal.jsonl"], 6)
    assert any(part.name in doubt.why for doubt in made.doubts)


def test_next_backup_removes_only_what_killed_readers_left(folder: StateFolder) -> None:
    made = backups.make(folder, "by-hand", NOW)
    left = made.path.parent / f"{backups.SCRATCH}killed"
    left.mkdir()
    (left / "ledger.db").write_bytes(b"a whole copy")
    with backups.assembled_backup(made.path) as read:
        backups.make(folder, "by-hand", NOW + timedelta(hours=1))
        assert (read / "ledger.db").exists()
    assert not left.exists()


@pytest.mark.parametrize("name", ["parts", "manifest"])
def test_verified_does_not_wait_for_a_pipe_in_a_backup(folder: StateFolder, name: str) -> None:
    made = backups.make(folder, "by-hand", NOW)
    path = part_of(made, "journal.jsonl") if name == "parts" else made.path / quarantine.MANIFEST
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OperatorError):
        backups.verify_backup(folder, made.path.name)
    assert backups.make(folder, "by-hand", NOW + timedelta(hours=1)).intents == made.intents


def test_make_does_not_wait_for_a_pipe_in_place_of_the_journal(folder: StateFolder) -> None:
    (folder.path / "journal.jsonl").unlink()
    os.mkfifo(folder.path / "journal.jsonl")
    with pytest.raises(DamagedBooksError, match="it is a pipe, not a regular file"):
        backups.make(folder, "by-hand", NOW)
