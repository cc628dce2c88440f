"""Ledgers as version 2 wrote them, before a configuration could be accepted."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tradebot.adapters.ledger import sums as ledger_sums

TABLES = Path(__file__).with_name("ledger_version_2.sql")


def turn_back(folder: Path) -> Path:
    """Write a folder's ledger anew in the tables of version 2, and return it; what was accepted is gone."""
    ledger, old = folder / "ledger.db", folder / "ledger.old"
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
    ledger.unlink()
    old.rename(ledger)
    return ledger
