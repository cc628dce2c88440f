"""Move damaged books aside unchanged, recording each file's digest; never delete them or repair them in place."""

import hashlib
import json
import os
import re
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from tradebot.adapters.failpoint import around
from tradebot.adapters.state.safe_open import NotRegularFileError, opened_plain
from tradebot.adapters.state.state_folder import (
    JOURNAL,
    LEDGER,
    QUARANTINE,
    cannot_write,
    make_folder,
    sync_folder,
    write_durably,
)

BOOKS = (LEDGER, f"{LEDGER}-journal", f"{LEDGER}-wal", f"{LEDGER}-shm", JOURNAL)
MANIFEST = "manifest.json"
SCHEMA = "tradebot.files/1"
MAX_SLUG = 40


def stamp(at: datetime) -> str:
    """Format a time as the prefix of a folder name, so that names sort by time."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def move(folder: Path, why: str, at: datetime) -> Path | None:
    """Move the books and everything that belongs to them to a new quarantine folder; return None if there are no books.

    SQLite's rollback journal moves with its ledger; otherwise the next reader would take half a commit for a complete
    one. If moving fails, raise OperatorError, and leave the other files where they are.
    """
    names = [name for name in (*BOOKS, *_torn_files(folder)) if os.path.lexists(folder / name)]
    if not names:
        return None
    try:
        path = _new_folder(folder, why, at)
        for name in names:
            with around("quarantine.move"):
                (folder / name).rename(path / name)
        sync_folder(path)
        sync_folder(folder)
        write_manifest(path, {"why": why, "at": at.astimezone(UTC).isoformat()})
    except OSError as error:
        raise cannot_write(folder, error) from error
    return path


def write_manifest(folder: Path, facts: dict[str, object], schema: str = SCHEMA) -> None:
    """Write a manifest of a folder: each file's size and SHA-256, plus the given facts."""
    files = {path.name: describe(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    content = {"schema": schema, **facts, "files": files}
    write_durably(folder / MANIFEST, json.dumps(content, indent=None if "made_of" in facts else 2) + "\n")


def describe(path: Path) -> dict[str, object]:
    """Return a file's size in bytes and SHA-256; for anything else, its type."""
    try:
        file = opened_plain(path)
    except NotRegularFileError as error:
        return {"found": error.strerror}
    with file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def places(folder: Path) -> list[Path]:
    """Return the folders in the quarantine, newest first."""
    root = folder / QUARANTINE
    return sorted((path for path in root.iterdir() if path.is_dir()), reverse=True) if root.is_dir() else []


def _new_folder(folder: Path, why: str, at: datetime) -> Path:
    slug = re.sub(r"[^a-z0-9]+", "-", why.lower())[:MAX_SLUG].strip("-")
    names = (f"{stamp(at)}-{number}-{slug}" for number in count(1))
    path = next(folder / QUARANTINE / name for name in names if not (folder / QUARANTINE / name).exists())
    make_folder(path)
    return path


def _torn_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("journal.torn-*"))
