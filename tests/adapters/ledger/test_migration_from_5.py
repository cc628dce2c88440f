"""A ledger of version 5 becomes one of version 6: its best prices stay, and its checkpoint is made again."""

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.ledger import version_5
from tests.adapters.ledger.by_hand import edit
from tests.adapters.samples import ACCOUNT, NOW
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.ledger.totals import FillTotals
from tradebot.adapters.recovery import soundness
from tradebot.adapters.state.state_folder import StateFolder
from tradebot.adapters.text.canonical import decimal_text
from tradebot.errors import DamagedBooksError
from tradebot.model.position import Marks
from tradebot.model.totals import Totals
from tradebot.reconciliation.read_books import read_books


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return version_5.make(tmp_path / "state")


def says(books: SqliteLedger) -> dict[str, Any]:
    """Return what these books say, in the words of `told.json`."""
    seen = read_books(books, NOW)
    return {
        "fills": seen.totals.count,
        "cash": str(seen.cash),
        "positions": [
            [
                *key,
                str(position.quantity),
                decimal_text(position.realized_pnl),
                [[str(lot.quantity), str(lot.price), lot.at.isoformat()] for lot in position.lots],
            ]
            for key, position in seen.totals.positions.items()
        ],
        "working": [order.venue_id for order in seen.working],
        "unresolved": [record.intent.client_order_id for record in seen.unresolved],
        "best": sorted([*key[:2], key[2].isoformat(), str(kept.best)] for key, kept in seen.kept.items()),
    }


def checkpoints(books: SqliteLedger) -> int:
    return int(books.file.row("SELECT count(*) FROM checkpoints WHERE account = ?")[0])


def test_it_says_what_version_5_said_before_and_after_it_is_brought_up(folder: StateFolder) -> None:
    for read_only in (True, False, True):
        with closing(SqliteLedger.open(folder.path, ACCOUNT, read_only=read_only)) as books:
            assert says(books) == version_5.told()
            assert {kept.worst for kept in read_books(books, NOW).kept.values()} == {None}
            books.file.check_whole()
    soundness.problem(folder)


def test_a_checkpoint_that_lacks_what_is_counted_since_an_entry_is_made_again(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FillTotals, "left_out", 2)
    with closing(SqliteLedger.open(folder.path, ACCOUNT)) as books:
        assert checkpoints(books) == 0
        for _ in range(2):
            assert books.totals() == Totals.of(books.fills())
            assert all(position.original_quantity for position in books.totals().own_positions())
            books.keep_totals()
            assert checkpoints(books) == 1
            books.file.check_whole()


def test_its_positions_get_a_worst_price_at_the_next_look(folder: StateFolder) -> None:
    with closing(SqliteLedger.open(folder.path, ACCOUNT)) as books:
        key = next(iter(books.totals().own_positions())).key
        books.put_marks({key: Marks(Decimal(191), Decimal(180))})
        assert (books.kept([key])[key].best, books.kept([key])[key].worst) == (Decimal(191), Decimal(180))
        books.file.check_whole()


def test_the_copy_it_was_brought_up_from_is_kept_as_it_was(folder: StateFolder) -> None:
    def rows(path: Path) -> list[str]:
        with closing(sqlite3.connect(path)) as database:
            return [*database.iterdump(), *map(str, database.execute("PRAGMA user_version"))]

    before = rows(folder.path / "ledger.db")
    SqliteLedger.open(folder.path, ACCOUNT).close()
    assert rows(folder.path / "ledger.db-version-5") == before
    assert rows(folder.path / "ledger.db") != before


def test_a_damaged_one_is_not_brought_up(folder: StateFolder) -> None:
    edit(folder.path / "ledger.db", "UPDATE high_water SET price = '250'")
    with pytest.raises(DamagedBooksError):
        SqliteLedger.open(folder.path, ACCOUNT)
