"""Define the facts file: its tables, and how a missing or damaged file is replaced.

Facts only explain, so a damaged file is moved aside and the bot goes on. It uses WAL with synchronous NORMAL: a power
failure may lose the last answers, which are then fetched again.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path

from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.state.plain_files import NotPlainError, require_plain
from tradebot.adapters.state.state_folder import cannot_write, cannot_write_database
from tradebot.adapters.text.canonical import parse_time
from tradebot.errors import OperatorError, TemporaryError

APPLICATION_ID = 0x54424631
VERSION = 1
BUSY_TIMEOUT_S = 5.0
TABLES = (
    """CREATE TABLE facts (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, symbol TEXT NOT NULL,
        id TEXT NOT NULL, session TEXT NOT NULL, known_at TEXT NOT NULL, body TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, UNIQUE (endpoint, symbol, id, known_at)
    )""",
    "CREATE INDEX facts_by_session ON facts (endpoint, symbol, session)",
    """CREATE TABLE intakes (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, symbol TEXT NOT NULL,
        at TEXT NOT NULL, received INTEGER NOT NULL, foreign_rows INTEGER NOT NULL,
        duplicates INTEGER NOT NULL, rejected TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1
    )""",
    "CREATE INDEX intakes_by_symbol ON intakes (endpoint, symbol, at)",
    "CREATE INDEX intakes_by_time ON intakes (at)",
    """CREATE TABLE cycles (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1
    )""",
    "CREATE INDEX cycles_by_job ON cycles (job, at)",
    """CREATE TABLE candidates (
        cycle INTEGER NOT NULL REFERENCES cycles ON DELETE CASCADE, position INTEGER NOT NULL,
        symbol TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1,
        PRIMARY KEY (cycle, position)
    ) WITHOUT ROWID""",
    "CREATE INDEX candidates_by_symbol ON candidates (symbol, at)",
)


class DamagedError(Exception):
    """Raised when the file is missing or is not what it should be; the text says why."""


def open_database(path: Path) -> sqlite3.Connection:
    """Return a checked connection; raise DamagedError if the file is missing or is not a complete facts file."""
    if not path.exists():
        raise DamagedError("missing")
    with translated(path):
        database = _connect(path)
        try:
            _check(database)
            if _writable(path):
                _make_quick(database)
        except (sqlite3.Error, DamagedError):
            database.close()
            raise
    return database


def summarize(path: Path) -> tuple[int, datetime | None]:
    """Return how many answers are stored and when the last one came; raise OperatorError if the file is damaged.

    This reads every page, because a damaged page may lie where the query itself would never look.
    """
    try:
        database = open_database(path)
        with closing(database), translated(path):
            _check_pages(database)
            ((answers, newest),) = database.execute("SELECT count(*), max(at) FROM intakes")
    except DamagedError as error:
        raise OperatorError(
            f"The facts {path} are damaged: {error}.",
            "tradebot fetch-flow --force-slot   (starts a new file and keeps the old one; only explanations are lost)",
        ) from error
    return answers, parse_time(newest) if newest else None


def start_over(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """Create an empty facts file; return its connection, and where the old file was moved to, if there was one."""
    try:
        moved_to = _move_aside(path)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise cannot_write(path.parent, error) from error
    with translated(path):
        database = _connect(path)
        _make_quick(database)
        database.execute("BEGIN IMMEDIATE")
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {VERSION}")
        for statement in TABLES:
            database.execute(statement)
        with around("facts_schema.create"):
            database.execute("COMMIT")
    return database, moved_to


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Translate SQLite's errors into ones that a person or a later run can act on; damage becomes DamagedError."""
    try:
        yield
    except sqlite3.OperationalError as error:
        name = error.sqlite_errorname
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise TemporaryError(f"The facts {path} are in use by another process.", "Try again soon.") from error
        raise cannot_write_database(path, str(error), name) from error
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        raise DamagedError(str(error)) from error


def _move_aside(path: Path) -> Path | None:
    if not path.exists():
        return None
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in count(1))
    aside = next(name for name in names if not name.exists())
    with around("facts_schema.set_aside"):
        path.replace(aside)
    for suffix in ("-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            with around("facts_schema.set_companion_aside"):
                companion.replace(aside.with_name(aside.name + suffix))
    return aside


def _connect(path: Path) -> sqlite3.Connection:
    try:
        require_plain(path)
    except NotPlainError as error:
        message = f"{path} is not a file: {error.strerror}."
        raise OperatorError(message, f"Move it away: mv {path} {path}.aside") from error
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{_how(path)}", uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S
    )


def _how(path: Path) -> str:
    """Return how to open a file: one that we can't write is opened read-only."""
    if _writable(path):
        return "mode=rw"
    # Even to read a WAL database, SQLite creates files beside it, unless told that nothing can change.
    return "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _check(database: sqlite3.Connection) -> None:
    found = [database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
    if found != [APPLICATION_ID, VERSION]:
        raise DamagedError("not a file of facts of this version")
    tables = {sql for (sql,) in database.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")}
    if not tables.issuperset(TABLES):
        raise DamagedError("its tables are not those of a facts file")


def _check_pages(database: sqlite3.Connection) -> None:
    ((result,),) = database.execute("PRAGMA quick_check(1)")
    if result != "ok":
        raise DamagedError(result)


def _make_quick(database: sqlite3.Connection) -> None:
    for statement in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        database.execute(f"PRAGMA {statement}")
