"""Store backups as parts, each written once, and recipes that assemble files from parts.

The first backup's parts are whole files. Each later backup adds only the pages that differ from the previous one, and
its recipe says which part has each range of bytes. Parts never change, so a backup depends only on parts and not on
other backups, and an unfinished backup leaves nothing but unused parts.
"""

import hashlib
import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from tradebot.adapters.failpoint import around
from tradebot.adapters.state.safe_open import opened_plain, written_plain
from tradebot.errors import OperatorError

PARTS = "parts"
PAGE = 4096
BLOCK = 16 * PAGE
LARGE = 1 << 20
MAX_PARTS = 30
"""Once a recipe has this many parts, the whole file is stored again, so that old parts can be deleted."""
NEXT_STEP = "tradebot backup makes a new one; tradebot recover uses whatever is intact"


class ByteRange(NamedTuple):
    """Consecutive bytes in a part."""

    part: str
    offset: int
    length: int


class Recipe(NamedTuple):
    """How to assemble a file from parts, and the result's expected size in bytes and SHA-256.

    `parts` has the SHA-256 of each part that is needed.
    """

    bytes: int
    sha256: str
    runs: tuple[ByteRange, ...]
    parts: Mapping[str, str]


NOTHING = Recipe(0, hashlib.sha256().hexdigest(), (), {})


def read_recipe(described: Mapping[str, Any]) -> Recipe:
    """Return a recipe from its JSON; raise KeyError, TypeError or ValueError if the JSON isn't a recipe."""
    runs = tuple(ByteRange(str(part), int(offset), int(length)) for part, offset, length in described["runs"])
    parts = {str(part): str(digest) for part, digest in described["parts"].items()}
    return Recipe(int(described["bytes"]), str(described["sha256"]), runs, parts)


class AssembledFile:
    """The bytes that a recipe produces, read sequentially; reading raises OperatorError if a part is too short."""

    def __init__(self, root: Path, recipe: Recipe) -> None:
        self._root = root
        self._runs_left = deque(recipe.runs)
        self._files: dict[str, BinaryIO] = {}
        self.recipe = recipe

    def __enter__(self) -> "AssembledFile":
        """Return this object; parts are opened when they are needed."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the parts."""
        for file in self._files.values():
            file.close()

    def take(self, size: int) -> tuple[bytes, list[ByteRange]]:
        """Return the next `size` bytes (fewer at the end), and the byte ranges they come from."""
        data, runs = bytearray(), list[ByteRange]()
        while self._runs_left and len(data) < size:
            part, offset, length = self._runs_left.popleft()
            taken = min(length, size - len(data))
            if taken < length:
                self._runs_left.appendleft(ByteRange(part, offset + taken, length - taken))
            runs.append(ByteRange(part, offset, taken))
            data += self._read(runs[-1])
        return bytes(data), runs

    def _read(self, run: ByteRange) -> bytes:
        path = self._root / run.part
        try:
            file = self._files.get(run.part) or self._files.setdefault(run.part, opened_plain(path))
            file.seek(run.offset)
            data = file.read(run.length)
        except OSError as error:
            raise _changed_error(path) from error
        if len(data) != run.length:
            raise _changed_error(path)
        return data


Hashed = dict[Path, str | None]
"""The SHA-256 of each part that was read; None if it could not be read."""


def require_parts(root: Path, recipe: Recipe, hashed: Hashed) -> None:
    """Raise OperatorError if a part has changed since it was stored; don't read parts in `hashed` again."""
    for part, digest in recipe.parts.items():
        path = root / part
        if path not in hashed:
            hashed[path] = _digest(path)
        if hashed[path] != digest:
            raise _changed_error(path)


def is_as_of(path: Path, at_ns: int) -> bool:
    """Return True if a part is a file that hasn't changed since `at_ns`, in nanoseconds since 1970."""
    try:
        stat_result = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(stat_result.st_mode) and max(stat_result.st_mtime_ns, stat_result.st_ctime_ns) <= at_ns


def _digest(path: Path) -> str | None:
    """Return the SHA-256 of a part; None if it is missing or can't be read."""
    try:
        with opened_plain(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _changed_error(path: Path) -> OperatorError:
    return OperatorError(f"{path} has changed since the backup was made", NEXT_STEP)


def write(root: Path, name: str, file: Path, before: Recipe | None, hashed: Hashed | None = None) -> Recipe:
    """Store the bytes that the earlier recipe doesn't cover as the part `name`, and return the file's new recipe.

    Without an earlier recipe, or if its parts are damaged or too many, the file itself is renamed to become the part.
    The caller syncs the part.
    """
    hashed = {} if hashed is None else hashed
    if before is not None and len(before.parts) < MAX_PARTS:
        with suppress(OperatorError), AssembledFile(root, before) as earlier:
            require_parts(root, before, hashed)
            return _write_part(root, name, file, earlier)
    recipe = _move_part(root, name, file)
    # The digest is of the bytes just read from it.
    hashed |= {root / name: digest for name, digest in recipe.parts.items()}
    return recipe


def require_whole(root: Path, recipe: Recipe) -> None:
    """Read everything a recipe produces; raise OperatorError if it differs from the original."""
    for _ in _blocks(root, recipe):
        pass


def assemble(root: Path, recipe: Recipe, target: Path) -> None:
    """Assemble a file from its parts; raise OperatorError if the result differs from the original."""
    with written_plain(target) as file:
        for block in _blocks(root, recipe):
            file.write(block)


def _blocks(root: Path, recipe: Recipe) -> Iterator[bytes]:
    """Yield everything a recipe produces; raise OperatorError at the end if it differs from the original."""
    digest = hashlib.sha256()
    with AssembledFile(root, recipe) as earlier:
        while block := earlier.take(LARGE)[0]:
            digest.update(block)
            yield block
    if digest.hexdigest() != recipe.sha256:
        require_parts(root, recipe, {})
        raise _changed_error(root)


def _write_part(root: Path, name: str, file: Path, earlier: AssembledFile) -> Recipe:
    """Write the pages that the earlier parts lack as a new part."""
    digest, part_digest, runs, size, written = hashlib.sha256(), hashlib.sha256(), list[ByteRange](), 0, 0
    with opened_plain(file) as read, written_plain(root / name) as part:
        while block := read.read(BLOCK):
            digest.update(block)
            size += len(block)
            for run, page in _pages(block, *earlier.take(BLOCK)):
                _append(runs, run or ByteRange(name, written, len(page)))
                written += part.write(page)
                part_digest.update(page)
    digests = {**earlier.recipe.parts, name: part_digest.hexdigest()}
    needed = {run.part: digests[run.part] for run in runs}
    return Recipe(size, digest.hexdigest(), tuple(runs), needed)


def _move_part(root: Path, name: str, file: Path) -> Recipe:
    """Rename a whole file to a part, so that nothing is written twice."""
    with opened_plain(file) as read:
        size = os.fstat(read.fileno()).st_size
        digest = hashlib.file_digest(read, "sha256").hexdigest()
    with around("backup_parts.name"):
        file.rename(root / name)
    return Recipe(size, digest, (ByteRange(name, 0, size),), {name: digest}) if size else NOTHING


def _pages(block: bytes, earlier: bytes, runs: list[ByteRange]) -> Iterator[tuple[ByteRange | None, bytes]]:
    """Yield the pieces of a block: existing runs, or None with bytes to write."""
    if block == earlier:
        yield from ((run, b"") for run in runs)
        return
    for at in range(0, len(block), PAGE):
        page = block[at : at + PAGE]
        if page == earlier[at : at + PAGE]:
            yield from ((run, b"") for run in _cut(runs, at, len(page)))
        else:
            yield None, page


def _cut(runs: Iterable[ByteRange], start: int, length: int) -> Iterator[ByteRange]:
    """Yield the parts of runs that make up `length` bytes from `start` on."""
    for part, offset, size in runs:
        taken = min(size - start, length)
        if taken > 0:
            yield ByteRange(part, offset + start, taken)
            length -= taken
        start = max(0, start - size)


def _append(runs: list[ByteRange], run: ByteRange) -> None:
    """Add a run, extending the last one if it continues there."""
    last = runs[-1] if runs else None
    if last and (last.part, last.offset + last.length) == (run.part, run.offset):
        runs[-1] = ByteRange(last.part, last.offset, last.length + run.length)
    else:
        runs.append(run)
