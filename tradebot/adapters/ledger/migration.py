"""Upgrade a ledger of an earlier version, one version at a time, with a copy from before each step.

A writer upgrades the file, in one transaction per version. A reader upgrades a copy in memory and leaves the file
unchanged. A ledger is upgraded only if every row is intact.
"""

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tradebot.adapters.failpoint import around
from tradebot.adapters.ledger import integrity as ledger_sums
from tradebot.adapters.state.safe_open import create_draft
from tradebot.adapters.state.state_folder import REBUILD, sync_folder
from tradebot.errors import DamagedBooksError

MOST_COPIES = 9
"""The most copies of one version; further ones overwrite the last."""


class MigrationStep(NamedTuple):
    """How to upgrade a ledger by one version: the statements that create the earlier version, and the change to make.

    The change maintains `book.rows` and the checksums: it creates tables with the triggers of `integrity`. `says`
    describes the step for users.
    """

    tables: tuple[str, ...]
    change: Callable[[sqlite3.Connection], None]
    says: str


class LedgerVersion(NamedTuple):
    """A version of the ledger: its number, the statements that create it, and the steps from earlier versions to it."""

    version: int
    tables: tuple[str, ...]
    steps: Mapping[int, MigrationStep]

    def tables_of(self, version: int) -> tuple[str, ...]:
        """Return the statements that create a ledger of this or an earlier version."""
        return self.tables if version == self.version else self.steps[version].tables

    def says_from(self, version: int) -> str:
        """Return a description of the changes since an earlier version, oldest first."""
        return "; ".join(step.says for number, step in sorted(self.steps.items()) if number >= version)


def bring_up(database: sqlite3.Connection, form: LedgerVersion, keep: Callable[[int], None]) -> None:
    """Upgrade a ledger step by step, calling `keep` before each step to copy it.

    If the process is killed, the file has either the earlier or the next version. Raise DamagedBooksError if a row was
    changed.
    """
    for version in sorted(form.steps):
        if version_of(database) > version:
            continue
        database.execute("BEGIN IMMEDIATE")
        # Another process may have upgraded it in the meantime.
        if version_of(database) == version:
            _require_as_written(database, form.tables_of(version))
            keep(version)
            form.steps[version].change(database)
            database.execute(f"PRAGMA user_version = {version + 1}")
        with around("ledger_migration.bring_up"):
            database.execute("COMMIT")


def version_of(database: sqlite3.Connection) -> int:
    """Return the version of a ledger."""
    ((version,),) = database.execute("PRAGMA user_version")
    return int(version)


def copy_before_upgrade(path: Path, version: int) -> None:
    """Write a durable copy of a ledger next to it; the caller holds its write lock and hasn't written anything yet.

    SQLite makes the copy: opening and closing the file directly would release the lock that keeps other writers out.
    """
    copy_path = free_beside(path, version)
    draft, descriptor = create_draft(copy_path)
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as ledger, closing(sqlite3.connect(draft)) as copy:
            copy.execute("PRAGMA journal_mode = OFF")
            copy.execute("PRAGMA synchronous = OFF")
            ledger.backup(copy)
        with around("ledger_migration.sync_copy"):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    with around("ledger_migration.keep"):
        draft.rename(copy_path)
    sync_folder(path.parent)


def free_beside(path: Path, version: int) -> Path:
    """Return an unused path for a copy of this version: numbered if an earlier upgrade took the plain name."""
    plain = path.with_name(f"{path.name}-version-{version}")
    names = (plain, *(plain.with_name(f"{plain.name}.{number}") for number in range(2, MOST_COPIES + 1)))
    return next((name for name in names if not os.path.lexists(name)), names[-1])


def _require_as_written(database: sqlite3.Connection, tables: tuple[str, ...]) -> None:
    problems = [row[0] for row in database.execute("PRAGMA integrity_check")]
    if problems == ["ok"]:
        problems = list(ledger_sums.differences(database, tables))
    if problems:
        raise DamagedBooksError(f"The ledger is damaged: {'; '.join(problems[:3])}.", REBUILD)
