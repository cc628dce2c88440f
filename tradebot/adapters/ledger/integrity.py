"""Detect changed, lost or added ledger rows, and whether the books are unchanged since they were last read completely.

Reading years of books takes seconds, and a pass can't wait that long each time. So a process that reads ledger and
journal completely notes both files' stats: device, inode, size, and the times of their last changes. Each of our own
writes updates the note. As long as the files match it, nobody else has written to them: the system itself sets the time
of a file's last status change, so a file that was edited, copied or restored is always noticed.

File stats don't reveal a bit that flips on the disk without a write. So the note is valid only for the UTC day on which
the books were read, and only until the machine restarts; without a valid note, the books are read completely. Commands
that may add risk again (`unhalt`, `live`) and `doctor` always read everything.

Every row of the ledger has a checksum, and there is a count of all rows. SQLite's own check covers the structure of its
pages but not their content, so it misses a flipped bit inside a text. Triggers write the checksums with a function that
only this program provides, so other programs can't edit a row. The checksums find accidents; they don't stop an
attacker, who can compute them too. A checkpoint has a checksum like any other row, but it can be recomputed, so only
its readers check it.
"""

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

from tradebot.adapters.failpoint import around
from tradebot.adapters.state.resources import boot_id
from tradebot.adapters.state.row_checksums import SUM, columns_of, key_of, name_statements
from tradebot.adapters.state.safe_open import read_plain, written_plain
from tradebot.adapters.state.state_folder import CHECKED, JOURNAL, LEDGER

SUM_BYTES = 16

COMBINED = "combined_sum"

SEALED = "fills"

SEALED_IN = "fill_seals"

"""The table with the count of all fills and their combined checksum, regardless of the order of writing."""

COUNTED_IN = "book"

"""The table whose single row counts the rows of all other tables but `REMADE`, in its column `rows`."""

REMADE = "checkpoints"

"""The table whose single row can be recomputed at any time, so a missing or changed row is no damage."""

UNCOUNT = f"UPDATE {COUNTED_IN} SET rows = rows - ? WHERE account = ?"  # noqa: S608 - our own name

"""Subtract deliberately deleted rows from the count."""


def install(database: sqlite3.Connection) -> None:
    """Register the checksum function that the triggers call; every connection needs it before it writes."""
    database.create_function(SUM, -1, _sum, deterministic=True)
    database.create_function(COMBINED, -1, combine_checksums, deterministic=True)


def combine_checksums(*sums: str) -> str:
    """Combine checksums in any order; two equal checksums cancel each other out."""
    total = 0
    for checksum in sums:
        total ^= _bits(checksum)
    return f"{total:0{2 * SUM_BYTES}x}" if total else ""


def _bits(text: str) -> int:
    """Return a checksum as a number; an invalid text gives a number that never matches."""
    try:
        return int(text or "0", 16)
    except ValueError:
        return int(_sum("", text.encode()), 16)


def triggers(tables: Iterable[str]) -> Iterator[str]:
    """Yield the triggers that maintain checksums and the row count, for each `CREATE TABLE` statement given."""
    texts = dict(name_statements(tables))
    for table, statement in texts.items():
        yield from _triggers_of(table, statement, sealed=table == SEALED and SEALED_IN in texts)


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
    """Return the statement that recomputes a table's row checksums, given the statement that creates the table."""
    return f"UPDATE {table} SET {SUM} = {call(table, columns_of(statement), '')}"  # noqa: S608 - our own names


@contextmanager
def summed_at_end(database: sqlite3.Connection, tables: Sequence[str]) -> Iterator[None]:
    """Compute checksums, counts and totals once at the end of a block, with the same result as single writes.

    Use this only for a new ledger, inside the transaction that fills it: in an existing ledger, damaged rows would get
    a valid checksum. If the block fails, the transaction must be rolled back.
    """
    ((rows,),) = database.execute(f"SELECT total(rows) FROM {COUNTED_IN}")  # noqa: S608 - our own name
    assert rows <= 1, "a new ledger must have no row except the totals of fills"
    creating = dict(name_statements(tables))
    for table in creating:
        database.execute(f"DROP TRIGGER {table}_added")
        database.execute(f"DROP TRIGGER {table}_changed")
    yield
    database.execute(rewrite(SEALED, creating[SEALED]))
    database.execute(f"UPDATE {SEALED_IN} SET (fills, sum) = (?, ?)", fill_checksum(database))  # noqa: S608 - our own name
    counted = 0
    for table in creating.keys() - {COUNTED_IN, SEALED}:
        database.execute(rewrite(table, creating[table]))
    for table in creating.keys() - {COUNTED_IN, REMADE}:
        ((rows,),) = database.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - our own names
        counted += rows
    database.execute(f"UPDATE {COUNTED_IN} SET rows = ?", (counted,))  # noqa: S608 - our own name
    database.execute(rewrite(COUNTED_IN, creating[COUNTED_IN]))
    for trigger in triggers(tables):
        database.execute(trigger)


def as_written(table: str, tables: Iterable[str]) -> str:
    """Return the SQL condition that a table's rows match their checksums; `tables` are the statements that create the
    ledger.
    """
    return f"{SUM} IS {call(table, _summed_columns(tables)[table], '')}"


def differences(database: sqlite3.Connection, tables: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each table with rows that don't match their checksums, and for wrong counts."""
    summed = _summed_columns(tables)
    counted = 0
    for table, columns in summed.items():
        if table == REMADE:
            continue
        wrong, rows = _look_at(database, table, columns)
        counted += rows if table != COUNTED_IN else 0
        if wrong:
            yield f"{wrong} of {rows} rows of {table} were changed after they were written"
    ((count,),) = database.execute(f"SELECT total(rows) FROM {COUNTED_IN}")  # noqa: S608 - our own name
    if counted != count:
        yield f"it has {counted} rows, but {count:.0f} were written"
    if SEALED_IN in summed:
        written = list(database.execute(f"SELECT fills, sum FROM {SEALED_IN}"))  # noqa: S608 - our own name
        if written != [fill_checksum(database)]:
            yield f"its {SEALED} were changed after they were written"


def fill_checksum(database: sqlite3.Connection) -> tuple[int, str]:
    """Return the number of all fills in a ledger and the combined checksum of their rows."""
    count, total = 0, ""
    for (checksum,) in database.execute(f"SELECT {SUM} FROM {SEALED}"):  # noqa: S608 - our own names
        count, total = count + 1, combine_checksums(total, checksum)
    return count, total


def _look_at(database: sqlite3.Connection, table: str, columns: tuple[str, ...]) -> tuple[int, int]:
    query = f"SELECT total({SUM} IS NOT {call(table, columns, '')}), count(*) FROM {table}"  # noqa: S608 - our own names
    ((wrong, rows),) = database.execute(query)
    return int(wrong), int(rows)


def _summed_columns(tables: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    return {name: columns_of(statement) for name, statement in name_statements(tables)}


def call(table: str, columns: Iterable[str], row: str) -> str:
    """Return the SQL expression for the checksum of one row; `row` is a prefix such as `NEW.`."""
    # As blobs: a flipped bit may make invalid text, which can't be passed to a Python function.
    return f"{SUM}('{table}', {', '.join(f'CAST({row}{name} AS BLOB)' for name in columns)})"


def _sum(table: str, *values: bytes | None) -> str:
    """Return the sum of one row: a digest over the table's name and each value with its length."""
    parts = [b"-" if value is None else b"%d:%s" % (len(value), value) for value in values]
    return hashlib.blake2b(b"".join([table.encode(), *parts]), digest_size=SUM_BYTES).hexdigest()


COARSE_NS = 10_000_000

"""The resolution of the system's file times, in nanoseconds: two changes within it may have the same time."""

LARGE = 1 << 22

"""Books of this size in bytes take longer to read completely than to wait until a note is accepted."""

File = tuple[int, int, int, int, int]

"""Device, inode, size in bytes, and the times of the last change of content and of status, in nanoseconds."""

SIZE = 2


class FileStats(NamedTuple):
    """The file stats of ledger and journal."""

    ledger: File
    journal: File

    @property
    def changed_ns(self) -> int:
        """Return when ledger or journal last changed, whichever is later, in nanoseconds."""
        return max(self.ledger[-1], self.journal[-1])


class IntegrityCache:
    """The integrity note about one folder's books, in memory and on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: FileStats | None = None
        self._day: date | None = None
        self._version: int | None = None
        self._kept: FileStats | None = None
        self.read_here = False
        "Whether this process has read the books itself, rather than trusting the folder's note."

    def look(self) -> FileStats | None:
        """Return the current stats of both files; None if one is missing."""
        try:
            return FileStats(_file(self._folder / LEDGER), _file(self._folder / JOURNAL))
        except OSError:
            return None

    def unbroken(self, version: int) -> bool:
        """Return True if both files still match the note; `version` changes whenever another connection has written."""
        now = self.look()
        if now is None:
            return False
        if self._seen == now and self._version == version:
            return True
        self._seen, self.read_here = None, False
        day = self._day_of_note(now)
        if day is not None:
            self._seen, self._day, self._version = now, day, version
        return day is not None

    def of_today(self) -> bool:
        """Return True if the books were completely read on this UTC day."""
        return self._day == _today()

    def begin(self, stats: FileStats | None, version: int) -> None:
        """Note that the books were completely read, if the files still have the stats in `stats`."""
        if stats is not None and stats == self.look():
            self._seen, self._day, self._version, self.read_here = stats, _today(), version, True

    def carry_on(self, before: int, version: Callable[[], int]) -> None:
        """Update the note after one of our own writes. Before that write, the files matched the note.

        Drop the note if another connection has written since, which changes the version.
        """
        file_stats = self.look()
        self._seen, self._version = (file_stats, before) if version() == before else (None, None)

    def drop(self) -> None:
        """Drop the note, because a write failed."""
        self._seen = None

    def revoke(self) -> None:
        """Invalidate the note for all processes, because the books were found to be damaged."""
        self.drop()
        with suppress(OSError), around("integrity.revoke"):
            (self._folder / CHECKED).unlink(missing_ok=True)

    def keep(self, *, patient: bool = False) -> None:
        """Write the note to the folder for other processes, if the files still match it.

        They accept it only if the files' last change is old enough. A `patient` caller waits for that; if the books are
        large, every caller does, so that no process has to read them completely.
        """
        file_stats, boot = self._seen, boot_id()
        if file_stats is None or self._day is None or not boot or file_stats == self._kept or file_stats != self.look():
            return
        early_s = (file_stats.changed_ns + COARSE_NS - time.time_ns()) / 1e9
        patient = patient or file_stats.ledger[SIZE] + file_stats.journal[SIZE] >= LARGE
        if patient and 0 <= early_s <= COARSE_NS / 1e9:
            time.sleep(early_s + 0.001)
        at_ns = time.time_ns()
        words = {"boot": boot, "day": self._day.isoformat(), "at_ns": at_ns, "ledger": file_stats.ledger}
        text = json.dumps(words | {"journal": file_stats.journal})
        with suppress(OSError), around("integrity.keep"), written_plain(self._folder / CHECKED) as file:
            file.write(text.encode())
        if at_ns > file_stats.changed_ns + COARSE_NS:
            self._kept = file_stats

    def _day_of_note(self, now: FileStats) -> date | None:
        """Return the day for which the folder's note confirms the files as they are now; None if it doesn't."""
        try:
            note = json.loads(read_plain(self._folder / CHECKED))
            file_stats = FileStats(tuple(note["ledger"]), tuple(note["journal"]))
            trusted = file_stats == now and note["boot"] == boot_id() and now.changed_ns + COARSE_NS < note["at_ns"]
            return date.fromisoformat(note["day"]) if trusted else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _file(path: Path) -> File:
    stat_result = os.lstat(path)
    return stat_result.st_dev, stat_result.st_ino, stat_result.st_size, stat_result.st_mtime_ns, stat_result.st_ctime_ns


def _today() -> date:
    return datetime.now(UTC).date()
