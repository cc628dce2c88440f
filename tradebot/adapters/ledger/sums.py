"""A sum on every row of the ledger and the count of all rows, so that a changed, lost or added row is found.

SQLite's own check looks at the structure of its pages and not at their content, so a bit that flips inside a text
passes it. Triggers write the sums with a function that only this program provides, so another program can't edit a
row. The sums find accidents; they don't stop an attacker, who can compute them too.
"""

import hashlib
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

SUM = "row_sum"
SUM_BYTES = 16
COUNTED_IN = "book"
"""The table whose single row counts the rows of all other tables, in its column `rows`."""
_NAME = re.compile(r"CREATE TABLE (\w+) \(")
_COLUMN = re.compile(r"(?:\(|,)\s*(\w+) (?:TEXT|INTEGER)")
_KEY = re.compile(r"PRIMARY KEY \(([^)]*)\)")


def install(database: sqlite3.Connection) -> None:
    """Register the function that the triggers call; every connection needs it before it writes."""
    database.create_function(SUM, -1, _sum, deterministic=True)


def triggers(tables: Iterable[str]) -> Iterator[str]:
    """Yield the triggers that maintain sums and row count, for each `CREATE TABLE` among the given statements."""
    for statement in tables:
        named = _NAME.match(statement)
        if named:
            yield from _triggers_of(named[1], statement)


def _triggers_of(table: str, statement: str) -> Iterator[str]:
    columns = _columns(statement)
    same = " AND ".join(f"{name} = NEW.{name}" for name in _key(statement))
    write = f"UPDATE {table} SET {SUM} = {_call(table, columns, 'NEW.')} WHERE {same};"  # noqa: S608 - our own names
    counted = "" if table == COUNTED_IN else f" UPDATE {COUNTED_IN} SET rows = rows + 1;"  # noqa: S608
    yield f"CREATE TRIGGER {table}_added AFTER INSERT ON {table} BEGIN {write}{counted} END"
    yield f"CREATE TRIGGER {table}_changed AFTER UPDATE OF {', '.join(columns)} ON {table} BEGIN {write} END"


def differences(database: sqlite3.Connection, tables: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each table with rows that don't match their sums, and one if the row count is wrong."""
    counted = 0
    for table, columns in _summed(tables).items():
        wrong, rows = _look_at(database, table, columns)
        counted += rows if table != COUNTED_IN else 0
        if wrong:
            yield f"{wrong} of {rows} rows of {table} are not as they were written"
    ((known,),) = database.execute(f"SELECT total(rows) FROM {COUNTED_IN}")  # noqa: S608 - our own name
    if counted != known:
        yield f"it has {counted} rows, but {known:.0f} were written"


def _look_at(database: sqlite3.Connection, table: str, columns: tuple[str, ...]) -> tuple[int, int]:
    query = f"SELECT total({SUM} IS NOT {_call(table, columns, '')}), count(*) FROM {table}"  # noqa: S608 - our own names
    ((wrong, rows),) = database.execute(query)
    return int(wrong), int(rows)


def _summed(tables: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    named = ((_NAME.match(statement), statement) for statement in tables)
    return {name[1]: _columns(statement) for name, statement in named if name}


@cache
def _columns(statement: str) -> tuple[str, ...]:
    return tuple(name for name in _COLUMN.findall(statement) if name != SUM)


def _key(statement: str) -> list[str]:
    """Return the columns of the primary key: those of the final clause, or else `account`."""
    found = _KEY.search(statement)
    return found[1].split(", ") if found else ["account"]


def _call(table: str, columns: Iterable[str], row: str) -> str:
    # As blobs: a flipped bit may make invalid text, which can't be passed to a Python function.
    return f"{SUM}('{table}', {', '.join(f'CAST({row}{name} AS BLOB)' for name in columns)})"


def _sum(table: str, *values: bytes | None) -> str:
    """Return the sum of one row: a digest over the table's name and each value with its length."""
    parts = [b"-" if value is None else b"%d:%s" % (len(value), value) for value in values]
    return hashlib.blake2b(b"".join([table.encode(), *parts]), digest_size=SUM_BYTES).hexdigest()
