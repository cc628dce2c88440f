"""Editing a ledger behind the program's back, as a person with another program might who also stills its triggers."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tradebot.adapters.ledger import sums as ledger_sums


def opened(path: Path) -> sqlite3.Connection:
    """Return a connection whose rows get no right sum."""
    database = sqlite3.connect(path)
    for name in ("row_sum", "combined_sum"):
        database.create_function(name, -1, lambda *_: "by hand", deterministic=True)
    return database


def edit(path: Path, statement: str, values: Sequence[object] = ()) -> int:
    """Run one statement and return how many rows it touched."""
    database = opened(path)
    touched = database.execute(statement, values).rowcount
    database.commit()
    database.close()
    return touched


def forget_accepted(folder: Path) -> None:
    """Take what was accepted out of the books of a folder, as if they had been started over."""
    with closing(sqlite3.connect(folder / "ledger.db")) as database:
        ledger_sums.install(database)
        gone = database.execute("DELETE FROM baselines").rowcount
        database.execute("UPDATE book SET rows = rows - ?", (gone,))
        database.commit()
