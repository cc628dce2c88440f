"""One account's rows in the ledger's file."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tradebot.adapters.ledger import row_checksums as ledger_sums
from tradebot.adapters.ledger.schema import translate_errors

ROWS_AT_ONCE = 100


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
        """Delete the account's rows that `which` names, inside `write`; they don't count any more.

        A row that is deleted in any other way is taken for a lost one. `which` begins with AND; none deletes all.
        """
        gone = self.execute(f"DELETE FROM {table} WHERE account = ? {which}", (self.account_number, *values))  # noqa: S608 - our own names
        self.execute(ledger_sums.UNCOUNT, (gone, self.account_number))

    def append(self, table: str, values: Mapping[str, Any], *, is_numbered: bool = True) -> bool:
        """Add a row inside `write`, with the next number; return False, changing nothing, if one has its key."""
        statement = _insert(table, tuple(values), is_numbered)
        return bool(self.execute(statement, (self.account_number, *values.values())))

    def newest(self, table: str, columns: str) -> Any:
        """Return these columns of the row that was appended last; None if there is none."""
        return self.row(f"SELECT {columns} FROM {table} WHERE account = ? ORDER BY sequence DESC LIMIT 1")  # noqa: S608 - our own names

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a query whose first parameter is the account."""
        with translate_errors(self.path):
            return self.database.execute(query, (self.account_number, *values)).fetchall()

    def stream(self, query: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """Yield the rows of a query as `rows` does, in batches; nobody can commit until the last one is read."""
        with translate_errors(self.path):
            cursor = self.database.execute(query, (self.account_number, *values))
            rows = cursor.fetchmany(ROWS_AT_ONCE)
        yield from rows
        while len(rows) == ROWS_AT_ONCE:
            with translate_errors(self.path):
                rows = cursor.fetchmany(ROWS_AT_ONCE)
            yield from rows

    def row(self, query: str, values: Sequence[Any] = ()) -> Any:
        """Return the first row of a query as `rows` does; None if there is none."""
        return next(iter(self.rows(query, values)), None)


@cache
def _insert(table: str, columns: tuple[str, ...], is_numbered: bool) -> str:
    number = f"(SELECT coalesce(max(sequence), 0) + 1 FROM {table} WHERE account = ?1), "  # noqa: S608 - our own names
    places = ", ".join(f"?{place + 2}" for place in range(len(columns)))
    names = ", ".join(("account", *(["sequence"] if is_numbered else []), *columns))
    return (
        f"INSERT INTO {table} ({names}) VALUES (?1, {number if is_numbered else ''}{places})"  # noqa: S608 - our own names
        " ON CONFLICT DO NOTHING"
    )
