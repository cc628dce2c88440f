"""Copies of the books: ledger and journal of one moment, verified before they count."""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple

from tradebot.adapters.failpoint import around
from tradebot.adapters.ledger import SqliteLedger
from tradebot.adapters.ledger_schema import open_database, translated
from tradebot.adapters.quarantine import MANIFEST, SCHEMA, describe, stamp, write_manifest
from tradebot.adapters.state_folder import (
    BACKUPS,
    JOURNAL,
    LEDGER,
    MARKER,
    StateFolder,
    cannot_write,
    make_folder,
    sync_folder,
)
from tradebot.errors import OperatorError

KEPT = 30
"""So many copies of sessions are kept; those that a person asked for stay until a person takes them away."""
SESSION = "session-"
AGAIN = "tradebot backup makes a new one; tradebot recover takes whatever is whole"


class Backup(NamedTuple):
    """One verified copy: the last record of its journal, and how much it holds."""

    path: Path
    record: int
    intents: int
    fills: int
    bytes: int


def make(folder: StateFolder, what: str, at: datetime) -> Backup:
    """Copy the books, read the copy through, and only then give it its name; the caller holds the pass lock.

    OperatorError where the disk does not take it, DamagedBooksError where the copy does not hold.
    """
    place = _free(folder.path / BACKUPS / f"{stamp(at)}-{what}")
    draft = place.with_name(f".{place.name}.new")
    try:
        with around("backups.forget_draft"):
            shutil.rmtree(draft, ignore_errors=True)
        make_folder(draft)
        _copy(folder.path, draft)
        found = _counted(draft, place, folder.account_number)
        words = {"state": folder.id, "account": folder.account_number, "at": at.astimezone(UTC).isoformat()}
        write_manifest(draft, {**words, "record": found.record})
        with around("backups.name"):
            draft.rename(place)
        sync_folder(place.parent)
    except OSError as error:
        raise cannot_write(folder.path / BACKUPS, error) from error
    return found


def _free(place: Path) -> Path:
    """Return a name that is not taken: there may be two copies in one second."""
    numbered = (place.with_name(f"{place.name}-{number}") for number in count(2))
    return next(path for path in chain([place], numbered) if not path.exists())


def of_session(folder: StateFolder, session: date, at: datetime) -> Backup | None:
    """Make the copy of a session that has ended, once; None where there is one. The oldest of many are let go."""
    name = f"{SESSION}{session.isoformat()}"
    if any(path.name.endswith(f"-{name}") for path in places(folder.path)):
        return None
    made = make(folder, name, at)
    for old in [path for path in places(folder.path) if f"-{SESSION}" in path.name][KEPT:]:
        with around("backups.forget_old"):
            shutil.rmtree(old, ignore_errors=True)
    return made


def places(folder: Path) -> list[Path]:
    """Return the folders of the copies, the newest first."""
    root = folder / BACKUPS
    found = (path for path in root.iterdir() if not path.name.startswith(".")) if root.is_dir() else ()
    return sorted((path for path in found if path.is_dir()), key=lambda path: path.name, reverse=True)


def verified(folder: StateFolder, name: str) -> Backup:
    """Return a copy by its name, read through; OperatorError where it is none, another bot's, or not as it was made."""
    place = folder.path / BACKUPS / name
    content = _manifest(place)
    if (content.get("state"), content.get("account")) != (folder.id, folder.account_number):
        raise OperatorError(f"{place} is the copy of another bot's books", _known(folder))
    for file, described in content["files"].items():
        if not (place / file).is_file() or describe(place / file) != described:
            raise OperatorError(f"{place / file} is not as it was when the copy was made", AGAIN)
    return _counted(place, place, folder.account_number)


def _manifest(place: Path) -> dict[str, Any]:
    try:
        content = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
        if content["schema"] == SCHEMA and isinstance(content["files"], dict):
            return dict(content)
    except FileNotFoundError as error:
        raise OperatorError(
            f"there is no backup {place}", "tradebot backup --list shows those that there are"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OperatorError(f"{place / MANIFEST} cannot be read: {error}", AGAIN) from error
    raise OperatorError(f"{place} is not a backup of this version", AGAIN)


def _known(folder: StateFolder) -> str:
    return ", ".join(path.name for path in places(folder.path)[:3]) or "there is none of this bot: tradebot backup"


def _copy(source: Path, target: Path) -> None:
    """Copy ledger and journal of one moment: nobody writes either while the ledger's write lock is held."""
    with _written_by_nobody(source / LEDGER), translated(source / LEDGER):
        ledger = open_database(source / LEDGER, read_only=True)
        with closing(ledger), closing(sqlite3.connect(target / LEDGER)) as copied:
            ledger.backup(copied)
        shutil.copyfile(source / JOURNAL, target / JOURNAL)
    shutil.copyfile(source / MARKER, target / MARKER)
    for name in (LEDGER, JOURNAL, MARKER):
        (target / name).chmod(0o600)
        _sync(target / name)


@contextmanager
def _written_by_nobody(path: Path) -> Iterator[None]:
    with translated(path), closing(open_database(path, read_only=False)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


def _sync(path: Path) -> None:
    with path.open("rb") as file, around("backups.sync"):
        os.fsync(file.fileno())


def _counted(place: Path, name: Path, account: str) -> Backup:
    """Read a copy through, pages, rows and chain, and count what it holds."""
    ledger = SqliteLedger.open(place, account, read_only=True)
    with closing(ledger):
        ledger.check_pages()
        head = ledger.check_journal()
        size = sum(path.stat().st_size for path in place.iterdir() if path.name != MANIFEST)
        return Backup(name, head.sequence, len(ledger.promised_ids()), len(ledger.fills()), size)
