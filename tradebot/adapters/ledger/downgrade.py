"""Restore the ledger from before an upgrade, for an earlier version of the program that can't read the upgraded
file.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from tradebot.adapters.failpoint import around
from tradebot.adapters.ledger.migration import LedgerVersion, free_beside, version_of
from tradebot.adapters.ledger.schema import FORM, open_database, translate_errors
from tradebot.adapters.state.state_folder import LEDGER, sync_folder
from tradebot.errors import OperatorError

MADE_AGAIN = frozenset({"last_reconcile", "listings", "sessions", "slots"})
"""Tables whose rows a copy may lack, because the next passes write them again. Orders are also recorded elsewhere."""

COMPUTED = frozenset({"row_sum", "rows"})
"""Columns computed from others, and the count of all rows."""


def restore_previous_version(folder: Path, form: LedgerVersion = FORM) -> Path | None:
    """Restore the copy of the ledger from before an upgrade; keep the upgraded file next to it, with its version in its
    name.

    The caller holds all locks of the folder. Return the path of the copy, or None if this version can read the ledger.
    Raise OperatorError if the bot has written to the ledger since the copy was made.
    """
    path = folder / LEDGER
    with translate_errors(path), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as ledger:
        # Opening it as a writer first rolls back what a killed writer left, which must not be applied to another file.
        later = version_of(ledger)
    if later <= form.version:
        return None
    copy = next((each for each in _copies(path, form) if _has_all(each, path, form)), None)
    if copy is None:
        raise OperatorError(
            f"The ledger {path} has version {later}, but this tradebot reads version {form.version}. The bot"
            " has written since the upgrade, so no earlier copy has everything.",
            "Use the version that wrote it, or rebuild the books for this one: tradebot recover",
        )
    with translate_errors(path):
        free_beside(path, later).hardlink_to(path)
        with around("downgrade.put_back"):
            copy.rename(path)
        sync_folder(folder)
    return copy


def _copies(path: Path, form: LedgerVersion) -> Iterator[Path]:
    name = f"{path.name}-version-{form.version}"
    paths = (*path.parent.glob(name), *path.parent.glob(f"{name}.?"))
    yield from sorted(paths, key=lambda each: each.stat().st_mtime_ns, reverse=True)


def _has_all(copy: Path, later: Path, form: LedgerVersion) -> bool:
    """Return True if the copy has every row of the later ledger, except rows that are computed again."""
    with closing(open_database(copy, read_only=True, form=form)) as books, suppress(sqlite3.OperationalError):
        books.execute("ATTACH ? AS later", (f"{later.absolute().as_uri()}?mode=ro",))
        tables = [name for (name,) in books.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'")]
        return not any(_lacks(books, table) for table in tables if table not in MADE_AGAIN)
    # The later version has other tables or columns in their place.
    return False


def _lacks(books: sqlite3.Connection, table: str) -> bool:
    named = [name for (name,) in books.execute("SELECT name FROM pragma_table_info(?, 'main')", (table,))]
    columns = ", ".join(name for name in named if name not in COMPUTED)
    here, there = (f"SELECT {columns} FROM {which}.{table}" for which in ("main", "later"))  # noqa: S608 - our own names
    either = f"SELECT * FROM ({here} EXCEPT {there}) UNION ALL SELECT * FROM ({there} EXCEPT {here})"  # noqa: S608
    return books.execute(f"{either} LIMIT 1").fetchone() is not None
