"""Back up the books: ledger and journal as of one moment, verified before the copy counts.

Each backup has a folder with its manifest. The bytes are in `parts`, to which a backup adds only what differs from the
previous backup.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, date, datetime
from itertools import chain, count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tradebot.adapters.failpoint import around
from tradebot.adapters.ledger import journal_reader
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.ledger.schema import copy_database, open_database, translate_errors
from tradebot.adapters.recovery import backup_parts
from tradebot.adapters.recovery.backup_parts import NEXT_STEP, PARTS, Hashed, Recipe, is_as_of
from tradebot.adapters.recovery.quarantine import MANIFEST, describe, stamp, write_manifest
from tradebot.adapters.state.safe_open import NotRegularFileError, opened_plain, read_plain, written_plain
from tradebot.adapters.state.state_folder import (
    BACKUPS,
    JOURNAL,
    LEDGER,
    MARKER,
    REBUILD,
    StateFolder,
    cannot_write,
    make_folder,
    sync_folder,
)
from tradebot.errors import DamagedBooksError, ExitCode, OperatorError, TradebotError

SESSION = "session-"
DRAFT, SCRATCH = ".new", ".whole-"
SCHEMA = "tradebot.backup/2"
DELETE_DAMAGED = "delete the damaged ones, and check the disk"
REMEDY = f"tradebot backup makes a new one; then {DELETE_DAMAGED}"
"""The remedy for damaged backups; only its second half if a new backup was just made."""


class Backup(NamedTuple):
    """One verified backup: the last record of its journal, and its size."""

    path: Path
    record: int
    intents: int
    fills: int
    bytes: int


class Damage(NamedTuple):
    """A backup that can't be restored exactly, and why."""

    name: str
    why: str


class BackupPoint(NamedTuple):
    """Where some books end: the hash of the journal's last record, the ledger's seal, and the ledger's latest time."""

    last: str | None
    sealed: str | None
    newest: str


def make(folder: StateFolder, what: str, at: datetime, hashed: Hashed | None = None) -> Backup:
    """Copy the books, verify the copy, and only then give it its name; passes may continue meanwhile.

    Content that the previous backup has isn't stored again. Comparing the two reads some parts; their digests go into
    `hashed`, so that `find_damaged` needn't read these parts again. Raise OperatorError if the disk fails,
    DamagedBooksError if the copy isn't intact, and TradebotError (exit 6) if another process is making a backup.
    """
    with alone(folder.path / BACKUPS):
        return _make(folder, what, at, hashed)


def _make(folder: StateFolder, what: str, at: datetime, hashed: Hashed | None) -> Backup:
    root = folder.path / BACKUPS
    name = f"{stamp(at)}-{what}"
    # Two backups may be made in the same second.
    names = chain([name], (f"{name}-{number}" for number in count(2)))
    path, draft = next(root / name for name in names if not (root / name).exists()), root / DRAFT
    try:
        with around("backups.forget_draft"):
            shutil.rmtree(draft, ignore_errors=True)
        _forget_scratch(root)
        make_folder(draft)
        _copy(folder.path, draft)
        backup = _read_through(draft, path, folder.account_number)
        manifest: dict[str, object] = {"state": folder.id, "account": folder.account_number}
        manifest |= {name: value for name, value in backup._asdict().items() if name != "path"}
        manifest |= {"at": at.astimezone(UTC).isoformat(), **_end(draft)._asdict()}
        manifest["made_of"] = _keep(root, draft, path.name, _newest_recipes(folder), hashed)
        write_manifest(draft, manifest, SCHEMA)
        with around("backups.name"):
            draft.rename(path)
        sync_folder(root)
    except NotRegularFileError as error:
        raise DamagedBooksError(f"{error.filename}: {error.strerror}.", REBUILD) from error
    except OSError as error:
        raise cannot_write(root, error) from error
    return backup


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Lock the backups in `root`, which may be a link, against changes.

    Raise TradebotError (exit 6) if another process has locked them.
    """
    try:
        if not root.is_dir():
            make_folder(root)
        with _lock_folder(root.resolve()):
            yield
    except BlockingIOError as error:
        raise TradebotError(
            "Another tradebot is making a backup of this bot.",
            "Wait for it to finish: tradebot backup --list shows it then.",
            code=ExitCode.ANOTHER_INSTANCE,
        ) from error
    except OSError as error:
        raise cannot_write(root, error) from error


def _forget_scratch(root: Path) -> None:
    """Remove scratch folders of killed processes, but not those locked by a live one."""
    for scratch in root.glob(f"{SCRATCH}*"):
        with suppress(OSError), _lock_folder(scratch), around("backups.forget_scratch"):
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _lock_folder(scratch: Path) -> Iterator[None]:
    """Lock a folder inside the block; raise BlockingIOError if another process has it locked."""
    descriptor = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _newest_recipes(folder: StateFolder) -> Mapping[str, Recipe]:
    """Return the recipes of the newest backup; none if there is no backup or they can't be read."""
    for path in places(folder.path)[:1]:
        with suppress(OperatorError):
            return recipes(read_manifest(path))
    return {}


def _keep(root: Path, draft: Path, name: str, before: Mapping[str, Recipe], hashed: Hashed | None) -> dict[str, object]:
    """Turn a draft's files into parts, durably; return their recipes for the manifest."""
    parts = root / PARTS
    if not parts.is_dir():
        make_folder(parts)
    recipes = dict[str, object]()
    for file in (LEDGER, JOURNAL):
        part = f"{name}.{file}"
        recipes[file] = backup_parts.write(parts, part, draft / file, before.get(file), hashed)._asdict()
        _sync(parts / part)
        with around("backups.drop_copy"):
            (draft / file).unlink(missing_ok=True)
    sync_folder(parts)
    return recipes


def backup_session(
    folder: StateFolder, session: date, at: datetime, hashed: Hashed | None = None, *, max_count: int
) -> Backup | None:
    """Back up an ended session once, and keep the last `max_count` session backups; return None if it is already backed
    up.

    Raise like `make`.
    """
    name = f"{SESSION}{session.isoformat()}"
    if any(path.name.endswith(f"-{name}") for path in places(folder.path)):
        return None
    with alone(folder.path / BACKUPS):
        backup = _make(folder, name, at, hashed)
        for old in [path for path in places(folder.path) if f"-{SESSION}" in path.name][max_count:]:
            with around("backups.forget_old"):
                shutil.rmtree(old, ignore_errors=True)
        _forget_parts(folder.path / BACKUPS, places(folder.path))
    return backup


def _forget_parts(root: Path, paths: Iterable[Path]) -> None:
    """Delete parts that no backup needs; delete none if a manifest can't be read."""
    try:
        needed = {part for path in paths for recipe in recipes(read_manifest(path)).values() for part in recipe.parts}
    except OperatorError:
        return
    for part in (root / PARTS).iterdir():
        if part.name not in needed:
            with around("backups.forget_part"):
                part.unlink(missing_ok=True)


def places(folder: Path) -> list[Path]:
    """Return the backups' folders, newest first."""
    root = folder / BACKUPS
    paths = (path for path in root.iterdir() if not path.name.startswith(".")) if root.is_dir() else ()
    return sorted((path for path in paths if path.is_dir() and path.name != PARTS), reverse=True)


def verify_backup(folder: StateFolder, name: str) -> Backup:
    """Read a backup completely; raise OperatorError if it is missing, was changed or belongs to another bot."""
    path = folder.path / BACKUPS / name
    content = read_manifest(path)
    if (content.get("state"), content.get("account")) != (folder.id, folder.account_number):
        raise OperatorError(f"{path} is a backup of another bot's books", "to see the others: tradebot backup --list")
    _require_files(path, content)
    for recipe in recipes(content).values():
        backup_parts.require_whole(path.parent / PARTS, recipe)
    try:
        # The parts reproduce exactly the bytes that were read and counted when the backup was made.
        return Backup(path, *(int(content[name]) for name in Backup._fields[1:]))
    except (KeyError, TypeError, ValueError) as error:
        raise OperatorError(f"{path / MANIFEST} can't be read: {error!r}", NEXT_STEP) from error


def find_damaged(folder: Path, hashed: Hashed | None = None) -> list[Damage]:
    """Read each part of all backups once, and return the damaged backups.

    Only the parts' digests are compared with the manifests; the books that the parts form aren't checked.
    """
    read = Hashed() if hashed is None else hashed
    damage = ((path.name, _damage(path, read)) for path in places(folder))
    return [Damage(name, why) for name, why in damage if why is not None]


def _damage(path: Path, hashed: Hashed) -> str | None:
    try:
        content = read_manifest(path)
        _require_files(path, content)
        for recipe in recipes(content).values():
            backup_parts.require_parts(path.parent / PARTS, recipe, hashed)
    except (OperatorError, OSError) as error:
        return error.message if isinstance(error, OperatorError) else str(error)
    return None


def _require_files(path: Path, content: Mapping[str, Any]) -> None:
    for file, described in content["files"].items():
        if not (path / file).is_file() or describe(path / file) != described:
            raise OperatorError(f"{path / file} has changed since the backup was made", NEXT_STEP)


@contextmanager
def assembled_backup(
    folder: Path, files: Iterable[str] = (LEDGER, JOURNAL), lost: list[str] | None = None
) -> Iterator[Path]:
    """Assemble a backup's files and yield the folder that has them inside the block; raise OperatorError if that fails.

    If `lost` is given, files that can't be assembled are left out, and the reasons are appended to `lost`. A folder
    that has the files themselves, as in the quarantine, is yielded unchanged.
    """
    if not in_parts(folder):
        yield folder
        return
    with scratch(folder.parent) as path:
        for file in files:
            try:
                assemble(folder, file, path)
            except OperatorError as damaged:
                if lost is None:
                    raise
                lost.append(damaged.message)
                with around("backups.drop_damaged"):
                    (path / file).unlink(missing_ok=True)
        shutil.copyfile(folder / MARKER, path / MARKER)
        yield path


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """Yield an empty folder below `root`; if this process is killed, the next backup removes it."""
    with TemporaryDirectory(prefix=SCRATCH, dir=root) as folder_name, _lock_folder(Path(folder_name)):
        yield Path(folder_name)


def assemble(path: Path, file: str, target: Path) -> None:
    """Assemble one file of a backup in the folder `target`; raise OperatorError if a part has changed."""
    backup_parts.assemble(path.parent / PARTS, recipes(read_manifest(path))[file], target / file)


def ledger_size(path: Path) -> int:
    """Return the size in bytes of the ledger in a folder or a backup; 0 if there is none, or if its size is unknown."""
    try:
        return recipes(read_manifest(path))[LEDGER].bytes if in_parts(path) else (path / LEDGER).stat().st_size
    except (OperatorError, OSError, KeyError):
        return 0


def end(folder: Path) -> BackupPoint:
    """Return the last records in a folder's books without reading the books completely; raise OperatorError if they
    can't be opened.
    """
    if not in_parts(folder):
        return _end(folder)
    content = read_manifest(folder)
    return BackupPoint(content.get("last"), content.get("sealed"), str(content.get("newest", "")))


def _end(path: Path) -> BackupPoint:
    last = journal_reader.last_hash(path / JOURNAL)
    if not (path / LEDGER).is_file():
        return BackupPoint(last, None, "")
    with closing(SqliteLedger.open(path, read_only=True)) as ledger:
        return BackupPoint(last, ledger.file.sealed_head().hash, ledger.upkeep.newest())


def in_parts(path: Path) -> bool:
    """Return True if a folder is a backup whose files are stored in parts."""
    return path.parent.name == BACKUPS and (path / MANIFEST).exists()


def read_manifest(path: Path) -> dict[str, Any]:
    """Return a backup's manifest; raise OperatorError if it is missing or damaged."""
    try:
        content = json.loads(read_plain(path / MANIFEST))
        if content["schema"] == SCHEMA and isinstance(content["files"], dict):
            return dict(content)
    except FileNotFoundError as error:
        raise OperatorError(f"there is no backup {path}", "to see the backups: tradebot backup --list") from error
    except OSError as error:
        raise OperatorError(f"{path / MANIFEST} can't be read: {error.strerror}", NEXT_STEP) from error
    except (ValueError, KeyError, TypeError) as error:
        raise OperatorError(f"{path / MANIFEST} is damaged", NEXT_STEP) from error
    raise OperatorError(f"{path} is not a backup of this version", NEXT_STEP)


def recipes(content: Mapping[str, Any]) -> dict[str, Recipe]:
    """Return the recipes of a backup's files."""
    try:
        return {file: backup_parts.read_recipe(described) for file, described in content["made_of"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OperatorError(f"the manifest of a backup can't be read: {error}", NEXT_STEP) from error


def _copy(source: Path, target: Path) -> None:
    """Copy ledger and journal as of one moment: no one writes to either while the ledger's write lock is held.

    The journal is copied after the lock is released, but only up to its length at that time; those bytes never change.
    """
    with opened_plain(source / JOURNAL) as read, written_plain(target / JOURNAL) as written:
        with _write_locked(source / LEDGER):
            copy_database(source / LEDGER, target / LEDGER)
            size = os.fstat(read.fileno()).st_size
        while block := read.read(min(size, backup_parts.LARGE)):
            size -= written.write(block)
    shutil.copyfile(source / MARKER, target / MARKER)
    _sync(target / MARKER)


@contextmanager
def _write_locked(path: Path) -> Iterator[None]:
    with translate_errors(path), closing(open_database(path, read_only=False)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


def _sync(path: Path) -> None:
    path.chmod(0o600)
    with path.open("rb") as file, around("backups.sync"):
        os.fsync(file.fileno())


def _read_through(copy: Path, name: Path, account: str) -> Backup:
    """Read a copy completely, including pages, rows and the journal's chain, and count its content."""
    ledger = SqliteLedger.open(copy, account, read_only=True)
    with closing(ledger):
        ledger.file.check_pages()
        head = ledger.file.check_journal()
        size = sum((copy / file).stat().st_size for file in (LEDGER, JOURNAL, MARKER))
        return Backup(name, head.sequence, *ledger.tallies.counts(), size)


WRITTEN_WITHIN_NS = 1_000_000_000
"""How much later than its file a manifest may be written, in nanoseconds."""


def unchanged_parts(folder: Path) -> Hashed:
    """Return the SHA-256 of each part of a backup that hasn't been written since the backup was made.

    So these parts needn't be read again. The digests come from the backup's manifest. The system itself sets the time
    of a file's last status change, so any later write is noticed.
    """
    trusted, touched = Hashed(), set[Path]()
    for index in places(folder):
        with suppress(OperatorError, OSError):
            made_ns = (index / MANIFEST).lstat().st_ctime_ns
            manifest_touched = made_ns > index.stat().st_mtime_ns + WRITTEN_WITHIN_NS
            for recipe in recipes(read_manifest(index)).values():
                for part, digest in recipe.parts.items():
                    path = index.parent / PARTS / part
                    trusted[path] = digest
                    if manifest_touched or not is_as_of(path, made_ns):
                        touched.add(path)
    return {path: digest for path, digest in trusted.items() if path not in touched}
