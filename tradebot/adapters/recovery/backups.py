"""Copies of the books: ledger and journal of one moment, verified before they count.

Each has a folder with its manifest; the bytes lie in `parts`, where a copy keeps only what differs from the one before.
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

from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.ledger import journal_reading
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.ledger.schema import copy_database, open_database, translated
from tradebot.adapters.recovery import backup_parts
from tradebot.adapters.recovery.backup_parts import AGAIN, PARTS, Hashed, Recipe
from tradebot.adapters.recovery.quarantine import MANIFEST, SCHEMA, describe, stamp, write_manifest
from tradebot.adapters.state.plain_files import NotPlainError, opened_plain, read_plain, written_plain
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
from tradebot.errors import DamagedBooksError, OperatorError

KEPT = 30
"""So many copies of sessions are kept; those that a person asked for stay until a person takes them away."""
SESSION = "session-"
DRAFT, SCRATCH = ".new", ".whole-"
IN_PARTS = "tradebot.backup/2"
"""The schema of a copy whose files are put together from parts; the first version's lie in its folder whole."""


LET_GO = "delete the damaged ones, and check the disk"
REMEDY = f"tradebot backup makes a whole one; then {LET_GO}"
"""What to do about backups that are damaged; the first alone where a whole one was just made."""


class Backup(NamedTuple):
    """One verified copy: the last record of its journal, and how much it holds."""

    path: Path
    record: int
    intents: int
    fills: int
    bytes: int


class Damage(NamedTuple):
    """A copy that cannot be put back as it was made, and why."""

    name: str
    why: str


class End(NamedTuple):
    """How far books go: the hash of the journal's last record, the ledger's seal, and the ledger's last time."""

    last: str | None
    sealed: str | None
    newest: str


def make(folder: StateFolder, what: str, at: datetime, hashed: Hashed | None = None) -> Backup:
    """Copy the books, read the copy through, and only then give it its name; the caller holds the pass lock.

    What the copy before it holds already is not kept once more; of the parts that it reads for that, `hashed` takes the
    digests, so that `damaged` need not read them again. OperatorError where the disk does not take it,
    DamagedBooksError where the copy does not hold.
    """
    root = folder.path / BACKUPS
    place, draft = _free(root / f"{stamp(at)}-{what}"), root / DRAFT
    try:
        with around("backups.forget_draft"):
            shutil.rmtree(draft, ignore_errors=True)
        _forget_scratch(root)
        make_folder(draft)
        _copy(folder.path, draft)
        found = _counted(draft, place, folder.account_number)
        words: dict[str, object] = {"state": folder.id, "account": folder.account_number}
        words |= {name: value for name, value in found._asdict().items() if name != "path"}
        words |= {"at": at.astimezone(UTC).isoformat(), **_end(draft)._asdict()}
        words["made_of"] = _keep(root, draft, place.name, _before(folder), hashed)
        write_manifest(draft, words, IN_PARTS)
        with around("backups.name"):
            draft.rename(place)
        sync_folder(root)
    except NotPlainError as error:
        raise DamagedBooksError(f"{error.filename}: {error.strerror}.", REBUILD) from error
    except OSError as error:
        raise cannot_write(root, error) from error
    return found


def _forget_scratch(root: Path) -> None:
    """Remove the whole files that a killed process had put together; what a living one holds stays."""
    for scratch in root.glob(f"{SCRATCH}*"):
        with suppress(OSError), _held(scratch), around("backups.forget_scratch"):
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _held(scratch: Path) -> Iterator[None]:
    """Hold a folder for as long as this process needs it; BlockingIOError if another one does."""
    descriptor = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _free(place: Path) -> Path:
    """Return a name that is not taken: there may be two copies in one second."""
    numbered = (place.with_name(f"{place.name}-{number}") for number in count(2))
    return next(path for path in chain([place], numbered) if not path.exists())


def _before(folder: StateFolder) -> Mapping[str, Recipe]:
    """Return the recipes of the newest copy; none where there is none, or they cannot be read."""
    for place in places(folder.path)[:1]:
        with suppress(OperatorError):
            return _recipes(_manifest(place))
    return {}


def _keep(root: Path, draft: Path, name: str, before: Mapping[str, Recipe], hashed: Hashed | None) -> dict[str, object]:
    """Turn the files of a draft into parts, durably; return their recipes as a manifest holds them."""
    parts = root / PARTS
    if not parts.is_dir():
        make_folder(parts)
    made = dict[str, object]()
    for file in (LEDGER, JOURNAL):
        part = f"{name}.{file}"
        made[file] = backup_parts.write(parts, part, draft / file, before.get(file), hashed)._asdict()
        _sync(parts / part)
        with around("backups.drop_copy"):
            (draft / file).unlink(missing_ok=True)
    sync_folder(parts)
    return made


def of_session(folder: StateFolder, session: date, at: datetime, hashed: Hashed | None = None) -> Backup | None:
    """Make the copy of a session that has ended, once; None where there is one. The oldest of many are let go."""
    name = f"{SESSION}{session.isoformat()}"
    if any(path.name.endswith(f"-{name}") for path in places(folder.path)):
        return None
    made = make(folder, name, at, hashed)
    for old in [path for path in places(folder.path) if f"-{SESSION}" in path.name][KEPT:]:
        with around("backups.forget_old"):
            shutil.rmtree(old, ignore_errors=True)
    _forget_parts(folder.path / BACKUPS, places(folder.path))
    return made


def _forget_parts(root: Path, kept: Iterable[Path]) -> None:
    """Let go of the parts that no copy needs; of none where it cannot be read what one needs."""
    try:
        needed = {part for place in kept for recipe in _recipes(_manifest(place)).values() for part in recipe.parts}
    except OperatorError:
        return
    for part in (root / PARTS).iterdir():
        if part.name not in needed:
            with around("backups.forget_part"):
                part.unlink(missing_ok=True)


def places(folder: Path) -> list[Path]:
    """Return the folders of the copies, the newest first."""
    root = folder / BACKUPS
    found = (path for path in root.iterdir() if not path.name.startswith(".")) if root.is_dir() else ()
    return sorted((path for path in found if path.is_dir() and path.name != PARTS), reverse=True)


def verified(folder: StateFolder, name: str) -> Backup:
    """Return a copy by its name, read through; OperatorError where it is none, another bot's, or not as it was made."""
    place = folder.path / BACKUPS / name
    content = _manifest(place)
    if (content.get("state"), content.get("account")) != (folder.id, folder.account_number):
        raise OperatorError(f"{place} is the copy of another bot's books", _known(folder))
    _require_files(place, content)
    if not in_parts(place):
        return _counted(place, place, folder.account_number)
    for recipe in _recipes(content).values():
        backup_parts.require_whole(place.parent / PARTS, recipe)
    try:
        # What the parts give is, to the byte, what was read through and counted when the copy was made.
        return Backup(place, *(int(content[name]) for name in Backup._fields[1:]))
    except (KeyError, TypeError, ValueError) as error:
        raise OperatorError(f"{place / MANIFEST} cannot be read: {error!r}", AGAIN) from error


def damaged(folder: Path, hashed: Hashed | None = None) -> list[Damage]:
    """Read everything that copies are made of, each part once, and return the copies of which something is damaged.

    It is compared with the digests that stand in the manifests; what they make up together is not read for content.
    """
    read = Hashed() if hashed is None else hashed
    found = ((place.name, _damage(place, read)) for place in places(folder))
    return [Damage(name, why) for name, why in found if why is not None]


def _damage(place: Path, hashed: Hashed) -> str | None:
    try:
        content = _manifest(place)
        _require_files(place, content)
        for recipe in _recipes(content).values():
            backup_parts.require_parts(place.parent / PARTS, recipe, hashed)
    except (OperatorError, OSError) as error:
        return error.message if isinstance(error, OperatorError) else str(error)
    return None


def require_as_made(place: Path, file: str) -> None:
    """Raise OperatorError where a file of a copy of the first version is not as its manifest says, if that is there.

    Of parts that is seen when they are put together; the quarantine holds what was damaged when it came there.
    """
    if place.parent.name == BACKUPS and (place / file).exists() and (place / MANIFEST).exists():
        _require_files(place, _manifest(place), only=file)


def _require_files(place: Path, content: Mapping[str, Any], only: str | None = None) -> None:
    for file, described in content["files"].items():
        if only in (None, file) and (not (place / file).is_file() or describe(place / file) != described):
            raise OperatorError(f"{place / file} is not as it was when the copy was made", AGAIN)


@contextmanager
def whole(place: Path, files: Iterable[str] = (LEDGER, JOURNAL), lost: list[str] | None = None) -> Iterator[Path]:
    """Yield a folder that holds whole files of a copy, for as long; OperatorError where they cannot be made.

    With a list `lost`, a file that cannot be made is left out, and why is put there. A folder that holds the files
    itself, as the quarantine's and the first version's copies do, is yielded as it is.
    """
    if not in_parts(place):
        yield place
        return
    with scratch(place.parent) as made:
        for file in files:
            try:
                assemble(place, file, made)
            except OperatorError as damaged:
                if lost is None:
                    raise
                lost.append(damaged.message)
                with around("backups.drop_damaged"):
                    (made / file).unlink(missing_ok=True)
        shutil.copyfile(place / MARKER, made / MARKER)
        yield made


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """Yield an empty folder below `root`; if this process is killed, the next backup removes it."""
    with TemporaryDirectory(prefix=SCRATCH, dir=root) as made, _held(Path(made)):
        yield Path(made)


def assemble(place: Path, file: str, target: Path) -> None:
    """Put one file of a copy together from parts, in the folder `target`; OperatorError if a part has changed."""
    backup_parts.assemble(place.parent / PARTS, _recipes(_manifest(place))[file], target / file)


def ledger_size(place: Path) -> int:
    """Return the bytes of the ledger in a folder or a copy; 0 if there is none, or nothing tells."""
    try:
        return _recipes(_manifest(place))[LEDGER].bytes if in_parts(place) else (place / LEDGER).stat().st_size
    except (OperatorError, OSError, KeyError):
        return 0


def end(place: Path) -> End:
    """Return how far the books of a folder go, unread; OperatorError where the ledger cannot be opened."""
    if not in_parts(place):
        return _end(place)
    content = _manifest(place)
    return End(content.get("last"), content.get("sealed"), str(content.get("newest", "")))


def _end(place: Path) -> End:
    last = journal_reading.last_hash(place / JOURNAL)
    if not (place / LEDGER).is_file():
        return End(last, None, "")
    with closing(SqliteLedger.open(place, read_only=True)) as ledger:
        return End(last, ledger.file.sealed().hash, ledger.upkeep.newest())


def in_parts(place: Path) -> bool:
    """Tell whether a folder is of a copy whose files are put together from parts."""
    return (place / MANIFEST).exists() and not any((place / file).exists() for file in (LEDGER, JOURNAL))


def _manifest(place: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_plain(place / MANIFEST))
        if content["schema"] in (SCHEMA, IN_PARTS) and isinstance(content["files"], dict):
            return dict(content)
    except FileNotFoundError as error:
        raise OperatorError(
            f"there is no backup {place}", "tradebot backup --list shows those that there are"
        ) from error
    except OSError as error:
        raise OperatorError(f"{place / MANIFEST} can't be read: {error.strerror}", AGAIN) from error
    except (ValueError, KeyError, TypeError) as error:
        raise OperatorError(f"{place / MANIFEST} is damaged", AGAIN) from error
    raise OperatorError(f"{place} is not a backup of this version", AGAIN)


def _recipes(content: Mapping[str, Any]) -> dict[str, Recipe]:
    """Return how the files of a copy are put together; none where they lie in its folder."""
    try:
        return {file: backup_parts.read_recipe(told) for file, told in content.get("made_of", {}).items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OperatorError(f"the manifest of a backup cannot be read: {error}", AGAIN) from error


def _known(folder: StateFolder) -> str:
    return ", ".join(path.name for path in places(folder.path)[:3]) or "there is none of this bot: tradebot backup"


def _copy(source: Path, target: Path) -> None:
    """Copy ledger and journal of one moment: nobody writes either while the ledger's write lock is held.

    The journal is copied without the lock, as far as it went while it was held: nothing before that changes.
    """
    with opened_plain(source / JOURNAL) as read, written_plain(target / JOURNAL) as written:
        with _written_by_nobody(source / LEDGER):
            copy_database(source / LEDGER, target / LEDGER)
            size = os.fstat(read.fileno()).st_size
        while block := read.read(min(size, backup_parts.LARGE)):
            size -= written.write(block)
    shutil.copyfile(source / MARKER, target / MARKER)
    _sync(target / MARKER)


@contextmanager
def _written_by_nobody(path: Path) -> Iterator[None]:
    with translated(path), closing(open_database(path, read_only=False)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


def _sync(path: Path) -> None:
    path.chmod(0o600)
    with path.open("rb") as file, around("backups.sync"):
        os.fsync(file.fileno())


def _counted(copy: Path, name: Path, account: str) -> Backup:
    """Read a copy through, pages, rows and chain, and count what it holds."""
    ledger = SqliteLedger.open(copy, account, read_only=True)
    with closing(ledger):
        ledger.file.check_pages()
        head = ledger.file.check_journal()
        size = sum((copy / file).stat().st_size for file in (LEDGER, JOURNAL, MARKER))
        return Backup(name, head.sequence, *ledger.tallies.counts(), size)
