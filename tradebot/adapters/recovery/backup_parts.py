"""What backups are made of: files of bytes that are written once, and recipes that put a whole file together from them.

The first backup's parts are whole files. A later one adds the pages that differ from the backup before it, and its
recipe names each run of bytes by the part that holds it. No part is ever changed, so a backup depends on no other
backup, only on parts, and one that is half made leaves nothing but parts that no recipe names.
"""

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.state.plain_files import opened_plain, written_plain
from tradebot.errors import OperatorError

PARTS = "parts"
PAGE = 4096
BLOCK = 16 * PAGE
LARGE = 1 << 20
MOST_PARTS = 30
"""After a recipe of so many parts a whole file is kept once more, so that old parts can go."""
AGAIN = "tradebot backup makes a new one; tradebot recover takes whatever is whole"


class Run(NamedTuple):
    """Bytes that stand one after the other in a part."""

    part: str
    offset: int
    length: int


class Recipe(NamedTuple):
    """How a file is put together, and what must come of it: its size in bytes and its SHA-256.

    `parts` holds the SHA-256 of each part that is needed.
    """

    bytes: int
    sha256: str
    runs: tuple[Run, ...]
    parts: Mapping[str, str]


NOTHING = Recipe(0, hashlib.sha256().hexdigest(), (), {})


def read_recipe(described: Mapping[str, Any]) -> Recipe:
    """Return a recipe from its JSON; KeyError, TypeError or ValueError where that is none."""
    runs = tuple(Run(str(part), int(offset), int(length)) for part, offset, length in described["runs"])
    parts = {str(part): str(digest) for part, digest in described["parts"].items()}
    return Recipe(int(described["bytes"]), str(described["sha256"]), runs, parts)


class Assembled:
    """The bytes that a recipe gives, from the first to the last; OperatorError where a part is too short for them."""

    def __init__(self, root: Path, recipe: Recipe) -> None:
        self._root = root
        self._left = deque(recipe.runs)
        self._files: dict[str, BinaryIO] = {}
        self.recipe = recipe

    def __enter__(self) -> "Assembled":
        """Begin."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the parts."""
        for file in self._files.values():
            file.close()

    def take(self, size: int) -> tuple[bytes, list[Run]]:
        """Return so many bytes more, fewer at the end, and where they stand."""
        found, where = bytearray(), list[Run]()
        while self._left and len(found) < size:
            part, offset, length = self._left.popleft()
            taken = min(length, size - len(found))
            if taken < length:
                self._left.appendleft(Run(part, offset + taken, length - taken))
            where.append(Run(part, offset, taken))
            found += self._read(where[-1])
        return bytes(found), where

    def _read(self, run: Run) -> bytes:
        path = self._root / run.part
        try:
            file = self._files.get(run.part) or self._files.setdefault(run.part, opened_plain(path))
            file.seek(run.offset)
            found = file.read(run.length)
        except OSError as error:
            raise _other(path) from error
        if len(found) != run.length:
            raise _other(path)
        return found


Hashed = dict[Path, str | None]
"""The SHA-256 of parts that were read; None for one that could not be."""


def require_parts(root: Path, recipe: Recipe, hashed: Hashed) -> None:
    """Raise OperatorError where a part is not as it was kept; one that is among the `hashed` is not read again."""
    for part, digest in recipe.parts.items():
        path = root / part
        if path not in hashed:
            hashed[path] = _digest(path)
        if hashed[path] != digest:
            raise _other(path)


def _digest(path: Path) -> str | None:
    """Return the SHA-256 of a part; None where it is missing or cannot be read."""
    try:
        with opened_plain(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _other(path: Path) -> OperatorError:
    return OperatorError(f"{path} is not as it was when the copy was made", AGAIN)


def write(root: Path, name: str, file: Path, before: Recipe | None, hashed: Hashed | None = None) -> Recipe:
    """Keep the bytes of a file that an earlier recipe does not give, as the part `name`; return the file's recipe.

    Where there is none, or what it needs is not whole any more, the file itself becomes the part. The caller syncs it.
    """
    hashed = {} if hashed is None else hashed
    if before is not None and len(before.parts) < MOST_PARTS:
        with suppress(OperatorError), Assembled(root, before) as known:
            require_parts(root, before, hashed)
            return _written(root, name, file, known)
    recipe = _moved(root, name, file)
    # Its digest is of what was read from it just now.
    hashed |= {root / name: digest for name, digest in recipe.parts.items()}
    return recipe


def require_whole(root: Path, recipe: Recipe) -> None:
    """Read all that a recipe gives; OperatorError where that is not what was backed up."""
    for _ in _blocks(root, recipe):
        pass


def assemble(root: Path, recipe: Recipe, target: Path) -> None:
    """Put a file together; OperatorError where that does not give what was backed up."""
    with written_plain(target) as file:
        for block in _blocks(root, recipe):
            file.write(block)


def _blocks(root: Path, recipe: Recipe) -> Iterator[bytes]:
    """Yield all that a recipe gives; OperatorError at the end where that is not what was backed up."""
    digest = hashlib.sha256()
    with Assembled(root, recipe) as known:
        while block := known.take(LARGE)[0]:
            digest.update(block)
            yield block
    if digest.hexdigest() != recipe.sha256:
        require_parts(root, recipe, {})
        raise _other(root)


def _written(root: Path, name: str, file: Path, known: Assembled) -> Recipe:
    """Write the pages of a file that are not known as a part."""
    digest, own, runs, size, written = hashlib.sha256(), hashlib.sha256(), list[Run](), 0, 0
    with opened_plain(file) as read, written_plain(root / name) as part:
        while block := read.read(BLOCK):
            digest.update(block)
            size += len(block)
            for run, page in _pages(block, *known.take(BLOCK)):
                _append(runs, run or Run(name, written, len(page)))
                written += part.write(page)
                own.update(page)
    digests = {**known.recipe.parts, name: own.hexdigest()}
    needed = {run.part: digests[run.part] for run in runs}
    return Recipe(size, digest.hexdigest(), tuple(runs), needed)


def _moved(root: Path, name: str, file: Path) -> Recipe:
    """Make a part of a whole file by giving it another name, which writes none of it again."""
    with opened_plain(file) as read:
        size = os.fstat(read.fileno()).st_size
        digest = hashlib.file_digest(read, "sha256").hexdigest()
    with around("backup_parts.name"):
        file.rename(root / name)
    return Recipe(size, digest, (Run(name, 0, size),), {name: digest}) if size else NOTHING


def _pages(block: bytes, known: bytes, where: list[Run]) -> Iterator[tuple[Run | None, bytes]]:
    """Yield what gives a block: runs that are there, or None and the bytes to be written."""
    if block == known:
        yield from ((run, b"") for run in where)
        return
    for at in range(0, len(block), PAGE):
        page = block[at : at + PAGE]
        if page == known[at : at + PAGE]:
            yield from ((run, b"") for run in _cut(where, at, len(page)))
        else:
            yield None, page


def _cut(runs: Iterable[Run], start: int, length: int) -> Iterator[Run]:
    """Yield the pieces of runs that give `length` bytes from `start` on."""
    for part, offset, size in runs:
        taken = min(size - start, length)
        if taken > 0:
            yield Run(part, offset + start, taken)
            length -= taken
        start = max(0, start - size)


def _append(runs: list[Run], run: Run) -> None:
    """Add a run, as more of the last one where it goes on there."""
    last = runs[-1] if runs else None
    if last and (last.part, last.offset + last.length) == (run.part, run.offset):
        runs[-1] = Run(last.part, last.offset, last.length + run.length)
    else:
        runs.append(run)
