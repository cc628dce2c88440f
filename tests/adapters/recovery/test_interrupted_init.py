"""Books without a marker: those that were never used may go aside, whatever a crash has left of them."""

from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from tests.kit.rows import ACCOUNT, NOW, PASSED, make_intent
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.recovery import interrupted_init
from tradebot.errors import OperatorError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with closing(SqliteLedger.create(tmp_path, ACCOUNT, NOW)) as ledger:
        ledger.open_books(Decimal(100_000), NOW)
    return tmp_path


def promise(folder: Path) -> None:
    with closing(SqliteLedger.open(folder, ACCOUNT)) as ledger:
        ledger.record_intent(make_intent("open+5m"), (PASSED,))


def in_pieces(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096] + bytes(4096))


def last_line_in_pieces(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-80] + bytes(79) + b"\n")


def test_folder_without_books_has_no_leftovers(tmp_path: Path) -> None:
    assert not interrupted_init.has_unused_books(tmp_path)


def harm(folder: Path, left: str) -> None:
    """Leave the books as an `init` may that was cut short, or as a disk may."""
    ledger, journal = folder / "ledger.db", folder / "journal.jsonl"
    ways: dict[str, Callable[[], object]] = {
        "whole": lambda: None,
        "ledger in pieces": lambda: in_pieces(ledger),
        "ledger empty": lambda: ledger.write_bytes(b""),
        "ledger lost": ledger.unlink,
        "journal in pieces": lambda: last_line_in_pieces(journal),
        "journal empty": lambda: journal.write_bytes(b""),
        "journal lost": journal.unlink,
    }
    ways[left]()


@pytest.mark.parametrize("left", ["whole", "ledger in pieces", "ledger empty", "journal in pieces", "journal empty"])
def test_unused_books_are_recognized(folder: Path, left: str) -> None:
    harm(folder, left)
    assert interrupted_init.has_unused_books(folder)


@pytest.mark.parametrize("left", ["whole", "ledger in pieces", "ledger lost", "journal in pieces", "journal lost"])
def test_used_books_without_a_marker_need_a_person(folder: Path, left: str) -> None:
    promise(folder)
    harm(folder, left)
    with pytest.raises(OperatorError, match=r"their marker state\.id is lost"):
        interrupted_init.has_unused_books(folder)


@pytest.mark.parametrize("journal", [b"", b'{"schema":2,"torn', None])
def test_damaged_ledger_without_a_whole_journal_needs_a_person(folder: Path, journal: bytes | None) -> None:
    in_pieces(folder / "ledger.db")
    if journal is None:
        (folder / "journal.jsonl").unlink()
    else:
        (folder / "journal.jsonl").write_bytes(journal)
    with pytest.raises(OperatorError, match="can't be read"):
        interrupted_init.has_unused_books(folder)
