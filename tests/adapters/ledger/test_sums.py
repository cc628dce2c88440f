"""A row that is not as it was written is found, wherever a bit flips."""

import random
import sqlite3
from pathlib import Path

import pytest
from hypothesis import settings

from tests.adapters.ledger import old_books
from tests.adapters.ledger.by_hand import edit, opened
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.errors import DamagedBooksError, TradebotError

FLIPS = 3 * settings().max_examples
"""How many single bits are flipped, each in whole books: more of them in the long campaign."""


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return old_books.make(tmp_path / "state").path / "ledger.db"


def check(path: Path) -> None:
    books = SqliteLedger.open(path.parent, read_only=True)
    try:
        books.file.check_pages()
    finally:
        books.close()


def test_books_that_nobody_touched_are_whole(ledger: Path) -> None:
    check(ledger)


def test_one_flipped_bit_anywhere_is_found_or_changes_nothing(ledger: Path) -> None:
    whole, before = ledger.read_bytes(), old_books.content(ledger.parent)
    chance, found = random.Random(7), 0  # noqa: S311 - a seeded campaign
    for _ in range(FLIPS):
        place, bit = chance.randrange(len(whole)), 1 << chance.randrange(8)
        ledger.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        try:
            check(ledger)
        except TradebotError:
            found += 1
        else:
            # A bit in the unused part of a page holds nothing of ours.
            assert old_books.content(ledger.parent) == before, f"byte {place}, bit {bit}"
    ledger.write_bytes(whole)
    assert found > FLIPS / 20, "the campaign hit nothing but unused space"


def test_every_flipped_bit_of_a_written_text_is_found(ledger: Path) -> None:
    whole = ledger.read_bytes()
    missed = []
    for text in (b"187.25", b"a storm", b"-1.5", b"open+15m", b"100000.01", b"TSLA", b"190.1", b"rejected", b"cron/1"):
        for at, letter in enumerate(text):
            # At every place where it stands, because a page keeps what was moved out of it.
            ledger.write_bytes(whole.replace(text, text[:at] + bytes([letter ^ 0x10]) + text[at + 1 :]))
            try:
                check(ledger)
                missed.append((text, at))
            except DamagedBooksError:
                continue
    assert missed == []


def test_text_that_a_bit_made_unreadable_is_damage_and_not_a_fault_of_ours(ledger: Path) -> None:
    whole = ledger.read_bytes()
    ledger.write_bytes(whole.replace(b"187.25", b"\xb187.25"))
    books = SqliteLedger.open(ledger.parent, read_only=True)
    with pytest.raises(DamagedBooksError):
        books.intents()
    books.close()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE intents SET state = 'acked' WHERE state = 'rejected'", "1 of 5 rows of intents"),
        ("UPDATE orders SET terminal = 0", "rows of orders"),
        ("UPDATE cash_adjustments SET amount = '1.5'", "rows of cash_adjustments"),
        ("UPDATE book SET opening_cash = '1'", "rows of book"),
        ("UPDATE slots SET slot = 'open+6m'", "rows of slots"),
        ("DELETE FROM trading_states", "rows, but"),
        ("DELETE FROM fills WHERE activity_id = 'a2'", "rows, but"),
        (
            "INSERT INTO acknowledged (account, sequence, symbol, quantity, origin, about, why, at)"
            " SELECT account, 9, 'X', '1', 'plan', '', '', '' FROM book",
            "1 of 2 rows of acknowledged",
        ),
    ],
)
def test_a_row_edited_removed_or_added_by_hand_is_found(ledger: Path, statement: str, said: str) -> None:
    assert edit(ledger, statement) > 0
    with pytest.raises(DamagedBooksError, match=said):
        check(ledger)


def test_another_program_cannot_edit_a_row_without_stilling_the_triggers(ledger: Path) -> None:
    database = sqlite3.connect(ledger)
    with pytest.raises(sqlite3.OperationalError, match="row_sum"):
        database.execute("UPDATE fills SET activity_id = 'a9' WHERE activity_id = 'a1'")
    database.close()
    check(ledger)


def test_two_rows_that_changed_places_are_found(ledger: Path) -> None:
    database = opened(ledger)
    ((first,), (second,)) = database.execute("SELECT row_sum FROM fills ORDER BY sequence").fetchall()
    database.execute("UPDATE fills SET row_sum = ? WHERE sequence = 1", (second,))
    database.execute("UPDATE fills SET row_sum = ? WHERE sequence = 2", (first,))
    database.commit()
    database.close()
    with pytest.raises(DamagedBooksError, match="2 of 2 rows of fills"):
        check(ledger)
