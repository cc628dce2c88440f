"""Archive files off this machine by the hash of their content, and fetch them back.

A store has each content once, as `objects/SHA256`. Each name can have several versions. A version is described by a
manifest, `NAME/SHA256.json`, which lists its files and the hash of each. The manifest's file name is the manifest's own
hash. It is written last, so an interrupted upload leaves no version. Nothing is ever replaced or deleted, and there is
no other index.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec
from msgspec import Struct

from tradebot.adapters.failpoint import around
from tradebot.adapters.recovery.offsite_copy import DRAFT, FileDigest, OffsiteStore, hash_file
from tradebot.adapters.state.safe_open import NotRegularFileError, opened_plain, require_plain
from tradebot.adapters.state.state_folder import sync_folder, write_durably
from tradebot.errors import CannotWriteError, OperatorError, word

OBJECTS, MANIFEST, VERSION = "objects", ".json", 1
KINDS: Mapping[str, int] = {"market_data": 2, "models": 3, "features": 2, "backups": 2}
"""The first word of a name, and how many words it has: models are named models/AGENT/ID."""
MOST_FILES, MOST_BYTES = 10_000, 1 << 22
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=-]{0,99}")
_HASH = re.compile(r"[0-9a-f]{64}")
ANOTHER = "fetch another version (tradebot archive list shows them), or push it again from the original files"


class ArchivedFile(Struct, frozen=True):
    """A file in a version: the size of its content in bytes, and the content's SHA-256."""

    bytes: int
    sha256: str


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a version: its name, and its files by path."""

    version: int
    name: str
    files: dict[str, ArchivedFile]


class PushResult(NamedTuple):
    """The result of archiving: the version, how many files it has, their size, and how many files had to be uploaded
    because the archive didn't have their content yet.
    """

    version: str
    files: int
    bytes: int
    sent: int


class FetchedVersion(NamedTuple):
    """The result of fetching: the version, its number of files, and their size."""

    version: str
    files: int
    bytes: int


class ArchivedVersion(NamedTuple):
    """A version in a store, and when it arrived; `problem` says why it can't be fetched."""

    name: str
    version: str
    at: datetime
    files: int
    bytes: int
    problem: str


def require_name(name: str) -> str:
    """Return a valid archive name; raise OperatorError for any other."""
    if not _is_name(name):
        raise OperatorError(
            f"{word(name)} is not a valid archive name",
            "use market_data/ROOT, models/AGENT/ID, features/NAME or backups/NAME",
        )
    return name


def push_files(source: Path, name: str, offsite_store: OffsiteStore) -> PushResult:
    """Archive a file, or all files of a folder; content that the store already has isn't sent again.

    Each push reads back the version's content, even if nothing has to be sent, because an upload or a disk may have
    failed. Raise OperatorError if a file can't be archived, or if the store's bytes differ; they are left unchanged.
    """
    require_name(name)
    try:
        files = _files(source)
        contents = {path: hash_file(file) for path, file in files.items()}
    except OSError as error:
        raise _unreadable(source, error) from error
    manifest = Manifest(VERSION, name, {path: ArchivedFile(*content) for path, content in contents.items()})
    encoded = msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=1)
    version, sent = hashlib.sha256(encoded).hexdigest(), 0
    with _scratch() as scratch:
        for content, file in {content: files[path] for path, content in contents.items()}.items():
            sent += _put(offsite_store, f"{OBJECTS}/{content.sha256}", file, content, str(file))
        write_durably(scratch / "manifest", encoded.decode())
        _put(
            offsite_store, _key(name, version), scratch / "manifest", FileDigest(len(encoded), version), "this version"
        )
    return PushResult(version, len(files), sum(content.bytes for content in contents.values()), sent)


def versions(offsite_store: OffsiteStore, under: str) -> list[ArchivedVersion]:
    """List a store's versions of a name, or of all names of a kind, newest first; an empty `under` lists all
    versions.
    """
    listed_versions = [
        version for kind in ([under] if under else KINDS) for version in _archived_versions(offsite_store, kind)
    ]
    with _scratch() as scratch:
        rows = [_version(offsite_store, name, version, at, scratch) for at, name, version in listed_versions]
    return sorted(rows, key=lambda row: (row.at, row.name, row.version), reverse=True)


def fetch(offsite: OffsiteStore, name: str, version: str | None, to: Path) -> FetchedVersion:
    """Write a version, by default the newest, to a new folder that appears completely or not at all.

    Raise OperatorError if the folder exists, if the store doesn't have the version, or if any of its bytes were
    changed.
    """
    require_name(name)
    if os.path.lexists(to):
        raise OperatorError(f"{to} already exists", "name a folder that doesn't exist yet")
    chosen = _choose_version(offsite, name, version)
    draft = to.with_name(f"{DRAFT}{to.name}")
    try:
        with _scratch() as scratch:
            manifest = _manifest(offsite, name, chosen, scratch)
        if draft.exists():
            # Left by an interrupted fetch.
            with around("archive.drop_earlier"):
                shutil.rmtree(draft)
        draft.mkdir(mode=0o700)
        for path, stored in manifest.files.items():
            _get(offsite, path, stored, draft)
        with around("archive.name"):
            draft.rename(to)
        sync_folder(to.parent)
    except OSError as error:
        raise _unwritable(to, error) from error
    finally:
        with suppress(OSError), around("archive.drop"):
            shutil.rmtree(draft)
    files = manifest.files.values()
    return FetchedVersion(chosen, len(files), sum(file.bytes for file in files))


def _files(source: Path) -> dict[str, Path]:
    """Return the files to archive by their paths in the version; raise OperatorError if in use, too many, or none."""
    if source.is_dir():
        files = {file.relative_to(source).as_posix(): file for file in sorted(source.rglob("*")) if not file.is_dir()}
    else:
        files = {source.name: source}
    if not files:
        raise OperatorError(f"{source} has no files", "name a file, or a folder that contains files")
    if len(files) > MOST_FILES:
        raise OperatorError(f"{source} has over {MOST_FILES:,} files", "archive its folders one by one")
    for file in files.values():
        require_plain(file)
        if file.name.startswith(".env"):
            raise OperatorError(f"{file} may contain keys, which are never archived", "archive a folder without it")
        if file.name.endswith(("-wal", "-journal", "-shm")):
            raise OperatorError(
                (f"{file} belongs to a database that is in use"), "stop what uses it, then archive it again"
            )
        if any(file.with_name(f"{file.name}{ending}").exists() for ending in ("-wal", "-journal")):
            raise OperatorError(f"{file} is a database that is in use", "stop what uses it, then archive it again")
    return files


def _put(offsite_store: OffsiteStore, key: str, file: Path, content: FileDigest, what: str) -> bool:
    """Store content in a file, and return True if it was sent; raise OperatorError if the file has different
    content.
    """
    there = offsite_store.read_back(key)
    if there is None:
        try:
            offsite_store.put(key, file, content)
        except OSError as error:
            raise _unreadable(file, error) from error
        return True
    if there != content:
        raise OperatorError(
            f"{key} in {offsite_store.where} differs from {what}",
            f"nothing was changed there; delete it, then push again: {offsite_store.removal(key)}",
        )
    return False


def _is_name(name: str) -> bool:
    kind, *rest = name.split("/")
    return KINDS.get(kind) == 1 + len(rest) and all(map(_WORD.fullmatch, rest))


def _archived_versions(offsite_store: OffsiteStore, under: str) -> Iterator[tuple[datetime, str, str]]:
    """Yield time, name and hash of each version of a name or kind; other files are ignored."""
    for key, at in offsite_store.names(f"{under}/").items():
        name, _, version = key.removesuffix(MANIFEST).rpartition("/")
        if key == _key(name, version) and _is_name(name) and _HASH.fullmatch(version):
            yield at, name, version


def _version(offsite_store: OffsiteStore, name: str, version: str, at: datetime, scratch: Path) -> ArchivedVersion:
    try:
        files = _manifest(offsite_store, name, version, scratch).files
    except OperatorError as damaged:
        return ArchivedVersion(name, version, at, 0, 0, damaged.message)
    return ArchivedVersion(name, version, at, len(files), sum(file.bytes for file in files.values()), "")


def _choose_version(offsite: OffsiteStore, name: str, version: str | None) -> str:
    """Return the version that starts with the given letters."""
    versions = sorted(
        (at, sum_kept) for at, _, sum_kept in _archived_versions(offsite, name) if sum_kept.startswith(version or "")
    )
    if not versions:
        meant = f"{name} {version}" if version else name
        raise OperatorError(f"{offsite.where} has no {meant}", "see its versions: tradebot archive list --from PLACE")
    if version and len(versions) > 1:
        raise OperatorError(
            (f"{len(versions)} versions of {name} start with {version}"),
            "give more characters of the version",
        )
    return versions[-1][1]


def _manifest(offsite_store: OffsiteStore, name: str, version: str, scratch: Path) -> Manifest:
    """Return a manifest; raise OperatorError if it was changed or names files outside its folder."""
    key = _key(name, version)
    changed, size = OperatorError(f"{key} in {offsite_store.where} was changed", ANOTHER), offsite_store.content(key)
    if size is None or size.bytes > MOST_BYTES:
        raise changed
    file = scratch / hashlib.sha256(key.encode()).hexdigest()
    offsite_store.get(key, file)
    encoded = file.read_bytes()
    if hashlib.sha256(encoded).hexdigest() != version:
        raise changed
    try:
        manifest = msgspec.json.decode(encoded, type=Manifest)
    except msgspec.MsgspecError as error:
        raise OperatorError(
            f"{key} in {offsite_store.where} was written by another version of tradebot", "upgrade tradebot"
        ) from error
    hashes = [stored.sha256 for stored in manifest.files.values()]
    if manifest.name != name or not all(map(_is_inside, manifest.files)) or not all(map(_HASH.fullmatch, hashes)):
        raise OperatorError(f"{key} in {offsite_store.where} names files outside its folder", ANOTHER)
    return manifest


def _is_inside(path: str) -> bool:
    """Return True if a path stays inside its own folder."""
    parts = path.split("/")
    return not {"", ".", ".."} & {*parts} and "\0" not in path and PurePosixPath(path).as_posix() == path


def _get(offsite_store: OffsiteStore, path: str, stored: ArchivedFile, draft: Path) -> None:
    """Download a file of a version; raise OperatorError if its content is missing or was changed."""
    key, file = f"{OBJECTS}/{stored.sha256}", draft / path
    if offsite_store.content(key) is None:
        raise OperatorError(f"{path} is missing in {offsite_store.where}: there is no {key}", ANOTHER)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    offsite_store.get(key, file)
    if hash_file(file) != FileDigest(stored.bytes, stored.sha256):
        raise OperatorError(f"{path} was changed in {offsite_store.where}: {key} has different content", ANOTHER)
    with opened_plain(file) as written, around("archive.sync"):
        os.fsync(written.fileno())


def _key(name: str, version: str) -> str:
    return f"{name}/{version}{MANIFEST}"


@contextmanager
def _scratch() -> Iterator[Path]:
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    except OSError as error:
        raise _unwritable(Path(tempfile.gettempdir()), error) from error


def _unreadable(source: Path, error: OSError) -> OperatorError:
    at = error.filename or source
    kind = "archived" if isinstance(error, NotRegularFileError) else "read"
    return OperatorError(f"{at} can't be {kind}: {error.strerror or error}", f"check it: ls -ld {at}")


def _unwritable(to: Path, error: OSError) -> OperatorError:
    problem = f"{to} can't be written: {error.strerror or error}"
    if not to.parent.is_dir():
        return CannotWriteError(problem, f"create its parent folder: mkdir -p {to.parent}")
    return CannotWriteError(problem, f"free up disk space (df -h {to.parent}), or name another folder")
