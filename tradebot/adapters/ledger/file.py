"""An open ledger file with its journal: transactions, queries, and what becomes durable before what.

The stores beside this module each read and write a few tables through it. None of them opens anything itself.
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
from tradebot.adapters.ledger.schema import BUSY_TIMEOUT_S, TABLES, create_tables, open_database, translated
from tradebot.adapters.state.state_folder import DAMAGED, JOURNAL, LEDGER, REBUILD, in_place
from tradebot.errors import DamagedBooksError, ExitCode, OperatorError, TemporaryError

READ_BYTES = 1 << 20
ROWS_AT_ONCE = 100


class LedgerFile:
    """The one connection that every store of a ledger reads and writes through, and the journal beside it."""

    def __init__(self, folder: Path, database: sqlite3.Connection, account_number: str) -> None:
        self.folder = folder
        self.path = folder / LEDGER
        self.database = database
        self.account_number = account_number
        self._journal: journal.Journal | None = None
        self._opened = _stat(self.path)
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

    @classmethod
    def create(cls, folder: Path, account_number: str, at: datetime) -> Self:
        """Begin the books of one account; OperatorError where a ledger or a journal is there already."""
        for name in (LEDGER, JOURNAL):
            if (folder / name).exists():
                raise OperatorError(f"{folder / name} is there already: no new books over old ones.", DAMAGED)
        with translated(folder / LEDGER):
            database = create_tables(folder / LEDGER, account_number, at)
            begun = journal.Journal.create(folder / JOURNAL, {"account": account_number}, at)
            database.execute("UPDATE book SET journal_hash = ?", (begun.head().hash,))
            begun.close()
            with around("ledger_file.create"):
                database.execute("COMMIT")
        return cls(folder, database, account_number)

    @property
    def in_place(self) -> bool:
        """Tell whether the open file still stands at its path."""
        return self._opened is not None and in_place(self.path, self._opened)

    def close(self) -> None:
        """Close the files."""
        self.database.close()
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
                f"tradebot recover --accept {name} --confirm {self.account_number[-4:]}, which shows once more what"
                " could not be proven",
                code=ExitCode.REFUSED,
            )

    def rebuilt(self) -> str | None:
        """Return the name of the rebuild that a person has yet to accept; None where there is none."""
        ((name,),) = self.rows("SELECT rebuilt FROM book WHERE account = ?")
        return None if name is None else str(name)

    def check_journal(self) -> journal.Head:
        """Read the whole journal and return its last record.

        DamagedJournalError where it is damaged or too short, DamagedBooksError where ledger and journal do not belong
        together: the ledger is older than what the journal proves to be committed, or comes from elsewhere.
        """
        path, sealed = self.folder / JOURNAL, self.sealed()
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
        with translated(self.path):
            ((version,),) = self.database.execute("PRAGMA data_version")
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
            _read_through(self.path)
            found = self._not_as_written()
        if found:
            raise DamagedBooksError(f"The ledger is damaged: {'; '.join(found[:3])}.", REBUILD)
        with translated(self.path):
            ((pages,),) = self.database.execute("PRAGMA page_count")
        return int(pages)

    def _not_as_written(self) -> list[str]:
        with translated(self.path):
            found = [row[0] for row in self.database.execute("PRAGMA integrity_check")]
            if found == ["ok"]:
                found = list(ledger_sums.differences(self.database, TABLES))
        return found

    @contextmanager
    def write(self) -> Iterator[None]:
        """One durable transaction; whatever goes wrong inside undoes all of it."""
        with translated(self.path):
            self._require_in_place()
            self.database.execute("BEGIN IMMEDIATE")
            try:
                yield
                with around("ledger_file.commit"):
                    self.database.execute("COMMIT")
            finally:
                if self.database.in_transaction:
                    self.database.execute("ROLLBACK")

    def _require_in_place(self) -> None:
        """Raise where the file was removed or replaced while it was open: what is written there would be lost."""
        if not self.in_place:
            raise DamagedBooksError(f"{self.path} was removed or replaced while it was open.", REBUILD)

    def execute(self, statement: str, values: Sequence[Any]) -> int:
        """Run a statement inside `write` and return how many rows it changed."""
        return self.database.execute(statement, values).rowcount

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a query whose first parameter is the account."""
        with translated(self.path):
            return self.database.execute(query, (self.account_number, *values)).fetchall()

    def streamed(self, query: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """Yield the rows of a query as `rows` does, some at a time; nobody can commit until the last one is taken."""
        with translated(self.path):
            cursor = self.database.execute(query, (self.account_number, *values))
        while True:
            with translated(self.path):
                rows = cursor.fetchmany(ROWS_AT_ONCE)
            if not rows:
                return
            yield from rows

    def row(self, query: str, values: Sequence[Any] = ()) -> Any:
        """Return the first row of a query as `rows` does; None where there is none."""
        return next(iter(self.rows(query, values)), None)

    def note(self, kind: str, payload: object, at: datetime) -> None:
        """Append a record to the journal, which must be that of this ledger: now, and not when it was opened."""
        sealed = self.sealed()
        if self._journal is None:
            self._journal = journal.Journal.open(self.folder / JOURNAL, sealed)
        self._journal.follow(sealed)
        self._journal.append(kind, payload, at)

    def sealed(self) -> journal.Head:
        """Return the record of the journal up to which it was durable at the last commit."""
        ((sequence, digest),) = self.rows("SELECT journal_sequence, journal_hash FROM book WHERE account = ?")
        return journal.Head(int(sequence), digest)

    def seal(self) -> None:
        """Sync the journal before the commit, and remember how far it must reach."""
        if self._journal is not None:
            self.execute(
                "UPDATE book SET journal_sequence = ?, journal_hash = ? WHERE account = ?",
                (*self._journal.sync(), self.account_number),
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
