"""One account's rows in the ledger's file, and one table of them."""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Generic

from tradebot.adapters.ledger import sums as ledger_sums
from tradebot.adapters.ledger.schema import translated
from tradebot.adapters.ledger.table import Kind, Row
from tradebot.adapters.text.canonical import decimal_text, json_text, time_text

IN_LIST = "IN (SELECT value FROM json_each(?))"
ROWS_AT_ONCE = 100
GREATEST = "\U0010ffff"
"""A text after every other."""


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
        with translated(self.path):
            return self.database.execute(query, (self.account_number, *values)).fetchall()

    def streamed(self, query: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """Yield the rows of a query as `rows` does, in batches; nobody can commit until the last one is read."""
        with translated(self.path):
            cursor = self.database.execute(query, (self.account_number, *values))
        while True:
            with translated(self.path):
                rows = cursor.fetchmany(ROWS_AT_ONCE)
            if not rows:
                return
            yield from rows

    def row(self, query: str, values: Sequence[Any] = ()) -> Any:
        """Return the first row of a query as `rows` does; None if there is none."""
        return next(iter(self.rows(query, values)), None)


class FileTable(Generic[Row]):
    """The rows of one account in the ledger's file."""

    def __init__(self, file: AccountRows, kind: Kind[Row]) -> None:
        self._file = file
        self._kind = kind
        self._named = " AND ".join(("account = ?", *(f"{column} = ?" for column in kind.key)))

    def add(self, row: Row) -> bool:
        kind = self._kind
        key = dict(zip(kind.key, map(stored, kind.key_of(row)), strict=True))
        values = {**key, **kind.fixed(row), **kind.changing(row)}
        return self._file.append(kind.name, values, is_numbered=kind.is_numbered)

    def put(self, row: Row) -> None:
        values, key = self._kind.changing(row), map(stored, self._kind.key_of(row))
        statement = _update(self._kind.name, tuple(values), self._named)
        account = self._file.account_number
        if not self._file.execute(statement, (*values.values(), account, *key, *values.values())):
            self.add(row)

    def drop(self, *key: Any) -> None:
        self._file.delete(self._kind.name, "".join(f" AND {column} = ?" for column in self._kind.key), key)

    def get(self, *key: Any) -> Row | None:
        found = self._file.rows(
            f"SELECT {self._kind.columns} FROM {self._kind.name} WHERE {self._named}",  # noqa: S608 - our own names
            tuple(map(stored, key)),
        )
        row: Row | None = self._kind.of_row(*found[0]) if found else None
        return row

    def several(self, keys: Collection[tuple[Any, ...]]) -> dict[tuple[Any, ...], Row]:
        kind = self._kind
        parts = ", ".join(f"value ->> {place}" for place in range(len(kind.key)))
        # SQLite's own index for what is unique, beside the numbers that are unique too.
        query = (
            f"SELECT {kind.columns} FROM {kind.name} INDEXED BY sqlite_autoindex_{kind.name}_{1 + kind.is_numbered}"  # noqa: S608 - our own names
            f" WHERE account = ? AND ({', '.join(kind.key)}) IN (SELECT {parts} FROM json_each(?))"
        )
        rows = self._file.streamed(query, (json_text([list(map(stored, one)) for one in keys]),))
        return {kind.key_of(row): row for row in (kind.of_row(*row) for row in rows)}

    def known(self, keys: Collection[str]) -> frozenset[str]:
        (column,) = self._kind.key
        query = (
            f"SELECT {column} FROM {self._kind.name} WHERE account = ?"  # noqa: S608 - our own names
            f" AND {column} {IN_LIST}"
        )
        return frozenset(name for (name,) in self._file.rows(query, (json_text(list(keys)),)))

    def among(self, index: str, values: Collection[Any]) -> dict[int, Row]:
        by = self._kind.indexes[index]
        if by.condition:
            return self._found(index, by.condition, ())
        return self._found(index, f"{by.column} {IN_LIST}", (_list(values),))

    def span(self, index: str, first: Any, last: Any = None) -> dict[int, Row]:
        until = GREATEST if last is None else stored(last)
        return self._found(index, f"{self._kind.indexes[index].column} BETWEEN ? AND ?", (stored(first), until))

    def after(self, number: int) -> dict[int, Row]:
        return self._found("", "sequence > ?", (number,))

    def numbered(self, number: int) -> Row | None:
        return self._found("", "sequence = ?", (number,)).get(number)

    def last(self, suits: Callable[[Row], bool], index: str = "", until: Any = None) -> Row | None:
        by = self._kind.indexes[index].column if index else "sequence"
        where, values = (f"{by} <= ?", (stored(until),)) if index else ("TRUE", ())
        rows = self._file.streamed(self._select(index, where, f"{by} DESC"), values)
        return next(filter(suits, (self._kind.of_row(*row) for _, *row in rows)), None)

    def query(self, index: str, where: str) -> str:
        """Return the query for the rows that fulfill a condition, found by an index."""
        return self._select(index, where, self._kind.order)

    def _found(self, index: str, where: str, values: Iterable[Any]) -> dict[int, Row]:
        rows = self._file.streamed(self.query(index, where), tuple(values))
        if self._kind.is_numbered:
            return {number: self._kind.of_row(*row) for number, *row in rows}
        return {place: self._kind.of_row(*row) for place, (_, *row) in enumerate(rows)}

    def _select(self, index: str, where: str, order: str) -> str:
        kind = self._kind
        number = "sequence" if kind.is_numbered else "0"
        # SQLite would otherwise choose by the number of rows, and sometimes read all rows ever written.
        named = f"INDEXED BY {kind.indexes[index].named}" if index and kind.indexes[index].named else ""
        return (
            f"SELECT {number}, {kind.columns} FROM {kind.name} {named} WHERE account = ? AND {where} ORDER BY {order}"  # noqa: S608 - our own names
        )


@cache
def _insert(table: str, columns: tuple[str, ...], is_numbered: bool) -> str:
    number = f"(SELECT coalesce(max(sequence), 0) + 1 FROM {table} WHERE account = ?1), "  # noqa: S608 - our own names
    places = ", ".join(f"?{place + 2}" for place in range(len(columns)))
    names = ", ".join(("account", *(["sequence"] if is_numbered else []), *columns))
    return (
        f"INSERT INTO {table} ({names}) VALUES (?1, {number if is_numbered else ''}{places})"  # noqa: S608 - our own names
        " ON CONFLICT DO NOTHING"
    )


@cache
def _update(table: str, columns: tuple[str, ...], named: str) -> str:
    """Return the statement that changes a row, unless it stays as it is."""
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    return f"UPDATE {table} SET ({names}) = ({marks}) WHERE {named} AND ({names}) IS NOT ({marks})"  # noqa: S608 - our own names


def stored(value: Any) -> Any:
    """Return a value as a column holds it."""
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, date):
        return value.isoformat()
    return decimal_text(value) if isinstance(value, Decimal) else value


def _list(values: Collection[Any]) -> str:
    return json_text([stored(value) for value in values])
