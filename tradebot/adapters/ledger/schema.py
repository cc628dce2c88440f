"""The ledger's file: its tables, how it is created and opened, and what counts as damage.

The key of a row is (account, sequence). Decimals and times are canonical text. `schema` is a row's version, and
`row_sum` is the checksum that the `integrity` module writes and checks.

Version 2 added the venue's listings (`listings`), how the account settles (`book.settlement`), and each session's
calendar (`sessions.calendar`; empty for the venue's own). Version 3 added strategies' promotions (`promotions`).
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from tradebot.adapters.ledger import integrity as ledger_sums
from tradebot.adapters.ledger.deferred_signals import defer_signals
from tradebot.adapters.ledger.migration import LedgerVersion, MigrationStep, bring_up, copy_before_upgrade, version_of
from tradebot.adapters.state import state_locks
from tradebot.adapters.state.row_checksums import name_statements
from tradebot.adapters.state.safe_open import NotRegularFileError, require_plain, written_plain
from tradebot.adapters.state.state_folder import (
    LEDGER_VERSION,
    REBUILD,
    cannot_write,
    cannot_write_database,
    lost_ledger,
    sync_folder,
)
from tradebot.adapters.text.canonical import UNFIT, time_text
from tradebot.errors import DamagedBooksError, ExitCode, OperatorError, TemporaryError, TradebotError

BEFORE_2 = (
    """CREATE TABLE book (
        account TEXT NOT NULL PRIMARY KEY, created_at TEXT NOT NULL, opening_cash TEXT, opened_at TEXT,
        journal_sequence INTEGER NOT NULL, journal_hash TEXT NOT NULL DEFAULT '', rebuilt TEXT,
        rows INTEGER NOT NULL DEFAULT 0, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT
    ) WITHOUT ROWID""",
    """CREATE TABLE sessions (
        account TEXT NOT NULL REFERENCES book, date TEXT NOT NULL, open TEXT NOT NULL, close TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT, PRIMARY KEY (account, date)
    ) WITHOUT ROWID""",
)
"""The tables whose columns changed in version 2."""
NEW_IN_2 = frozenset({"listings"})
SESSIONS_BY_DATE = "CREATE INDEX sessions_by_date ON sessions (account, date)"
"""New in version 2: a date may have the sessions of several calendars."""
SAYS_2 = "the broker's listings, how the account settles, and the calendar of each session"


NEW_IN_3 = frozenset({"promotions"})
SAYS_3 = "how far each strategy was promoted"


def steps(today: tuple[str, ...]) -> Mapping[int, MigrationStep]:
    """Return the step from each earlier version, given the statements that create the current tables."""
    earlier, new = dict(name_statements(BEFORE_2)), dict(name_statements(today))
    second = tuple(sql for sql in today if _name(sql) not in NEW_IN_3)
    first = tuple(
        earlier.get(_name(sql), sql) for sql in second if _name(sql) not in NEW_IN_2 and sql != SESSIONS_BY_DATE
    )
    return {
        1: MigrationStep(first, lambda database: _to_2(database, new), SAYS_2),
        2: MigrationStep(second, lambda database: _create(database, new["promotions"]), SAYS_3),
    }


def _name(statement: str) -> str:
    """Return the table that a statement creates; empty if it creates something else."""
    return next((name for name, _ in name_statements((statement,))), "")


def _to_2(database: sqlite3.Connection, today: Mapping[str, str]) -> None:
    # Every other table refers to the book. Foreign keys are checked only at the end, so they may dangle meanwhile.
    database.execute("PRAGMA defer_foreign_keys = ON")
    for name, _ in name_statements(BEFORE_2):
        _remake(database, name, today[name])
    _create(database, today["listings"])
    database.execute(SESSIONS_BY_DATE)


def _create(database: sqlite3.Connection, table: str) -> None:
    for statement in (table, *ledger_sums.triggers((table,))):
        database.execute(statement)


def _remake(database: sqlite3.Connection, table: str, statement: str) -> None:
    """Recreate a table with the same rows; new columns have their defaults, and each row a new checksum."""
    cursor = database.execute(f"SELECT * FROM {table}")  # noqa: S608 - our own names
    names, rows = [column[0] for column in cursor.description], cursor.fetchall()
    database.execute(f"DROP TABLE {table}")
    database.execute(statement)
    places = ", ".join("?" * len(names))
    database.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})", rows)  # noqa: S608 - our own names
    database.execute(ledger_sums.rewrite(table, statement))
    for trigger in ledger_sums.triggers((statement,)):
        database.execute(trigger)


APPLICATION_ID, UNRELEASED_IDS = 0x54424C33, (0x54424C31, 0x54424C32)
"""The application ids in SQLite's header: the one of ledgers, and those of unreleased programs."""
BUSY_TIMEOUT_S = 5.0
CACHE_KB = 8_000
FULL = 2
TABLES = (
    """CREATE TABLE book (
        account TEXT NOT NULL PRIMARY KEY, created_at TEXT NOT NULL, opening_cash TEXT, opened_at TEXT,
        journal_sequence INTEGER NOT NULL, journal_hash TEXT NOT NULL DEFAULT '', rebuilt TEXT,
        rows INTEGER NOT NULL DEFAULT 0, settlement TEXT NOT NULL DEFAULT 'paid',
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT
    ) WITHOUT ROWID""",
    """CREATE TABLE intents (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, client_order_id TEXT NOT NULL,
        session TEXT NOT NULL, state TEXT NOT NULL, intent TEXT NOT NULL, verdicts TEXT NOT NULL, code TEXT,
        message TEXT, updated_at TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence), UNIQUE (account, client_order_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX intents_by_session ON intents (account, session)",
    "CREATE INDEX intents_by_state ON intents (account, state)",
    """CREATE INDEX intents_by_target ON intents (account, intent ->> '$.target_venue_id')
        WHERE intent ->> '$.target_venue_id' IS NOT NULL""",
    """CREATE TABLE orders (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, venue_id TEXT NOT NULL,
        client_order_id TEXT NOT NULL, replaced_by TEXT, terminal INTEGER NOT NULL,
        promised INTEGER NOT NULL DEFAULT 0, body TEXT NOT NULL, applied_at TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT, PRIMARY KEY (account, sequence), UNIQUE (account, venue_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX orders_working ON orders (account, terminal)",
    "CREATE INDEX orders_by_time ON orders (account, applied_at)",
    "CREATE INDEX orders_unpromised ON orders (account, sequence) WHERE promised = 0",
    "CREATE INDEX orders_by_client_order_id ON orders (account, client_order_id)",
    "CREATE INDEX orders_replaced ON orders (account, replaced_by)",
    """CREATE TABLE fills (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, activity_id TEXT NOT NULL,
        strategy TEXT NOT NULL, venue_order_id TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL,
        applied_at TEXT NOT NULL, origin TEXT NOT NULL, about TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence), UNIQUE (account, activity_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX fills_by_time ON fills (account, at)",
    "CREATE INDEX fills_by_order ON fills (account, venue_order_id)",
    """CREATE INDEX fills_with_others ON fills (account, sequence)
        WHERE strategy = '' OR origin IN ('given_back', 'taken_over')""",
    """CREATE TABLE fill_seals (
        account TEXT NOT NULL PRIMARY KEY REFERENCES book, fills INTEGER NOT NULL, sum TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT
    ) WITHOUT ROWID""",
    """CREATE TABLE checkpoints (
        account TEXT NOT NULL PRIMARY KEY REFERENCES book, at TEXT NOT NULL, fills INTEGER NOT NULL, sum TEXT NOT NULL,
        body TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT
    ) WITHOUT ROWID""",
    """CREATE TABLE cash_adjustments (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, amount TEXT NOT NULL,
        origin TEXT NOT NULL, about TEXT NOT NULL, kind TEXT NOT NULL, why TEXT NOT NULL, at TEXT NOT NULL,
        happened_at TEXT, symbol TEXT, sub_kind TEXT, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID""",
    """CREATE TABLE trading_states (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, state TEXT NOT NULL,
        who TEXT NOT NULL, why TEXT NOT NULL, causes TEXT, accepted_at TEXT, at TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID""",
    """CREATE TABLE armings (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, sessions INTEGER NOT NULL,
        first TEXT NOT NULL, last TEXT NOT NULL, until TEXT NOT NULL, who TEXT NOT NULL, at TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT, PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID""",
    """CREATE TABLE slots (
        account TEXT NOT NULL REFERENCES book, job TEXT NOT NULL, session TEXT NOT NULL, slot TEXT NOT NULL,
        holder TEXT NOT NULL, at TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, job, session, slot)
    ) WITHOUT ROWID""",
    "CREATE INDEX slots_by_session ON slots (account, session)",
    """CREATE TABLE sessions (
        account TEXT NOT NULL REFERENCES book, calendar TEXT NOT NULL DEFAULT '', date TEXT NOT NULL,
        open TEXT NOT NULL, close TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, calendar, date)
    ) WITHOUT ROWID""",
    """CREATE TABLE listings (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, symbol TEXT NOT NULL, body TEXT NOT NULL,
        read_at TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence), UNIQUE (account, symbol)
    ) WITHOUT ROWID""",
    SESSIONS_BY_DATE,
    """CREATE TABLE last_reconcile (
        account TEXT NOT NULL PRIMARY KEY REFERENCES book, at TEXT NOT NULL, blocking INTEGER NOT NULL,
        findings INTEGER NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT
    ) WITHOUT ROWID""",
    """CREATE TABLE high_water (
        account TEXT NOT NULL REFERENCES book, strategy TEXT NOT NULL, symbol TEXT NOT NULL,
        opened_at TEXT NOT NULL, price TEXT NOT NULL, worst TEXT, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, strategy, symbol, opened_at)
    ) WITHOUT ROWID""",
    """CREATE TABLE acknowledged (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, symbol TEXT NOT NULL,
        quantity TEXT NOT NULL, origin TEXT NOT NULL, about TEXT NOT NULL, why TEXT NOT NULL, at TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID""",
    """CREATE TABLE trade_notes (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, strategy TEXT NOT NULL, symbol TEXT NOT NULL,
        opened_at TEXT NOT NULL, tags TEXT NOT NULL, note TEXT NOT NULL, who TEXT NOT NULL, at TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID""",
    """CREATE TABLE baselines (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, fingerprint TEXT NOT NULL,
        body TEXT NOT NULL, who TEXT NOT NULL, at TEXT NOT NULL, schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID""",
    """CREATE TABLE promotions (
        account TEXT NOT NULL REFERENCES book, sequence INTEGER NOT NULL, body TEXT NOT NULL, at TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT,
        PRIMARY KEY (account, sequence)
    ) WITHOUT ROWID""",
    """CREATE TABLE equity_peak (
        account TEXT NOT NULL PRIMARY KEY REFERENCES book, highest TEXT NOT NULL, seen_once TEXT NOT NULL,
        schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT
    ) WITHOUT ROWID""",
)
FORM = LedgerVersion(LEDGER_VERSION, TABLES, steps(TABLES))
"""The current format of ledgers. A change of `TABLES` raises the version and adds the step from the previous one."""


def create_tables(path: Path, account_number: str, at: datetime) -> sqlite3.Connection:
    """Create a ledger in an open transaction, which the caller commits; never touch an existing file."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    database = _connect(path, "rw")
    _make_durable(database)
    database.execute("BEGIN IMMEDIATE")
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.execute(f"PRAGMA user_version = {FORM.version}")
    for statement in (*TABLES, *ledger_sums.triggers(TABLES)):
        database.execute(statement)
    database.execute(
        "INSERT INTO book (account, created_at, journal_sequence) VALUES (?, ?, 1)",
        (account_number, time_text(at)),
    )
    database.execute("INSERT INTO fill_seals (account, fills, sum) VALUES (?, 0, '')", (account_number,))
    sync_folder(path.parent)
    return database


def open_database(
    path: Path, *, read_only: bool, patience_s: float = BUSY_TIMEOUT_S, form: LedgerVersion = FORM
) -> sqlite3.Connection:
    """Return a checked connection; raise OperatorError for any damage, before anything is written.

    `patience_s` is how long each statement waits for another process's transaction, and how long an upgrade to `form`
    waits for a process that reads the earlier version.
    """
    lost = lost_ledger(path)
    if lost:
        raise DamagedBooksError(f"The ledger {path} is {lost}, although it existed before.", REBUILD)
    try:
        require_plain(path)
    except NotRegularFileError as error:
        raise DamagedBooksError(f"The ledger {path} is damaged: {error.strerror}.", REBUILD) from error
    with read_from(path):
        database = _connect(path, "ro" if read_only else "rw", patience_s)
        try:
            version = _check(database, path, form)
            # With SQLite's default of 2 MB, checking large books would read most pages several times.
            database.execute(f"PRAGMA cache_size = -{CACHE_KB}")
            if not read_only:
                _make_durable(database)
                if version != form.version:
                    _require_alone(path.parent, patience_s)
                    bring_up(database, form, partial(copy_before_upgrade, path))
            elif version != form.version:
                database = _in_memory(database, form)
        except sqlite3.OperationalError as error:
            database.close()
            if not read_only or getattr(error, "sqlite_errorname", "") != "SQLITE_READONLY_ROLLBACK":
                raise
            # A killed writer left half a commit, which the next reader must roll back first.
            open_database(path, read_only=False, form=form).close()
            return open_database(path, read_only=True, form=form)
        except (sqlite3.Error, TradebotError, *UNFIT):
            database.close()
            raise
    return database


def _require_alone(folder: Path, patience_s: float) -> None:
    """Raise if a process of an earlier version works on the folder: it would take the new tables for damage."""
    other = state_locks.earlier_holder(folder, patience_s)
    if other is not None:
        raise TradebotError(
            f"The ledger in {folder} is of an earlier version, and another tradebot is working on it: {other}.",
            "Stop it first, then run the command again: once this version has upgraded it, the other can't read it.",
            code=ExitCode.ANOTHER_INSTANCE,
        )


def copy_database(source: Path, target: Path) -> None:
    """Copy a ledger to a new file; the copy is durable once the caller has synced it."""
    with translate_errors(source), closing(open_database(source, read_only=True)) as old:
        # Create the file before SQLite opens it, so that no other user can ever read it.
        written_plain(target).close()
        with closing(sqlite3.connect(target)) as new:
            # An interrupted copy is started over, so SQLite needn't journal or sync its pages.
            new.execute("PRAGMA journal_mode = OFF")
            new.execute("PRAGMA synchronous = OFF")
            old.backup(new)


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and the file system into errors that the user, or a later run, can act on.

    A signal that ends the process is deferred until the block is done.
    """
    with defer_signals():
        try:
            yield
        except sqlite3.OperationalError as error:
            name = getattr(error, "sqlite_errorname", "")
            if not name:
                # Python raises this itself if a text isn't valid UTF-8.
                raise DamagedBooksError(f"The ledger {path} is damaged: {error}.", REBUILD) from error
            if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise TemporaryError(
                    f"The ledger {path} is in use by another process.", "Try again shortly."
                ) from error
            raise cannot_write_database(path, str(error), name) from error
        except sqlite3.IntegrityError:
            raise
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise DamagedBooksError(f"The ledger {path} is damaged: {error}.", REBUILD) from error
        except OSError as error:
            raise cannot_write(path.parent, error) from error


@contextmanager
def read_from(path: Path) -> Iterator[None]:
    """Translate errors like `translate_errors`, in a block that handles only values from the file.

    So a missing value, or one of the wrong type, counts as damage too: the caller can't have caused it.
    """
    with translate_errors(path):
        try:
            yield
        except UNFIT as error:
            raise DamagedBooksError(f"The ledger {path} is damaged: {error}.", REBUILD) from error


def _connect(path: Path, mode: str, patience_s: float = BUSY_TIMEOUT_S) -> sqlite3.Connection:
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=patience_s
    )
    ledger_sums.install(database)
    return database


def _check(database: sqlite3.Connection, path: Path, form: LedgerVersion = FORM) -> int:
    """Return the version of a ledger; raise OperatorError if it isn't a tradebot ledger or the version is unknown."""
    # Read version and tables in one transaction: another process may be upgrading an older ledger.
    database.execute("BEGIN")
    kind = _pragma(database, "application_id")
    if kind in UNRELEASED_IDS:
        raise OperatorError(
            f"{path} was written by a tradebot from before the first release, which this one can't read.",
            "Keep the folder for your records, and create a new one: tradebot init --state-dir FOLDER",
        )
    if kind != APPLICATION_ID:
        raise DamagedBooksError(f"{path} is not a tradebot ledger.", REBUILD)
    version = version_of(database)
    if version not in (*form.steps, form.version):
        raise OperatorError(
            f"{path} was written by another version (its ledger is {version}, this one reads {form.version}).",
            "Use the version that wrote it. Or go back: tradebot upgrade restores the ledger from before the"
            " upgrade, if nothing was written since. Or rebuild the books for this version: tradebot recover",
        )
    tables = {sql for (sql,) in database.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")}
    if tables != _statements(form.tables_of(version)):
        raise DamagedBooksError(f"{path} doesn't have the tables of a ledger.", REBUILD)
    database.execute("ROLLBACK")
    return version


@cache
def _statements(tables: tuple[str, ...]) -> frozenset[str]:
    return frozenset((*tables, *ledger_sums.triggers(tables)))


def _in_memory(database: sqlite3.Connection, form: LedgerVersion) -> sqlite3.Connection:
    """Return a read-only copy of an older ledger in memory, upgraded without changing the file."""
    memory = sqlite3.connect(":memory:", isolation_level=None)
    try:
        ledger_sums.install(memory)
        with closing(database):
            database.backup(memory)
        bring_up(memory, form, lambda version: None)
        memory.execute("PRAGMA query_only = ON")
    except (sqlite3.Error, OperatorError):
        memory.close()
        raise
    return memory


def _make_durable(database: sqlite3.Connection) -> None:
    """Turn on full durability, and verify that the connection uses it."""
    for statement in ("journal_mode = TRUNCATE", "synchronous = FULL", "foreign_keys = ON"):
        database.execute(f"PRAGMA {statement}")
    values = [_pragma(database, name) for name in ("journal_mode", "synchronous", "foreign_keys")]
    if values != ["truncate", FULL, 1]:
        raise AssertionError(f"SQLite refused durability: {values}")


def _pragma(database: sqlite3.Connection, name: str) -> Any:
    return database.execute(f"PRAGMA {name}").fetchone()[0]
