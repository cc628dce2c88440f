"""One table in the ledger's file."""

from collections.abc import Callable, Collection, Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic

from tradebot.adapters.ledger.table import Kind, Row
from tradebot.adapters.text.canonical import decimal_text, json_text, time_text

if TYPE_CHECKING:
    from tradebot.adapters.ledger.file import LedgerFile

IN_LIST = "IN (SELECT value FROM json_each(?))"
GREATEST = "\U0010ffff"
"""A text after every other."""


class FileTable(Generic[Row]):
    """The rows of one account in the ledger's file."""

    def __init__(self, file: "LedgerFile", kind: Kind[Row]) -> None:
        self._file = file
        self._kind = kind
        self._named = " AND ".join(("account = ?", *(f"{column} = ?" for column in kind.key)))

    def add(self, row: Row) -> bool:
        kind = self._kind
        key = dict(zip(kind.key, map(stored, kind.key_of(row)), strict=True))
        values = {**key, **kind.fixed(row), **kind.changing(row)}
        columns = ", ".join(("account", *(["sequence"] if kind.is_numbered else []), *values))
        number = f"(SELECT coalesce(max(sequence), 0) + 1 FROM {kind.name} WHERE account = ?1), "  # noqa: S608 - our own names
        places = ", ".join(f"?{place + 2}" for place in range(len(values)))
        statement = (
            f"INSERT INTO {kind.name} ({columns}) VALUES (?1, {number if kind.is_numbered else ''}{places})"  # noqa: S608 - our own names
            " ON CONFLICT DO NOTHING"
        )
        return bool(self._file.execute(statement, (self._file.account_number, *values.values())))

    def put(self, row: Row) -> None:
        values, key = self._kind.changing(row), map(stored, self._kind.key_of(row))
        columns, marks = ", ".join(values), ", ".join("?" * len(values))
        # A row that stays as it is isn't written again.
        statement = (
            f"UPDATE {self._kind.name} SET ({columns}) = ({marks}) WHERE {self._named}"  # noqa: S608 - our own names
            f" AND ({columns}) IS NOT ({marks})"
        )
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


def stored(value: Any) -> Any:
    """Return a value as a column holds it."""
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, date):
        return value.isoformat()
    return decimal_text(value) if isinstance(value, Decimal) else value


def _list(values: Collection[Any]) -> str:
    return json_text([stored(value) for value in values])
