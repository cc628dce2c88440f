"""Write views of the books to database tables, one bot at a time in one transaction.

Several bots may share a database, so each row has its bot's name. A bot's rows are replaced as a whole, so that a
reader sees either the old or the new books. All names in statements are fixed; values are passed as parameters.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple, Protocol, get_args, get_type_hints

from msgspec import Struct

from tradebot.adapters.text.extras import install
from tradebot.adapters.text.redaction import learn
from tradebot.errors import OperatorError, TemporaryError

POSTGRES = ("postgresql://", "postgres://")
TIMEOUT_S = 30
KINDS: Mapping[type, tuple[str, str]] = {
    str: ("TEXT", "TEXT"),
    Decimal: ("NUMERIC", "NUMERIC"),
    datetime: ("TEXT", "TIMESTAMPTZ"),
}
"""The column type in SQLite and PostgreSQL, by the type of the field."""


class RowOwner(NamedTuple):
    """The owner of rows: the bot's name, the last four characters of its account, and its mode."""

    bot: str
    account: str
    mode: str


class Cursor(Protocol):
    """The part of a database driver's cursor that is used here."""

    def execute(self, query: Any, parameters: Any = ...) -> Any: ...

    def executemany(self, query: Any, parameters: Any) -> Any: ...

    def fetchall(self) -> Any: ...


class Dialect(NamedTuple):
    """A database's SQL dialect: the index of its column types in `KINDS`, and its marker for parameters."""

    place: int
    mark: str


SQLITE, SERVER = Dialect(0, "?"), Dialect(1, "%s")


class ExportTable(NamedTuple):
    """A table's rows, and the NamedTuple type whose fields are the columns."""

    kind: type[Struct]
    rows: Sequence[Struct]


def write(address: str, row_owner: RowOwner, at: datetime | None, tables: Mapping[str, ExportTable]) -> None:
    """Replace one bot's rows in a database: an SQLite file, or a PostgreSQL server's address.

    The keys of `tables` are the tables' names, and `at` is the time of the books. Raise OperatorError if the database
    has another account's rows under this bot's name, or if it rejects the rows. Raise TemporaryError if a server can't
    be reached.
    """
    to_server = address.startswith(POSTGRES)
    with _server(address) if to_server else _file(Path(address)) as cursor:
        _replace(cursor, SERVER if to_server else SQLITE, row_owner, at, tables)


@contextmanager
def _file(path: Path) -> Iterator[Cursor]:
    if not path.parent.is_dir():
        raise OperatorError(f"there is no folder {path.parent} for {path.name}", f"mkdir -p {quote(str(path.parent))}")
    cure = "name another file, for example --to books.db"
    try:
        with closing(sqlite3.connect(path, timeout=TIMEOUT_S)) as connection, connection:
            cursor = connection.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            yield cursor
    except sqlite3.Error as error:
        raise OperatorError(f"the tables can't be written to {path}: {error}", cure) from error


@contextmanager
def _server(address: str) -> Iterator[Cursor]:
    try:
        import psycopg
    except ImportError as error:
        raise OperatorError("an export to PostgreSQL needs the extra postgres", install("postgres")) from error
    secret = address.partition("://")[2].partition("@")[0].partition(":")[2]
    if secret:
        learn(secret)
    try:
        with psycopg.connect(address, connect_timeout=TIMEOUT_S) as connection, connection.cursor() as cursor:
            yield cursor
    except psycopg.OperationalError as error:
        cure = "check the address (postgresql://USER@HOST:5432/DATABASE), and that the server is running"
        raise TemporaryError(f"the database can't be reached: {_first_line(error)}", cure) from error
    except psycopg.Error as error:
        cure = "use a separate database that this user owns"
        raise OperatorError(f"the database refused the tables: {_first_line(error)}", cure) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _replace(
    cursor: Cursor, dialect: Dialect, row_owner: RowOwner, at: datetime | None, tables: Mapping[str, ExportTable]
) -> None:
    mark, stamp = dialect.mark, KINDS[datetime][dialect.place]
    cursor.execute(
        "CREATE TABLE IF NOT EXISTS bots"
        f" (bot TEXT PRIMARY KEY, account TEXT NOT NULL, mode TEXT NOT NULL, books_at {stamp})"
    )
    cursor.execute(f"SELECT account, mode FROM bots WHERE bot = {mark}", (row_owner.bot,))  # noqa: S608 -- our own names
    before = [tuple(row) for row in cursor.fetchall()]
    if before and before != [(row_owner.account, row_owner.mode)]:
        account, mode = before[0]
        raise OperatorError(
            f"the database already has rows of another bot named {row_owner.bot}: that bot's account ends in"
            f" {account}, and its mode is {mode}",
            "export this bot under another name: --as NAME",
        )
    for name, table in tables.items():
        _replace_rows(cursor, dialect, row_owner.bot, name, table)
    cursor.execute(f"DELETE FROM bots WHERE bot = {mark}", (row_owner.bot,))  # noqa: S608 -- our own names
    values = (*row_owner, _plain(at, dialect))
    cursor.execute(f"INSERT INTO bots VALUES ({', '.join([mark] * 4)})", values)  # noqa: S608 -- marks alone


def _replace_rows(cursor: Cursor, dialect: Dialect, bot: str, table: str, of: ExportTable) -> None:
    kind, rows = of
    columns = {"bot": str, **{name: _kind(hint) for name, hint in get_type_hints(kind).items()}}
    typed = ", ".join(f"{name} {KINDS[each][dialect.place]}" for name, each in columns.items())
    cursor.execute(f"CREATE TABLE IF NOT EXISTS {table} ({typed})")
    cursor.execute(f"CREATE INDEX IF NOT EXISTS {table}_of_bot ON {table} (bot)")
    cursor.execute(f"DELETE FROM {table} WHERE bot = {dialect.mark}", (bot,))  # noqa: S608 -- our own names
    marks = ", ".join([dialect.mark] * len(columns))
    values = [(bot, *(_plain(getattr(row, name), dialect) for name in kind.__struct_fields__)) for row in rows]
    if values:
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 -- our own names
        cursor.executemany(statement, values)


def _kind(hint: Any) -> type:
    """Return the type of a field without None."""
    return next(kind for kind in KINDS if hint is kind or kind in get_args(hint))


def _plain(value: Any, dialect: Dialect) -> Any:
    """Return a value as a driver takes it: SQLite has neither decimals nor times, so both become text."""
    if dialect is SERVER:
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
