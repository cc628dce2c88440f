"""Access the ledger's file as tables of one account's rows."""

from collections.abc import Callable, Collection, Iterable
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Generic

from tradebot.adapters.ledger.file import AccountRows, LedgerFile
from tradebot.adapters.ledger.tables import Row, TableKind, Worded
from tradebot.adapters.text.canonical import decimal_text, json_text, time_text

IN_LIST = "IN (SELECT value FROM json_each(?))"
GREATEST = "\U0010ffff"
"""A text that sorts after every other."""


class FileTable(Generic[Row]):
    """The rows of one account in one of the ledger's tables."""

    def __init__(self, file: AccountRows, kind: TableKind[Row]) -> None:
        self._file = file
        self._kind = kind
        self._named = " AND ".join(("account = ?", *(f"{column} = ?" for column in kind.key)))

    def add(self, row: Row) -> bool:
        kind = self._kind
        key = dict(zip(kind.key, map(to_column, kind.key_of(row)), strict=True))
        values = {**key, **kind.fixed(row), **kind.changing(row)}
        return self._file.append(kind.name, values, is_numbered=kind.is_numbered)

    def put(self, row: Row) -> None:
        values, key = self._kind.changing(row), map(to_column, self._kind.key_of(row))
        statement = _update(self._kind.name, tuple(values), self._named)
        account = self._file.account_number
        if not self._file.execute(statement, (*values.values(), account, *key, *values.values())):
            self.add(row)

    def drop(self, *key: Any) -> None:
        self._file.delete(self._kind.name, "".join(f" AND {column} = ?" for column in self._kind.key), key)

    def get(self, *key: Any) -> Row | None:
        rows = self._file.rows(
            f"SELECT {self._kind.columns} FROM {self._kind.name} WHERE {self._named}",  # noqa: S608 - our own names
            tuple(map(to_column, key)),
        )
        row: Row | None = self._kind.of_row(*rows[0]) if rows else None
        return row

    def several(self, keys: Collection[tuple[Any, ...]]) -> dict[tuple[Any, ...], Row]:
        kind = self._kind
        parts = ", ".join(f"value ->> {index}" for index in range(len(kind.key)))
        # SQLite's own index of the unique key; the unique numbers have an index too.
        query = (
            f"SELECT {kind.columns} FROM {kind.name} INDEXED BY sqlite_autoindex_{kind.name}_{1 + kind.is_numbered}"  # noqa: S608 - our own names
            f" WHERE account = ? AND ({', '.join(kind.key)}) IN (SELECT {parts} FROM json_each(?))"
        )
        rows = self._file.stream(query, (json_text([list(map(to_column, key)) for key in keys]),))
        return {kind.key_of(row): row for row in (kind.of_row(*row) for row in rows)}

    def known_keys(self, keys: Collection[str]) -> frozenset[str]:
        (column,) = self._kind.key
        query = (
            f"SELECT {column} FROM {self._kind.name} WHERE account = ?"  # noqa: S608 - our own names
            f" AND {column} {IN_LIST}"
        )
        return frozenset(name for (name,) in self._file.rows(query, (json_text(list(keys)),)))

    def among(self, index: str, values: Collection[Any]) -> dict[int, Row]:
        by = self._kind.indexes[index]
        if by.condition:
            return self._query_rows(index, by.condition, ())
        return self._query_rows(index, f"{by.column} {IN_LIST}", (json_text([to_column(value) for value in values]),))

    def span(self, index: str, first: Any, last: Any = None) -> dict[int, Row]:
        until = GREATEST if last is None else to_column(last)
        return self._query_rows(index, f"{self._kind.indexes[index].column} BETWEEN ? AND ?", (to_column(first), until))

    def after(self, number: int) -> dict[int, Row]:
        return self._query_rows("", "sequence > ?", (number,))

    def row_by_number(self, number: int) -> Row | None:
        return self._query_rows("", "sequence = ?", (number,)).get(number)

    def last(self, suits: Callable[[Row], bool], index: str = "", until: Any = None) -> Row | None:
        by = self._kind.indexes[index].column if index else "sequence"
        where, values = (f"{by} <= ?", (to_column(until),)) if index else ("TRUE", ())
        rows = self._file.stream(self._select(index, where, f"{by} DESC"), values)
        return next(filter(suits, (self._kind.of_row(*row) for _, *row in rows)), None)

    def query(self, index: str, where: str) -> str:
        """Return the query for this table's rows that match a condition, using an index."""
        return self._select(index, where, self._kind.order)

    def _query_rows(self, index: str, where: str, values: Iterable[Any]) -> dict[int, Row]:
        rows = self._file.stream(self.query(index, where), tuple(values))
        if self._kind.is_numbered:
            return {number: self._kind.of_row(*row) for number, *row in rows}
        return {index: self._kind.of_row(*row) for index, (_, *row) in enumerate(rows)}

    def _select(self, index: str, where: str, order: str) -> str:
        kind = self._kind
        number = "sequence" if kind.is_numbered else "0"
        # Without this, SQLite would choose by the number of rows, and might read all rows ever written.
        named = f"INDEXED BY {kind.indexes[index].named}" if index and kind.indexes[index].named else ""
        return (
            f"SELECT {number}, {kind.columns} FROM {kind.name} {named} WHERE account = ? AND {where} ORDER BY {order}"  # noqa: S608 - our own names
        )


class TableFile(LedgerFile):
    """An open ledger file that gives each store its tables."""

    def table(self, kind: TableKind[Row]) -> FileTable[Row]:
        """Return the account's table of this kind."""
        return FileTable(self, kind)

    def as_written(self, row: Worded) -> Worded:
        """Return a row with its JSON texts already built, so that the ledger and the journal get the same texts."""
        return row.with_texts()


@cache
def _update(table: str, columns: tuple[str, ...], named: str) -> str:
    """Return the statement that updates a row only if it changes."""
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    return f"UPDATE {table} SET ({names}) = ({marks}) WHERE {named} AND ({names}) IS NOT ({marks})"  # noqa: S608 - our own names


def to_column(value: Any) -> Any:
    """Convert a value to the form in which a column stores it."""
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, date):
        return value.isoformat()
    return decimal_text(value) if isinstance(value, Decimal) else value
