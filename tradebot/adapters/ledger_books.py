"""An open ledger file with its journal: transactions, queries, and what becomes durable before what.

What halting needs is here too: it must not wait for all the words that the whole ledger speaks.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from tradebot.adapters import journal
from tradebot.adapters.canonical import time_text
from tradebot.adapters.ledger_schema import open_database, translated
from tradebot.adapters.state_folder import DAMAGED, JOURNAL, LEDGER
from tradebot.errors import OperatorError


class Books:
    """What every record of the ledger is written and read through."""

    def __init__(self, folder: Path, database: sqlite3.Connection, account_number: str) -> None:
        self._folder = folder
        self._database = database
        self._account = account_number
        self._journal: journal.Journal | None = None

    @classmethod
    def open(cls, folder: Path, account_number: str | None = None, *, read_only: bool = False) -> Self:
        """Open the books; OperatorError where they are damaged, or belong to another account."""
        database = open_database(folder / LEDGER, read_only=read_only)
        with translated(folder / LEDGER):
            owners = [owner for (owner,) in database.execute("SELECT account FROM book")]
        if len(owners) != 1:
            raise OperatorError(f"{folder / LEDGER} belongs to {len(owners)} accounts.", DAMAGED)
        if account_number not in (None, owners[0]):
            raise OperatorError(
                f"These books belong to account …{owners[0][-4:]}, not to …{str(account_number)[-4:]}.",
                "Use the keys of that account, or begin anew: tradebot init --state-dir NEW",
            )
        return cls(folder, database, owners[0])

    @property
    def account_number(self) -> str:
        """Return the number of the account that these books belong to."""
        return self._account

    def record_state(self, state: str, who: str, why: str, at: datetime) -> None:
        """Append a trading state to its history; the switch files are the caller's to touch."""
        with self._write():
            self._note("trading_state", {"state": state, "who": who, "why": why}, at)
            self._seal()
            self._execute(
                "INSERT INTO trading_states (account, sequence, state, who, why, at)"
                " SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3, ?4, ?5"
                " FROM trading_states WHERE account = ?1",
                (self._account, state, who, why, time_text(at)),
            )

    def may_fill(self) -> bool:
        """Tell whether an order is working, or one of unknown fate may be."""
        ((found,),) = self._rows(
            "SELECT EXISTS (SELECT 1 FROM orders WHERE account = ?1 AND terminal = 0)"
            " OR EXISTS (SELECT 1 FROM intents WHERE account = ?1 AND state IN ('sent', 'unknown'))"
        )
        return bool(found)

    def close(self) -> None:
        """Close the files."""
        self._database.close()
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def check_whole(self) -> None:
        """Read the whole journal and ledger once, before risk may be added again."""
        self.check_journal()
        self.check_pages()

    def check_journal(self) -> journal.Head:
        """Read the whole journal and return its last record; OperatorError where it is damaged or too short."""
        head = journal.verify(self._folder / JOURNAL)
        sealed = self._sealed()
        if head.sequence < sealed:
            path = self._folder / JOURNAL
            raise OperatorError(f"{path} ends before record {sealed}, which the ledger knows.", DAMAGED)
        return head

    def check_pages(self) -> int:
        """Read the whole ledger and return how many pages it has; OperatorError where it is damaged."""
        with translated(self._folder / LEDGER):
            found = [row[0] for row in self._database.execute("PRAGMA integrity_check")]
            ((pages,),) = self._database.execute("PRAGMA page_count")
        if found != ["ok"]:
            raise OperatorError(f"The ledger is damaged: {'; '.join(found[:3])}.", DAMAGED)
        return int(pages)

    @contextmanager
    def _write(self) -> Iterator[None]:
        """One durable transaction; whatever goes wrong inside undoes all of it."""
        with translated(self._folder / LEDGER):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")

    def _execute(self, statement: str, values: Sequence[Any]) -> int:
        return self._database.execute(statement, values).rowcount

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a query whose first parameter is the account."""
        with translated(self._folder / LEDGER):
            return self._database.execute(query, (self._account, *values)).fetchall()

    def _row(self, query: str, values: Sequence[Any] = ()) -> Any:
        return next(iter(self._rows(query, values)), None)

    def _note(self, kind: str, payload: object, at: datetime) -> None:
        """Append a record to the journal, which is opened and checked at the first one."""
        if self._journal is None:
            self._journal = journal.Journal.open(self._folder / JOURNAL, self._sealed())
        self._journal.append(kind, payload, at)

    def _sealed(self) -> int:
        """Return the record of the journal up to which it was durable at the last commit."""
        ((sealed,),) = self._rows("SELECT journal_sequence FROM book WHERE account = ?")
        return int(sealed)

    def _seal(self) -> None:
        """Sync the journal before the commit, and remember how far it must reach."""
        if self._journal is not None:
            self._execute(
                "UPDATE book SET journal_sequence = ? WHERE account = ?",
                (self._journal.sync().sequence, self._account),
            )
