"""A backup counts once it was read through, and is what the books were at one moment."""

import threading
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.adapters import old_books
from tests.adapters.chain_end import verify
from tests.adapters.samples import DAY, NOW, PASSED, make_intent
from tradebot.adapters import backups, failpoint
from tradebot.adapters.ledger import SqliteLedger
from tradebot.adapters.state_folder import StateFolder
from tradebot.errors import DamagedBooksError, OperatorError


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return old_books.make(tmp_path / "state")


def test_a_backup_holds_what_the_books_held(folder: StateFolder) -> None:
    made = backups.make(folder, "by-hand", NOW)
    found, kept = old_books.content(made.path), old_books.content(folder.path)
    # The copy is no state of its own: it has no ARMED.
    assert old_books.part(found, *old_books.MONEY, *old_books.BESIDE) == old_books.part(
        kept, *old_books.MONEY, *old_books.BESIDE
    )
    assert (made.path / "journal.jsonl").read_bytes() == (folder.path / "journal.jsonl").read_bytes()
    assert backups.verified(folder, made.path.name) == made
    assert (made.intents, made.fills, made.record) == (5, 2, verify(folder.path / "journal.jsonl").sequence)


def test_a_backup_between_two_writes_of_another_is_of_one_moment(folder: StateFolder) -> None:
    def write() -> None:
        books = SqliteLedger.open(folder.path)
        for number in range(12):
            books.promise(make_intent(f"open+{number}h"), (PASSED,))
        books.close()

    writer = threading.Thread(target=write)
    writer.start()
    made = [backups.make(folder, f"number-{number}", NOW) for number in range(4)]
    writer.join()
    for copy in made:
        assert backups.verified(folder, copy.path.name) == copy


def test_two_copies_in_one_second_have_names_of_their_own(folder: StateFolder) -> None:
    made = [backups.make(folder, "by-hand", NOW).path for _ in range(3)]
    assert sorted(backups.places(folder.path)) == sorted(set(made))
    assert made[2].name == f"{made[0].name}-3"


@pytest.mark.parametrize("name", ["ledger.db", "journal.jsonl", "state.id"])
def test_a_backup_that_is_not_as_it_was_made_is_refused(folder: StateFolder, name: str) -> None:
    made = backups.make(folder, "by-hand", NOW)
    path = made.path / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OperatorError, match="not as it was"):
        backups.verified(folder, made.path.name)
    path.unlink()
    with pytest.raises(OperatorError, match="not as it was"):
        backups.verified(folder, made.path.name)


def test_the_backup_of_another_bot_is_refused(folder: StateFolder) -> None:
    made = backups.make(folder, "by-hand", NOW)
    with pytest.raises(OperatorError, match="another bot"):
        backups.verified(folder._replace(id="another"), made.path.name)
    with pytest.raises(OperatorError, match="there is no backup"):
        backups.verified(folder, "nonsense")


def test_damaged_books_become_no_backup(folder: StateFolder) -> None:
    path = folder.path / "ledger.db"
    path.write_bytes(path.read_bytes().replace(b"187.25", b"187.26"))
    with pytest.raises(DamagedBooksError):
        backups.make(folder, "by-hand", NOW)
    assert backups.places(folder.path) == []


def test_a_backup_that_was_cut_short_does_not_count_and_is_made_again(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(point: str) -> None:
        if point == "backups.name.before":
            raise KeyboardInterrupt

    monkeypatch.setattr(failpoint, "hook", dies)
    with pytest.raises(KeyboardInterrupt):
        backups.of_session(folder, DAY, NOW)
    assert backups.places(folder.path) == []
    monkeypatch.setattr(failpoint, "hook", None)
    assert backups.of_session(folder, DAY, NOW) is not None


def test_a_session_is_copied_once_and_the_oldest_copies_of_sessions_are_let_go(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "KEPT", 2)
    by_hand = backups.make(folder, "by-hand", NOW - timedelta(days=9))
    days = [date(2026, 1, day) for day in (5, 6, 7)]
    for number, day in enumerate(days):
        assert backups.of_session(folder, day, NOW + timedelta(days=number)) is not None
        assert backups.of_session(folder, day, NOW + timedelta(days=number, hours=1)) is None
    names = [path.name for path in backups.places(folder.path)]
    assert [name.partition("-")[2] for name in names] == ["session-2026-01-07", "session-2026-01-06", "by-hand"]
    assert backups.verified(folder, by_hand.path.name) == by_hand


def test_a_disk_that_takes_no_copy_says_so(folder: StateFolder) -> None:
    (folder.path / "backups").write_text("not a folder")
    with pytest.raises(OperatorError, match="cannot be written"):
        backups.make(folder, "by-hand", NOW)
