"""Editing a ledger behind the program's back, as a person with another program might who also stills its triggers."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path


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
