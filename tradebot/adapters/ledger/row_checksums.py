"""A sum on every row of the ledger and the count of all rows, so that a changed, lost or added row is found.

SQLite's own check looks at the structure of its pages and not at their content, so a bit that flips inside a text
passes it. Triggers write the sums with a function that only this program provides, so another program can't edit a
row. The sums find accidents; they don't stop an attacker, who can compute them too.

A checkpoint has a sum like any other row, but it can be made again, so only whoever starts from it checks that sum.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping

from tradebot.adapters.state.row_checksums import SUM, columns_of, key_of, name_statements

SUM_BYTES = 16
COMBINED = "combined_sum"
SEALED = "fills"
SEALED_IN = "fill_seals"
"""The table whose row counts all fills and combines their sums, in whatever order they were written."""
COUNTED_IN = "book"
"""The table whose single row counts the rows of all other tables but `REMADE`, in its column `rows`."""
REMADE = "checkpoints"
"""The table whose single row can be made again at any time: it is no damage if that row is missing or was changed."""
UNCOUNT = f"UPDATE {COUNTED_IN} SET rows = rows - ? WHERE account = ?"  # noqa: S608 - our own name
"""Take rows that were deleted on purpose out of the count."""


def install(database: sqlite3.Connection) -> None:
    """Register the function that the triggers call; every connection needs it before it writes."""
    database.create_function(SUM, -1, _sum, deterministic=True)
    database.create_function(COMBINED, -1, combine_checksums, deterministic=True)


def combine_checksums(*sums: str) -> str:
    """Return one sum of several, which doesn't depend on their order; the same sum twice cancels itself out."""
    total = 0
    for one in sums:
        total ^= _bits(one)
    return f"{total:0{2 * SUM_BYTES}x}" if total else ""


def _bits(one: str) -> int:
    """Return a sum as a number; a text that no row has as its sum gives a number that makes nothing fit."""
    try:
        return int(one or "0", 16)
    except ValueError:
        return int(_sum("", one.encode()), 16)


def triggers(tables: Iterable[str]) -> Iterator[str]:
    """Yield the triggers that maintain sums and row count, for each `CREATE TABLE` among the given statements."""
    found = dict(name_statements(tables))
    for table, statement in found.items():
        yield from _triggers_of(table, statement, sealed=table == SEALED and SEALED_IN in found)


def _triggers_of(table: str, statement: str, *, sealed: bool) -> Iterator[str]:
    columns = columns_of(statement)
    same = " AND ".join(f"{name} = NEW.{name}" for name in key_of(statement) or ["account"])
    new = call(table, columns, "NEW.")
    write = f"UPDATE {table} SET {SUM} = {new} WHERE {same};"  # noqa: S608 - our own names
    counted = "" if table in (COUNTED_IN, REMADE) else f" UPDATE {COUNTED_IN} SET rows = rows + 1;"  # noqa: S608
    seal = f" UPDATE {SEALED_IN} SET sum = {COMBINED}(sum, " if sealed else ""  # noqa: S608
    added = f"{seal}{new}), fills = fills + 1;" if sealed else ""
    changed = f"{seal}OLD.{SUM}, {new});" if sealed else ""
    yield f"CREATE TRIGGER {table}_added AFTER INSERT ON {table} BEGIN {write}{counted}{added} END"
    yield f"CREATE TRIGGER {table}_changed AFTER UPDATE OF {', '.join(columns)} ON {table} BEGIN {write}{changed} END"


def rewrite(table: str, statement: str) -> str:
    """Return the statement that recomputes a table's row checksums, given the one that creates the table."""
    return f"UPDATE {table} SET {SUM} = {call(table, columns_of(statement), '')}"  # noqa: S608 - our own names


def as_written(table: str, tables: Iterable[str]) -> str:
    """Return the expression that is true for the rows of a table that match their sums; `tables` create the ledger."""
    return f"{SUM} IS {call(table, _summed(tables)[table], '')}"


def differences(database: sqlite3.Connection, tables: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each table with rows that don't match their sums, and for wrong counts of rows and fills."""
    summed = _summed(tables)
    counted = 0
    for table, columns in summed.items():
        if table == REMADE:
            continue
        wrong, rows = _look_at(database, table, columns)
        counted += rows if table != COUNTED_IN else 0
        if wrong:
            yield f"{wrong} of {rows} rows of {table} are not as they were written"
    ((known,),) = database.execute(f"SELECT total(rows) FROM {COUNTED_IN}")  # noqa: S608 - our own name
    if counted != known:
        yield f"it has {counted} rows, but {known:.0f} were written"
    if SEALED_IN in summed:
        written = list(database.execute(f"SELECT fills, sum FROM {SEALED_IN}"))  # noqa: S608 - our own name
        if written != [seal_of(database)]:
            yield f"its {SEALED} are not those that were written"


def seal_of(database: sqlite3.Connection) -> tuple[int, str]:
    """Return the number of all fills in a ledger and the combined sum of their rows."""
    count, total = 0, ""
    for (one,) in database.execute(f"SELECT {SUM} FROM {SEALED}"):  # noqa: S608 - our own names
        count, total = count + 1, combine_checksums(total, one)
    return count, total


def _look_at(database: sqlite3.Connection, table: str, columns: tuple[str, ...]) -> tuple[int, int]:
    query = f"SELECT total({SUM} IS NOT {call(table, columns, '')}), count(*) FROM {table}"  # noqa: S608 - our own names
    ((wrong, rows),) = database.execute(query)
    return int(wrong), int(rows)


def _summed(tables: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    return {name: columns_of(statement) for name, statement in name_statements(tables)}


def call(table: str, columns: Iterable[str], row: str) -> str:
    """Return the expression for the sum of one row; `row` is a prefix such as `NEW.`."""
    # As blobs: a flipped bit may make invalid text, which can't be passed to a Python function.
    return f"{SUM}('{table}', {', '.join(f'CAST({row}{name} AS BLOB)' for name in columns)})"


def _sum(table: str, *values: bytes | None) -> str:
    """Return the sum of one row: a digest over the table's name and each value with its length."""
    parts = [b"-" if value is None else b"%d:%s" % (len(value), value) for value in values]
    return hashlib.blake2b(b"".join([table.encode(), *parts]), digest_size=SUM_BYTES).hexdigest()
