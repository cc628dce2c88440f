"""Ledgers as version 2 wrote them, before a configuration could be accepted."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.adapters.ledger import version_3
from tradebot.adapters.ledger import sums as ledger_sums
from tradebot.adapters.state.state_folder import StateFolder

TABLES = Path(__file__).with_name("ledger_version_2.sql")


def make(path: Path) -> StateFolder:
    """Lay down a state whose ledger is of version 2; what was accepted is gone."""
    folder = version_3.make(path)
    _leave_out(path)
    return folder


def turn_back(folder: Path) -> None:
    """Write the ledger of a folder of today anew as version 2 would have; what was accepted is gone."""
    version_3.turn_back(folder)
    _leave_out(folder)


def _leave_out(path: Path) -> None:
    ledger, old = path / "ledger.db", path / "ledger.old"
    with closing(sqlite3.connect(old)) as database:
        ledger_sums.install(database)
        database.executescript(TABLES.read_text())
        database.execute("ATTACH ? AS newer", (str(ledger),))
        names = [name for (name,) in database.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'")]
        for name in names:
            database.execute(f"INSERT INTO main.{name} SELECT * FROM newer.{name}")  # noqa: S608 - names of ours
            if name == "book":
                database.execute("UPDATE main.book SET rows = 0")
        database.commit()
    old.rename(ledger)
    ledger.chmod(0o600)
