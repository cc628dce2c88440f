"""A ledger of version 4 becomes one of version 5 from a kept copy, and adds up to what version 4 said."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.ledger import version_4
from tests.adapters.ledger.by_hand import edit
from tests.adapters.samples import ACCOUNT, NOW
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.recovery import rebuild, soundness
from tradebot.adapters.state.state_folder import StateFolder
from tradebot.errors import DamagedBooksError
from tradebot.reconciliation.read_books import read_books


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    return version_4.make(tmp_path / "state")


def says(books: SqliteLedger) -> dict[str, Any]:
    """Return what these books add up to, in the words of `told.json`."""
    seen = read_books(books, NOW)
    return {
        "fills": seen.totals.count,
        "cash": str(seen.cash),
        "positions": [
            [
                *key,
                str(position.quantity),
                str(position.realized_pnl),
                [[str(lot.quantity), str(lot.price), lot.at.isoformat()] for lot in position.lots],
            ]
            for key, position in seen.totals.positions.items()
        ],
        "working": [order.venue_id for order in seen.working],
        "unresolved": [record.intent.client_order_id for record in seen.unresolved],
    }


def test_it_adds_up_to_what_version_4_said_before_and_after_it_is_brought_up(folder: StateFolder) -> None:
    for read_only in (True, False, True):
        with closing(SqliteLedger.open(folder.path, ACCOUNT, read_only=read_only)) as books:
            assert says(books) == version_4.told()
            books.file.check_whole()
            assert books.tallies.compare_journal()[2:] == (0, 0)
    soundness.problem(folder)


def test_the_names_in_its_texts_become_columns(folder: StateFolder) -> None:
    with closing(SqliteLedger.open(folder.path, ACCOUNT)) as books:
        (chain,) = books.order_chains(["v9"]).values()
        assert [order.venue_id for order in chain] == ["v9", "v8"]
        assert {owned.fill.activity_id for owned in books.fills_with_others()} == {"b3", "owned:b3:from"}
        assert str(books.filled_quantities(["v2"])["v2"]) == "4"


def test_the_copy_it_was_brought_up_from_is_kept_as_it_was(folder: StateFolder) -> None:
    def rows(path: Path) -> list[str]:
        with closing(sqlite3.connect(path)) as database:
            return [*database.iterdump(), *map(str, database.execute("PRAGMA user_version"))]

    before = rows(folder.path / "ledger.db")
    SqliteLedger.open(folder.path, ACCOUNT).close()
    assert rows(folder.path / "ledger.db-version-4") == before
    assert rows(folder.path / "ledger.db") != before


def test_a_damaged_one_is_not_brought_up(folder: StateFolder) -> None:
    edit(folder.path / "ledger.db", "UPDATE fills SET body = replace(body, '187.5', '187.6')")
    with pytest.raises(DamagedBooksError):
        SqliteLedger.open(folder.path, ACCOUNT)


def test_its_journal_alone_makes_books_that_add_up_to_the_same(folder: StateFolder) -> None:
    (folder.path / "ledger.db").unlink()
    rebuild.rebuild(folder, "lost", NOW)
    with closing(SqliteLedger.open(folder.path, ACCOUNT, read_only=True)) as books:
        told = version_4.told()
        found = says(books)
        # A journal alone doesn't have the venue's reports of orders, which the next comparison brings back.
        assert {name: found[name] for name in ("fills", "cash", "positions")} == {
            name: told[name] for name in ("fills", "cash", "positions")
        }
