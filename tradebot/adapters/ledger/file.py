"""An open ledger file with its journal: transactions, queries, and the order in which writes become durable.

Each store in this package reads and writes a few tables through this file. None of the stores opens a file itself.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Self

from tradebot.adapters.failpoint import around
from tradebot.adapters.ledger import integrity as ledger_sums
from tradebot.adapters.ledger import journal
from tradebot.adapters.ledger.integrity import LARGE, IntegrityCache
from tradebot.adapters.ledger.schema import (
    BUSY_TIMEOUT_S,
    TABLES,
    create_tables,
    open_database,
    read_from,
    translate_errors,
)
from tradebot.adapters.state.state_folder import DAMAGED, JOURNAL, LEDGER, REBUILD, in_place
from tradebot.errors import DamagedBooksError, ExitCode, OperatorError, TemporaryError

ROWS_AT_ONCE = 100
FEW = 2
"""How many problems of a damaged ledger an error lists."""


def describe_damage(problems: Sequence[str]) -> str:
    """Return the message that the ledger is damaged, with the first problems that SQLite or the checksums found."""
    # SQLite begins with a line that only names the database.
    lines = [line for problem in problems for line in problem.splitlines() if not line.startswith("***")]
    more = f"; and {len(lines) - FEW:,} more" if lines[FEW:] else ""
    return f"The ledger is damaged: {'; '.join(lines[:FEW]) or 'SQLite rejects it'}{more}."


class AccountRows:
    """Runs statements and queries about the rows of one account."""

    def __init__(self, path: Path, database: sqlite3.Connection, account_number: str) -> None:
        self.path = path
        self.database = database
        self.account_number = account_number

    def execute(self, statement: str, values: Sequence[Any]) -> int:
        """Run a statement inside `write` and return how many rows it changed."""
        return self.database.execute(statement, values).rowcount

    def delete(self, table: str, which: str = "", values: Sequence[Any] = ()) -> None:
        """Delete the account's rows that `which` selects, inside `write`, and subtract them from the row count.

        A row that is deleted in any other way counts as lost. `which` begins with AND; if it is empty, all rows are
        deleted.
        """
        gone = self.execute(f"DELETE FROM {table} WHERE account = ? {which}", (self.account_number, *values))  # noqa: S608 - our own names
        self.execute(ledger_sums.UNCOUNT, (gone, self.account_number))

    def append(self, table: str, values: Mapping[str, Any], *, is_numbered: bool = True) -> bool:
        """Append a row inside `write` with the next number; return False, changing nothing, if its key exists."""
        statement = _insert(table, tuple(values), is_numbered)
        return bool(self.execute(statement, (self.account_number, *values.values())))

    def newest(self, table: str, columns: str) -> Any:
        """Return these columns of the last appended row; None if the table is empty."""
        return self.row(f"SELECT {columns} FROM {table} WHERE account = ? ORDER BY sequence DESC LIMIT 1")  # noqa: S608 - our own names

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a query whose first parameter is the account."""
        with translate_errors(self.path):
            return self.database.execute(query, (self.account_number, *values)).fetchall()

    def stream(self, query: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """Yield the rows of a query like `rows`, in batches; no other process can commit until the last one is read."""
        with translate_errors(self.path):
            cursor = self.database.execute(query, (self.account_number, *values))
            rows = cursor.fetchmany(ROWS_AT_ONCE)
        yield from rows
        while len(rows) == ROWS_AT_ONCE:
            with translate_errors(self.path):
                rows = cursor.fetchmany(ROWS_AT_ONCE)
            yield from rows

    def row(self, query: str, values: Sequence[Any] = ()) -> Any:
        """Return the first row of a query like `rows`; None if there is none."""
        return next(iter(self.rows(query, values)), None)


@cache
def _insert(table: str, columns: tuple[str, ...], is_numbered: bool) -> str:
    number = f"(SELECT coalesce(max(sequence), 0) + 1 FROM {table} WHERE account = ?1), "  # noqa: S608 - our own names
    places = ", ".join(f"?{index + 2}" for index in range(len(columns)))
    names = ", ".join(("account", *(["sequence"] if is_numbered else []), *columns))
    return (
        f"INSERT INTO {table} ({names}) VALUES (?1, {number if is_numbered else ''}{places})"  # noqa: S608 - our own names
        " ON CONFLICT DO NOTHING"
    )


OWNERS = f"SELECT account, {ledger_sums.as_written('book', TABLES)} FROM book"  # noqa: S608 - our own names

READ_BYTES = 1 << 20


class LedgerFile(AccountRows):
    """The connection that all stores of a ledger share, with its journal."""

    def __init__(self, folder: Path, database: sqlite3.Connection, account_number: str) -> None:
        self.folder = folder
        super().__init__(folder / LEDGER, database, account_number)
        self._journal: journal.Journal | None = None
        self._opened = _stat(self.path)
        self._custody = IntegrityCache(folder)
        self._in_one_write = False
        self.keeps_journal = True
        "False while the written records come from this very journal."

    @property
    def is_writing(self) -> bool:
        """Return True inside a transaction, when data just read may still be rolled back."""
        return self.database.in_transaction

    @classmethod
    def open(
        cls,
        folder: Path,
        account_number: str | None = None,
        *,
        read_only: bool = False,
        patience_s: float = BUSY_TIMEOUT_S,
    ) -> Self:
        """Open the books; raise OperatorError if they are damaged or belong to another account."""
        database = open_database(folder / LEDGER, read_only=read_only, patience_s=patience_s)
        with read_from(folder / LEDGER):
            book = [(str(owner), bool(sound)) for owner, sound in database.execute(OWNERS)]
        owners = [owner for owner, _ in book]
        if len(owners) != 1:
            raise DamagedBooksError(f"{folder / LEDGER} belongs to {len(owners)} accounts.", REBUILD)
        if book != [(owners[0], True)]:
            raise DamagedBooksError(
                f"The ledger {folder / LEDGER} is damaged: the row that describes it was changed.", REBUILD
            )
        if account_number not in (None, owners[0]):
            raise OperatorError(
                f"These books belong to account …{owners[0][-4:]}, not to …{str(account_number)[-4:]}.",
                "Use the keys of that account, or start over: tradebot init --state-dir NEW",
            )
        return cls(folder, database, owners[0])

    @classmethod
    def create(cls, folder: Path, account_number: str, at: datetime) -> Self:
        """Create the books of one account; raise OperatorError if there is a ledger or a journal already."""
        for name in (LEDGER, JOURNAL):
            if (folder / name).exists():
                raise OperatorError(f"{folder / name} already exists, and books are never overwritten.", DAMAGED)
        with translate_errors(folder / LEDGER):
            database = create_tables(folder / LEDGER, account_number, at)
            begun = journal.Journal.create(folder / JOURNAL, {"account": account_number}, at)
            database.execute("UPDATE book SET journal_hash = ?", (begun.head().hash,))
            begun.close()
            with around("ledger_file.create"):
                database.execute("COMMIT")
        return cls(folder, database, account_number)

    @property
    def in_place(self) -> bool:
        """Return True if the open file is still the one at its path."""
        return self._opened is not None and in_place(self.path, self._opened)

    def close(self) -> None:
        """Close the files, and leave the integrity note for other processes if the books are known to be intact."""
        self.database.close()
        self.keep_custody(patient=True)
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def check_whole(self) -> None:
        """Check the whole journal and ledger, before a command may allow risk again.

        Both are read completely, unless this process has already read them and they haven't changed since. Raise
        OperatorError, exit 3, if the books were rebuilt and not accepted yet.
        """
        if not (self._custody.unbroken(self.version()) and self._custody.read_here):
            self._read_books()
        name = self.rebuilt()
        if name is not None:
            raise OperatorError(
                f"the books were rebuilt ({name}), and nobody has accepted them yet",
                f"tradebot recover --accept {name} --confirm {self.account_number[-4:]}, which shows again what"
                " could not be proven",
                code=ExitCode.REFUSED,
            )

    def rebuilt(self) -> str | None:
        """Return the name of a rebuild that the user hasn't accepted yet; None if there is none."""
        with read_from(self.path):
            ((name,),) = self.rows("SELECT rebuilt FROM book WHERE account = ?")
        return None if name is None else str(name)

    def check_journal(self) -> journal.ChainHead:
        """Read the whole journal and return its last record.

        Raise DamagedJournalError if it is damaged or too short. Raise DamagedBooksError if the ledger is older than the
        journal shows, or if the two don't belong together.
        """
        with self.reading():
            path, sealed = self.folder / JOURNAL, self.sealed_head()
            head, proven, seal = journal.BEFORE_ALL, 0, None
            for record in journal.records(path, sealed.sequence):
                head, proven = record.head, max(proven, record.sealed)
                seal = head if head.sequence == sealed.sequence else seal
            journal.require_matching(path, sealed, seal, proven)
            return head

    def check(self) -> None:
        """Read and check ledger and journal, unless they are unchanged since they were last checked today.

        Raise like `check_pages` and `check_journal`.
        """
        if not (self._custody.unbroken(self.version()) and self._custody.of_today()):
            self._read_books()

    def read_through(self, *, again: bool = False) -> int:
        """Read and check ledger and journal unless a process did so since the last change; `again` forces it.

        Return the number of pages. Nothing is written, not even the note. Raise like `check`.
        """
        if again or not IntegrityCache(self.folder).unbroken(self.version()):
            self.check_pages()
            self.check_journal()
        return self.page_count()

    def page_count(self) -> int:
        """Return how many pages the ledger has."""
        with translate_errors(self.path):
            ((pages,),) = self.database.execute("PRAGMA page_count")
        return int(pages)

    def shrink(self) -> None:
        """Release SQLite's page cache, which grows with the books."""
        with translate_errors(self.path):
            self.database.execute("PRAGMA shrink_memory")

    def keep_custody(self, *, patient: bool = False) -> None:
        """Record for other processes that the books are intact, if this process has checked them.

        With `patient`, wait briefly if the last change is too recent to be recorded reliably.
        """
        self._custody.keep(patient=patient)

    def glance(self) -> None:
        """Read the whole ledger if it has changed since the last full check, unless it is too large.

        A pass checks the books before it decides anything; a command that only reads mustn't wait that long. Raise like
        `check_pages`.
        """
        # With its own note in memory, because readers write none.
        if self.path.stat().st_size < LARGE and not IntegrityCache(self.folder).unbroken(self.version()):
            self.check_pages()

    def distrust(self) -> None:
        """Make the next check read the books completely, because damage was found."""
        self._custody.revoke()

    def _read_books(self) -> None:
        before = self._custody.look()
        self.check_pages()
        self.check_journal()
        self._custody.begin(before, self.version())
        self._custody.keep()

    def version(self) -> int:
        """Return a number that changes whenever another connection has written."""
        with translate_errors(self.path):
            ((version,),) = self.database.execute("PRAGMA data_version")
        return int(version)

    def check_pages(self) -> None:
        """Read every page and row of the ledger; raise DamagedBooksError for a changed row.

        SQLite reports an unreadable page as damage, so a damaged file is read twice. Raise TemporaryError if the disk
        couldn't be read.
        """
        pages = self._not_as_written()
        if pages:
            _read_through(self.path)
            pages = self._not_as_written()
        if pages:
            raise DamagedBooksError(describe_damage(pages), REBUILD)

    def _not_as_written(self) -> list[str]:
        with read_from(self.path):
            try:
                problems = [row[0] for row in self.database.execute("PRAGMA integrity_check")]
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != "SQLITE_ERROR":
                    raise
                # An index reads a field of a text that is no longer JSON.
                return [str(error)]
            if problems == ["ok"]:
                # Others may write meanwhile: a lane claims slots without the folder's lock.
                with self.reading():
                    problems = list(ledger_sums.differences(self.database, TABLES))
        return problems

    @contextmanager
    def in_one_write(self) -> Iterator[None]:
        """Run all writes of the block in one transaction, which becomes durable when the block ends.

        Use this to create books that start with a history.
        """
        with self.write():
            self._in_one_write = True
            try:
                yield
            finally:
                self._in_one_write = False
            self.seal()

    @contextmanager
    def begin_with(self) -> Iterator[None]:
        """Run all writes of the block like `in_one_write`, but compute the checksums only once, at its end.

        Use this only for new books that start with a history.
        """
        with self.in_one_write(), ledger_sums.summed_at_end(self.database, TABLES):
            yield

    @contextmanager
    def write(self) -> Iterator[None]:
        """Run one durable transaction; an error inside rolls it back."""
        if self._in_one_write:
            yield
            return
        with translate_errors(self.path):
            self._require_in_place()
            self.database.execute("BEGIN IMMEDIATE")
            before = self.version()
            unbroken, committed = self._custody.unbroken(before), False
            try:
                yield
                with around("ledger_file.commit"):
                    self.database.execute("COMMIT")
                committed = True
            finally:
                if self.database.in_transaction:
                    self.database.execute("ROLLBACK")
                if not committed:
                    self._custody.drop()
            if unbroken:
                self._custody.carry_on(before, self.version)

    def _require_in_place(self) -> None:
        """Raise if the open file was removed or replaced, because anything written to it would be lost."""
        if not self.in_place:
            raise DamagedBooksError(f"{self.path} was removed or replaced while it was open.", REBUILD)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Make several queries see the same state; no other process can commit inside the block."""
        if self.database.in_transaction:
            yield
            return
        with translate_errors(self.path):
            self.database.execute("BEGIN")
        try:
            yield
        finally:
            with translate_errors(self.path):
                self.database.rollback()

    def note(self, kind: str, payload: object, at: datetime) -> None:
        """Append a record to the journal, after checking that the journal still belongs to this ledger."""
        if not self.keeps_journal:
            return
        if self._journal is None or not self._in_one_write:
            sealed = self.sealed_head()
            if self._journal is None:
                self._journal = journal.Journal.open(self.folder / JOURNAL, sealed)
            self._journal.set_seal(sealed)
        self._journal.append(kind, payload() if callable(payload) else payload, at)

    def sealed_head(self) -> journal.ChainHead:
        """Return the last journal record that was durable at the last commit."""
        with read_from(self.path):
            ((sequence, digest),) = self.rows("SELECT journal_sequence, journal_hash FROM book WHERE account = ?")
            return journal.ChainHead(int(sequence), str(digest))

    def seal(self) -> None:
        """Sync the journal before the commit, and store the number and hash of its last record in the ledger.

        From then on, a journal without that record doesn't match the ledger.
        """
        if self._journal is not None and not self._in_one_write:
            self.execute(
                "UPDATE book SET journal_sequence = ?, journal_hash = ? WHERE account = ?",
                (*self._journal.sync(), self.account_number),
            )


def _read_through(path: Path) -> None:
    """Read a file to its end; raise TemporaryError if the disk can't deliver it."""
    try:
        with path.open("rb") as file:
            while file.read(READ_BYTES):
                pass
    except OSError as error:
        raise TemporaryError(
            f"The ledger {path} can't be read: {error.strerror}.",
            f"run the command again; if it fails again: ls -l {path}",
        ) from error


def _stat(path: Path) -> os.stat_result | None:
    """Return the stat of the file at a path; None if it is gone."""
    try:
        return path.stat()
    except OSError:
        return None
