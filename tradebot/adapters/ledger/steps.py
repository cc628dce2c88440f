"""The released changes of a ledger's form, each with the tables that it starts from.

Version 2 keeps what the venue lists (`listings`), says how the account settles (`book.settlement`) and of which
calendar a session is (`sessions.calendar`; empty is the venue's own). Version 3 keeps how far each strategy was
promoted (`promotions`).
"""

import sqlite3
from collections.abc import Mapping

from tradebot.adapters.ledger import sums as ledger_sums
from tradebot.adapters.ledger.migration import Step
from tradebot.adapters.state.row_sums import named

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
"""The tables that version 2 has in another form."""
NEW_IN_2 = frozenset({"listings"})
SESSIONS_BY_DATE = "CREATE INDEX sessions_by_date ON sessions (account, date)"
"""New in version 2: a date may have the sessions of several calendars."""
SAYS_2 = "what the broker lists, how the account settles, and the calendar of each session"


NEW_IN_3 = frozenset({"promotions"})
SAYS_3 = "how far each strategy was promoted"


def steps(today: tuple[str, ...]) -> Mapping[int, Step]:
    """Return the step from each earlier version, given the statements that create today's tables."""
    earlier, new = dict(named(BEFORE_2)), dict(named(today))
    second = tuple(one for one in today if _name(one) not in NEW_IN_3)
    first = tuple(
        earlier.get(_name(one), one) for one in second if _name(one) not in NEW_IN_2 and one != SESSIONS_BY_DATE
    )
    return {
        1: Step(first, lambda database: _to_2(database, new), SAYS_2),
        2: Step(second, lambda database: _create(database, new["promotions"]), SAYS_3),
    }


def _name(statement: str) -> str:
    """Return the table that a statement creates, or an empty text if it creates something else."""
    return next((name for name, _ in named((statement,))), "")


def _to_2(database: sqlite3.Connection, today: Mapping[str, str]) -> None:
    # Every other table refers to the book. What refers to nothing for a moment is only judged at the end.
    database.execute("PRAGMA defer_foreign_keys = ON")
    for name, _ in named(BEFORE_2):
        _remake(database, name, today[name])
    _create(database, today["listings"])
    database.execute(SESSIONS_BY_DATE)


def _create(database: sqlite3.Connection, table: str) -> None:
    for statement in (table, *ledger_sums.triggers((table,))):
        database.execute(statement)


def _remake(database: sqlite3.Connection, table: str, statement: str) -> None:
    """Give a table its new form with the same rows; new columns have their defaults, and each row its new sum."""
    cursor = database.execute(f"SELECT * FROM {table}")  # noqa: S608 - our own names
    names, rows = [column[0] for column in cursor.description], cursor.fetchall()
    database.execute(f"DROP TABLE {table}")
    database.execute(statement)
    places = ", ".join("?" * len(names))
    database.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})", rows)  # noqa: S608 - our own names
    database.execute(ledger_sums.rewrite(table, statement))
    for trigger in ledger_sums.triggers((statement,)):
        database.execute(trigger)
