"""Provide a database that may be lost: a missing or damaged file is replaced by an empty one, and the bot continues.

It uses WAL with synchronous NORMAL: a power failure may lose the last replies, which are then fetched again.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from tradebot.adapters.failpoint import around
from tradebot.adapters.state.row_checksums import BadRows
from tradebot.adapters.state.safe_open import NotRegularFileError, require_plain, try_lock
from tradebot.adapters.state.state_folder import cannot_write, cannot_write_database
from tradebot.errors import TemporaryError
from tradebot.model.event import EventKind, Severity, SystemEvent

if TYPE_CHECKING:
    from tradebot.ports.stores import Events

BUSY_TIMEOUT_S = 5.0
POLL_S = 0.02
MALFORMED = "malformed JSON"
MARKS = ("application_id", "user_version")
DAMAGED, EARLIER = "damaged", "earlier"


class DamagedError(Exception):
    """Raised if the file is missing or invalid, with the reason as text."""


class UnfinishedError(DamagedError):
    """Raised if nothing was ever written to the file; the process that created it may have been killed."""


class EarlierVersionError(DamagedError):
    """Raised for a file made by an earlier version of this program, with tables that no longer exist."""


class CacheConnection(sqlite3.Connection):
    """A connection to a cache database, and the damaged rows found through it."""

    bad_rows: BadRows

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a transaction; other processes that write wait for its end."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            with around("cache_database.commit"):
                self.execute("COMMIT")
        finally:
            if self.in_transaction:
                self.execute("ROLLBACK")


class CacheDatabase(NamedTuple):
    """A type of cache file: its content (a plural noun), its application id, and the statements that create its tables.

    Files of an earlier version may lack the `later` tables, which are then created.
    """

    holds: str
    application_id: int
    version: int
    tables: tuple[str, ...]
    later: tuple[str, ...] = ()

    def open(self, path: Path) -> "CacheConnection":
        """Open and check a file; raise DamagedError if it is missing or incomplete."""
        if not path.exists():
            raise DamagedError("missing")
        with self.translate_errors(path):
            database = self._connect(path)
            try:
                self._check(database, self.tables)
                if _writable(path):
                    _make_quick(database)
                    self._complete(database)
                self._check(database, self.later)
                database.bad_rows.hide()
            except (sqlite3.Error, DamagedError):
                database.close()
                raise
        return database

    def version_at(self, path: Path) -> int | None:
        """Return a file's version without changing the file; None if it isn't of this kind."""
        with (
            self.translate_errors(path),
            closing(sqlite3.connect(f"{path.absolute().as_uri()}?{_only_to_read(path)}", uri=True)) as database,
        ):
            kind, version = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in MARKS)
        return int(version) if kind == self.application_id else None

    def start_over(
        self, path: Path, *, look_again: bool = False, problem: str = DAMAGED
    ) -> tuple["CacheConnection", Path | None]:
        """Create an empty file; return its connection, and the path to which an existing file was moved.

        With `look_again`, use the new file if another process has created one since this file was found missing or
        damaged. `problem` describes the old file and becomes part of its new name.
        """
        with _alone_in(path.parent):
            if look_again:
                with suppress(DamagedError):
                    return self.open(path), None
            return self._create(path, problem)

    def _create(self, path: Path, problem: str) -> tuple["CacheConnection", Path | None]:
        try:
            moved_to = _move_aside(path, problem)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            raise cannot_write(path.parent, error) from error
        with self.translate_errors(path):
            database = self._connect(path)
            _make_quick(database)
            database.execute("BEGIN IMMEDIATE")
            database.execute(f"PRAGMA application_id = {self.application_id}")
            database.execute(f"PRAGMA user_version = {self.version}")
            for statement in (*self.tables, *self.later):
                database.execute(statement)
            with around("cache_database.create"):
                database.execute("COMMIT")
            database.bad_rows.hide()
        return database, moved_to

    @contextmanager
    def translate_errors(self, path: Path) -> Iterator[None]:
        """Translate SQLite's errors into errors that the user or a later run can act on; damage becomes
        DamagedError.
        """
        try:
            yield
        except sqlite3.OperationalError as error:
            name = getattr(error, "sqlite_errorname", "")
            if not name or MALFORMED in str(error):
                # Python raises this itself if a text isn't valid UTF-8; indexes read texts that must be JSON.
                raise DamagedError(str(error)) from error
            if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise TemporaryError(
                    f"The {self.holds} {path} are in use by another process.", "Try again soon."
                ) from error
            raise cannot_write_database(path, str(error), name) from error
        except sqlite3.DatabaseError as error:
            raise DamagedError(str(error)) from error

    def _connect(self, path: Path) -> "CacheConnection":
        try:
            require_plain(path)
        except NotRegularFileError as error:
            # Move it aside like any other damage: a mere cache must not stop an exit.
            raise DamagedError(str(error.strerror)) from error
        database = sqlite3.connect(
            f"{path.absolute().as_uri()}?{_how(path)}",
            uri=True,
            isolation_level=None,
            timeout=BUSY_TIMEOUT_S,
            factory=CacheConnection,
        )
        database.bad_rows = BadRows(database, (*self.tables, *self.later))
        return database

    def _complete(self, database: "CacheConnection") -> None:
        """Create the tables that an earlier version of this program lacked."""
        if self.later and not _statements(database).issuperset(self.later):
            with database.transaction():
                for statement in self.later:
                    # Another process may have created it in the meantime.
                    if statement not in _statements(database):
                        database.execute(statement)

    def _check(self, database: sqlite3.Connection, expected: tuple[str, ...]) -> None:
        marks = [database.execute(f"PRAGMA {name}").fetchone() for name in MARKS]
        if marks[0] == (self.application_id,) and 0 < marks[1][0] < self.version:
            raise EarlierVersionError(f"{self.holds} of version {marks[1][0]}, but this program has {self.version}")
        if marks == [(0,), (0,)] and not _statements(database):
            raise UnfinishedError(f"nothing was written to the file of {self.holds} yet")
        if marks != [(self.application_id,), (self.version,)]:
            raise DamagedError(f"not a file of {self.holds} of this version")
        if not _statements(database).issuperset(expected):
            raise DamagedError(f"its tables are not those of a {self.holds} file")


class CacheStore:
    """A store in a cache database. If the file is missing or damaged, it starts over, and an event says so.

    A file of an earlier version counts as damaged, unless the store has a separate event for it.
    """

    FILE: ClassVar[CacheDatabase]
    STARTED_OVER: ClassVar[EventKind]
    OF_EARLIER_VERSION: ClassVar[EventKind | None] = None

    def __init__(self, path: Path, events: "Events", at: datetime) -> None:
        self._path = path
        self._events = events
        self._opened_at = at
        try:
            self._database = self.FILE.open(path)
        except DamagedError as error:
            if self.OF_EARLIER_VERSION and isinstance(error, EarlierVersionError):
                self._database, moved_to = self.FILE.start_over(path, look_again=True, problem=EARLIER)
                details = {"why": str(error), "moved_to": str(moved_to or "")}
                self._events.emit(self.OF_EARLIER_VERSION.at(at, details))
            else:
                self._start_over(str(error), look_again=True)

    def close(self) -> None:
        """Close the database file."""
        self._database.close()

    def _damage_error(self) -> TemporaryError:
        """Return the error to raise after the store has started over because of damage."""
        raise NotImplementedError

    @contextmanager
    def _guard(self, *unfit: type[Exception]) -> Iterator[None]:
        """Start over with an empty file if this one turns out to be damaged, so that a later run can go on."""
        damage: tuple[type[Exception], ...] = (DamagedError, *unfit)
        try:
            with self.FILE.translate_errors(self._path):
                yield
        except damage as error:
            self._database.close()
            self._start_over(str(error))
            raise self._damage_error() from error

    @contextmanager
    def _write(self) -> Iterator[None]:
        """Run a transaction; other processes that write wait for its end."""
        with self._guard(), self._database.transaction():
            yield

    def _start_over(self, why: str, *, look_again: bool = False) -> None:
        self._database, moved_to = self.FILE.start_over(self._path, look_again=look_again)
        self._events.emit(started_over(self.STARTED_OVER, self._opened_at, why, moved_to))


def started_over(kind: EventKind, at: datetime, why: str, moved_to: Path | None) -> SystemEvent:
    """Return the event that says why a store started over; it is a warning if there was a file before."""
    severity = Severity.WARN if moved_to else Severity.INFO
    return kind.at(at, {"why": why, "moved_to": str(moved_to or "")}, severity=severity)


def _statements(database: sqlite3.Connection) -> set[str]:
    return {sql for (sql,) in database.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")}


def check_pages(database: sqlite3.Connection) -> None:
    """Read every page; raise DamagedError if one is damaged."""
    ((result,),) = database.execute("PRAGMA quick_check(1)")
    if result != "ok":
        raise DamagedError(result)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from creating a file here meanwhile; raise TemporaryError if one takes too long."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise cannot_write(folder, error) from error
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    try:
        while not _lock_exclusively(descriptor):
            if time.monotonic() >= deadline:
                raise TemporaryError(f"Another process is creating a file in {folder}.", "Try again soon.")
            time.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)


def _lock_exclusively(descriptor: int) -> bool:
    try:
        return try_lock(descriptor, fcntl.LOCK_EX)
    except OSError:
        # Some network drives can't lock folders; there, at worst, a new file is moved aside unnecessarily.
        return True


def _move_aside(path: Path, problem: str) -> Path | None:
    if not os.path.lexists(path):
        return None
    names = (path.with_name(f"{path.name}.{problem}-{number}") for number in count(1))
    aside = next(name for name in names if not name.exists())
    with around("cache_database.set_aside"):
        path.replace(aside)
    for suffix in ("-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            with around("cache_database.set_companion_aside"):
                companion.replace(aside.with_name(aside.name + suffix))
    return aside


def _how(path: Path) -> str:
    """Return the mode for opening a file: read-only if we can't write it."""
    return "mode=rw" if _writable(path) else _only_to_read(path)


def _only_to_read(path: Path) -> str:
    # Even for reading a WAL database, SQLite creates files beside it unless told that it is immutable.
    return "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _make_quick(database: sqlite3.Connection) -> None:
    for statement in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        database.execute(f"PRAGMA {statement}")
