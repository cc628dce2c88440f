"""Checksum every row of a cache database, so that a damaged row counts as missing.

SQLite's own check covers the structure of its pages but not their content. A trigger writes each row's checksum with a
function that only this program provides. In every connection, a temporary view with the same name hides each table and
shows only its intact rows, so no query can read a damaged row. Statements that write refer to the table itself as
`main.TABLE`. The checksums find accidents; they don't stop an attacker, who can compute them too.
"""

import re
import sqlite3
from collections.abc import Iterable, Iterator
from functools import cache
from zlib import crc32

SUM, SOUND = "row_sum", "is_sound"
BETWEEN, ABSENT = "char(31)", "char(30)"
_NAME = re.compile(r"CREATE TABLE (\w+) \(")
_COLUMN = re.compile(r"(?:\(|,)\s*(\w+) (?:TEXT|INTEGER|BLOB)")
_KEY = re.compile(r"PRIMARY KEY \(([^)]*)\)")
_LAST_COLUMN = re.compile(r"(?=,\s+(?:UNIQUE|PRIMARY KEY) \(|\)(?: WITHOUT ROWID)?$)")


def with_sums(statements: Iterable[str]) -> tuple[str, ...]:
    """Add checksums to the statements that create a database's tables."""
    tables = [
        _LAST_COLUMN.sub(f", {SUM} INTEGER", statement, count=1) if _NAME.match(statement) else statement
        for statement in statements
    ]
    return *tables, *_triggers(tables)


class BadRows:
    """The damaged rows that a connection has found, until they are deleted."""

    def __init__(self, database: sqlite3.Connection, statements: Iterable[str]) -> None:
        self._database = database
        self._tables = {table: text for table, text in name_statements(statements) if SUM in text}
        self._found = dict[str, set[tuple[object, ...]]]()
        database.create_function(SUM, 1, crc32, deterministic=True)
        database.create_function(SOUND, -1, self._is_sound)

    def hide(self) -> None:
        """Hide the connection's tables behind views of their intact rows."""
        for table, statement in self._tables.items():
            names, columns = _row_key(statement), columns_of(statement)
            shown = ", ".join(dict.fromkeys((*names, *columns)))
            sound = f"{SOUND}({SUM}, {_content(table, columns, '')}, '{table}', {', '.join(names)})"
            view = f"CREATE TEMP VIEW {table} AS SELECT {shown} FROM main.{table} WHERE {sound}"  # noqa: S608 - our own names
            self._database.execute(view)

    @property
    def count(self) -> int:
        """Return how many damaged rows were found since the last deletion."""
        return sum(map(len, self._found.values()))

    def find_all(self) -> int:
        """Read all rows; return how many of them are damaged."""
        for table in self._tables:
            self._database.execute(f"SELECT count(*) FROM {table}").fetchall()  # noqa: S608 - our own name
        return self.count

    def delete(self) -> int:
        """Delete the damaged rows found so far, inside a transaction; return how many there were."""
        rows, self._found = self._found, {}
        for table, keys in rows.items():
            same = " AND ".join(f"{name} IS ?" for name in _row_key(self._tables[table]))
            self._database.executemany(f"DELETE FROM main.{table} WHERE {same}", keys)  # noqa: S608 - our own names
        return sum(map(len, rows.values()))

    def _is_sound(self, stored_sum: object, content: bytes, table: str, *key: object) -> bool:
        """Return True if a row's checksum matches its content; otherwise remember its key."""
        if stored_sum == crc32(content):
            return True
        self._found.setdefault(table, set()).add(key)
        return False


def name_statements(statements: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each table's name with the statement that creates it."""
    for statement in statements:
        if name := _NAME.match(statement):
            yield name[1], statement


def _triggers(statements: Iterable[str]) -> Iterator[str]:
    for table, statement in name_statements(statements):
        same = " AND ".join(f"{name} = NEW.{name}" for name in _row_key(statement))
        write = f"UPDATE {table} SET {SUM} = {_call(table, columns_of(statement), 'NEW.')} WHERE {same};"  # noqa: S608 - our own names
        yield f"CREATE TRIGGER {table}_added AFTER INSERT ON {table} BEGIN {write} END"


@cache
def columns_of(statement: str) -> tuple[str, ...]:
    """Return the columns of a table except its checksum."""
    return tuple(name for name in _COLUMN.findall(statement) if name != SUM)


def key_of(statement: str) -> list[str]:
    """Return the columns of a table's PRIMARY KEY clause; empty if it has none."""
    match = _KEY.search(statement)
    return match[1].split(", ") if match else []


def _row_key(statement: str) -> list[str]:
    return key_of(statement) or ["rowid"]


def _call(table: str, columns: Iterable[str], row: str) -> str:
    return f"{SUM}({_content(table, columns, row)})"


def _content(table: str, columns: Iterable[str], row: str) -> str:
    """Return the SQL expression that a row's checksum covers; `row` is a prefix such as `NEW.`."""
    # As a blob: a flipped bit may make invalid text, which can't be passed to a Python function.
    parts = (f" || {BETWEEN} || coalesce({row}{name}, {ABSENT})" for name in columns)
    return f"CAST('{table}'{''.join(parts)} AS BLOB)"
