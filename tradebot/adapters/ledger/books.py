"""An open ledger file with its journal: transactions, queries, and what becomes durable before what.

What halting needs is here too: it must not wait for all the words that the whole ledger speaks.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.ledger import journal
from tradebot.adapters.ledger import sums as ledger_sums
from tradebot.adapters.ledger.schema import BUSY_TIMEOUT_S, open_database, tables_of, translated
from tradebot.adapters.state.state_folder import JOURNAL, LEDGER, REBUILD, in_place
from tradebot.adapters.text.canonical import time_text
from tradebot.errors import DamagedBooksError, ExitCode, OperatorError, TemporaryError

READ_BYTES = 1 << 20
ROWS_AT_ONCE = 100


class Books:
    """What every record of the ledger is written and read through."""

    def __init__(self, folder: Path, database: sqlite3.Connection, account_number: str) -> None:
        self._folder = folder
        self._path = folder / LEDGER
        self._database = database
        self._account = account_number
        self._journal: journal.Journal | None = None
        self._opened = _stat(self._path)
        self._checked_version: int | None = None

    @classmethod
    def open(
        cls,
        folder: Path,
        account_number: str | None = None,
        *,
        read_only: bool = False,
        patience_s: float = BUSY_TIMEOUT_S,
    ) -> Self:
        """Open the books; OperatorError where they are damaged, or belong to another account."""
        database = open_database(folder / LEDGER, read_only=read_only, patience_s=patience_s)
        with translated(folder / LEDGER):
            owners = [owner for (owner,) in database.execute("SELECT account FROM book")]
        if len(owners) != 1:
            raise DamagedBooksError(f"{folder / LEDGER} belongs to {len(owners)} accounts.", REBUILD)
        if account_number not in (None, owners[0]):
            raise OperatorError(
                f"These books belong to account …{owners[0][-4:]}, not to …{str(account_number)[-4:]}.",
                "Use the keys of that account, or begin anew: tradebot init --state-dir NEW",
            )
        return cls(folder, database, owners[0])

    @property
    def in_place(self) -> bool:
        """Tell whether the open file still stands at its path."""
        return self._opened is not None and in_place(self._path, self._opened)

    @property
    def folder(self) -> Path:
        """Return the folder that the books lie in."""
        return self._folder

    @property
    def account_number(self) -> str:
        """Return the number of the account that these books belong to."""
        return self._account

    def record_state(self, state: str, who: str, why: str, at: datetime) -> str:
        """Append a trading state to its history and return it; the switch files are the caller's to touch.

        What reduces only keeps FLATTEN in force, which nothing but ACTIVE ends.
        """
        with self._write():
            state = "FLATTEN" if state == "REDUCE_ONLY" and self._flattens() else str(state)
            self._note("trading_state", {"state": state, "who": who, "why": why}, at)
            self._seal()
            self._execute(
                "INSERT INTO trading_states (account, sequence, state, who, why, at)"
                " SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3, ?4, ?5"
                " FROM trading_states WHERE account = ?1",
                (self._account, state, who, why, time_text(at)),
            )
        return state

    def _flattens(self) -> bool:
        last = self._row("SELECT state FROM trading_states WHERE account = ? ORDER BY sequence DESC LIMIT 1")
        return last is not None and last[0] == "FLATTEN"

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
        """Read the whole journal and ledger once, before risk may be added again.

        OperatorError, exit 3, where the books were rebuilt and nobody has accepted that yet.
        """
        self.check()
        name = self.rebuilt()
        if name is not None:
            raise OperatorError(
                f"the books were rebuilt ({name}), and nobody has accepted them yet",
                f"tradebot recover --accept {name} --confirm {self._account[-4:]}, which shows once more what could not"
                " be proven",
                code=ExitCode.REFUSED,
            )

    def rebuilt(self) -> str | None:
        """Return the name of the rebuild that a person has yet to accept; None where there is none."""
        ((name,),) = self._rows("SELECT rebuilt FROM book WHERE account = ?")
        return None if name is None else str(name)

    def check_journal(self) -> journal.Head:
        """Read the whole journal and return its last record.

        DamagedJournalError where it is damaged or too short, DamagedBooksError where ledger and journal do not belong
        together: the ledger is older than what the journal proves to be committed, or comes from elsewhere.
        """
        path, sealed = self._folder / JOURNAL, self._sealed()
        head, proven, seal = journal.BEFORE_ALL, 0, None
        for record in journal.records(path, sealed.sequence):
            head, proven = record.head, max(proven, record.sealed)
            seal = head if head.sequence == sealed.sequence else seal
        journal.require_of_one_another(path, sealed, seal, proven)
        return head

    def check(self) -> None:
        """Read ledger and journal through, once for as long as nobody else has written the ledger since.

        Raises as `check_pages` and `check_journal` do. What this process itself adds does not make it read all again.
        """
        with translated(self._path):
            ((version,),) = self._database.execute("PRAGMA data_version")
        if self._checked_version != version:
            self.check_pages()
            self.check_journal()
            self._checked_version = version

    def check_pages(self) -> int:
        """Read the whole ledger, its rows too; return its pages. DamagedBooksError where anything is not as written.

        What seems damaged is looked at twice, because SQLite tells a page that could not be read like one that is not
        whole: TemporaryError where the file cannot be read through.
        """
        found = self._not_as_written()
        if found:
            _read_through(self._path)
            found = self._not_as_written()
        if found:
            raise DamagedBooksError(f"The ledger is damaged: {'; '.join(found[:3])}.", REBUILD)
        with translated(self._path):
            ((pages,),) = self._database.execute("PRAGMA page_count")
        return int(pages)

    def _not_as_written(self) -> list[str]:
        with translated(self._path):
            found = [row[0] for row in self._database.execute("PRAGMA integrity_check")]
            if found == ["ok"]:
                found = list(ledger_sums.differences(self._database, tables_of(self._database)))
        return found

    @contextmanager
    def _write(self) -> Iterator[None]:
        """One durable transaction; whatever goes wrong inside undoes all of it."""
        with translated(self._path):
            self._require_in_place()
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                with around("ledger_books.commit"):
                    self._database.execute("COMMIT")
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")

    def _require_in_place(self) -> None:
        """Raise where the file was removed or replaced while it was open: what is written there would be lost."""
        if not self.in_place:
            raise DamagedBooksError(f"{self._path} was removed or replaced while it was open.", REBUILD)

    def _execute(self, statement: str, values: Sequence[Any]) -> int:
        return self._database.execute(statement, values).rowcount

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a query whose first parameter is the account."""
        with translated(self._path):
            return self._database.execute(query, (self._account, *values)).fetchall()

    def _streamed(self, query: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """Yield the rows of a query as `_rows` does, some at a time; nobody can commit until the last one is taken."""
        with translated(self._path):
            cursor = self._database.execute(query, (self._account, *values))
        while True:
            with translated(self._path):
                rows = cursor.fetchmany(ROWS_AT_ONCE)
            if not rows:
                return
            yield from rows

    def _row(self, query: str, values: Sequence[Any] = ()) -> Any:
        return next(iter(self._rows(query, values)), None)

    def _note(self, kind: str, payload: object, at: datetime) -> None:
        """Append a record to the journal, which must be that of this ledger: now, and not when it was opened."""
        sealed = self._sealed()
        if self._journal is None:
            self._journal = journal.Journal.open(self._folder / JOURNAL, sealed)
        self._journal.follow(sealed)
        self._journal.append(kind, payload, at)

    def _sealed(self) -> journal.Head:
        """Return the record of the journal up to which it was durable at the last commit."""
        ((sequence, digest),) = self._rows("SELECT journal_sequence, journal_hash FROM book WHERE account = ?")
        return journal.Head(int(sequence), digest)

    def _seal(self) -> None:
        """Sync the journal before the commit, and remember how far it must reach."""
        if self._journal is not None:
            self._execute(
                "UPDATE book SET journal_sequence = ?, journal_hash = ? WHERE account = ?",
                (*self._journal.sync(), self._account),
            )


def _read_through(path: Path) -> None:
    """Read a file to its end; TemporaryError where the disk does not give it."""
    try:
        with path.open("rb") as file:
            while file.read(READ_BYTES):
                pass
    except OSError as error:
        raise TemporaryError(
            f"The ledger {path} cannot be read: {error.strerror}.", f"type it again; if it stays so: ls -l {path}"
        ) from error


def _stat(path: Path) -> os.stat_result | None:
    """Return which file stands at a path; None where none does any more."""
    try:
        return path.stat()
    except OSError:
        return None
