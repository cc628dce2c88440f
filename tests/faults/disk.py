"""What a disk would hold of one folder after the power has gone: a model that is fed with every call on its files.

What was written to a file is safe once that file has been synced, a name once its folder has: as POSIX promises it,
and no more. Until then each change may be there or not when the power comes back, and they need not have reached the
disk in their order: of a file's changes none, all, the first so many with the last one torn, or any sectors of any of
them, between which there are zeros; of the names none, all, the first so many, or any. Renames are atomic.

The model is complete, or it says so: after each run it must hold, byte for byte, what the folder really holds.
What it cannot show is a disk that says it has synced and has not.
"""

import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tests.kit.fakes.calls import Call

SECTOR = 512
NOT_OURS = ("-shm",)
"""The index of a write-ahead log, which is memory with a name: whoever opens the log first makes it anew."""


class Change(NamedTuple):
    """One change of a file's bytes; no data: it was cut or lengthened to `offset` bytes."""

    offset: int
    data: bytes | None


@dataclass(eq=False)
class File:
    """The bytes of one file: as they are, as the last sync left them, and the changes since."""

    now: bytearray = field(default_factory=bytearray)
    safe: bytearray = field(default_factory=bytearray)
    changes: list[Change] = field(default_factory=list)

    def change(self, change: Change) -> None:
        """Change the bytes, not safely yet."""
        apply(self.now, change)
        self.changes.append(change)

    def sync(self) -> None:
        """Make every change safe."""
        for change in self.changes:
            apply(self.safe, change)
        self.changes.clear()


def apply(content: bytearray, change: Change) -> None:
    """Change bytes in their place; what lies between the end and a change behind it is zeros."""
    reach = change.offset + len(change.data or b"")
    content.extend(bytes(max(0, reach - len(content))))
    if change.data is None:
        del content[change.offset :]
    else:
        content[change.offset : reach] = change.data


class Naming(NamedTuple):
    """One change of names in these folders: a name that goes, a name that comes and for what; None for a folder."""

    folders: frozenset[str]
    gone: str = ""
    come: str = ""
    node: File | None = None


Names = dict[str, File | None]


class Disk:
    """The disk under one folder."""

    def __init__(self, root: Path) -> None:
        self._root = str(root.absolute())
        self._names: Names = {}
        self._safe: Names = {}
        self._namings: list[Naming] = []
        self._handles: dict[int, File] = {}
        if root.is_dir():
            self._take_over()

    def _take_over(self) -> None:
        """Take what the folder holds as safe."""
        for path, content in really(self._root):
            node = None if content is None else File(bytearray(content), bytearray(content))
            self._names[path] = self._safe[path] = node

    def add(self, call: Call) -> None:
        """Take in one call that was made."""
        if not call.path.endswith(NOT_OURS):
            getattr(self, f"_{call.name}")(call)

    def _open(self, call: Call) -> None:
        node = self._names.get(call.path)
        if node is None:
            node = File()
            self._name(Naming(frozenset({os.path.dirname(call.path)}), come=call.path, node=node))
        self._handles[call.handle] = node
        if call.offset:
            node.change(Change(0, None))

    def _write(self, call: Call) -> None:
        self._handles[call.handle].change(Change(call.offset, call.data))

    def _truncate(self, call: Call) -> None:
        self._handles[call.handle].change(Change(call.offset, None))

    def _sync(self, call: Call) -> None:
        self._handles[call.handle].sync()

    def _rename(self, call: Call) -> None:
        folders = frozenset({os.path.dirname(call.path), os.path.dirname(call.target)})
        self._name(Naming(folders, call.path, call.target, self._names[call.path]))

    def _remove(self, call: Call) -> None:
        self._name(Naming(frozenset({os.path.dirname(call.path)}), gone=call.path))

    def _make(self, call: Call) -> None:
        self._name(Naming(frozenset({os.path.dirname(call.path)}), come=call.path))

    def _unmake(self, call: Call) -> None:
        self._remove(call)

    def _name(self, naming: Naming) -> None:
        rename(self._names, naming)
        self._namings.append(naming)

    def _sync_names(self, call: Call) -> None:
        for naming in [naming for naming in self._namings if call.path in naming.folders]:
            rename(self._safe, naming)
            self._namings.remove(naming)

    def unlike(self) -> Iterator[str]:
        """Yield the names under which the folder holds something else than the model says: none, or it is wrong."""
        real = dict(really(self._root))
        model = {path: None if node is None else bytes(node.now) for path, node in self._names.items()}
        yield from (path for path in sorted(real.keys() | model.keys()) if real.get(path, 0) != model.get(path, 0))

    def lose(self, chance: random.Random) -> int:
        """Let the power go and come back: the folder holds what the disk held. Return how many changes were unsafe."""
        files = [node for node in dict.fromkeys([*self._names.values(), *self._safe.values()]) if node is not None]
        unsafe = len(self._namings) + sum(len(node.changes) for node in files)
        for naming in some(self._namings, chance):
            rename(self._safe, naming)
        for node in files:
            for change in survivors(node.changes, chance) if node.changes else ():
                apply(node.safe, change)
        self._put_back()
        return unsafe

    def _put_back(self) -> None:
        """Make the folder hold what is safe, and nothing else."""
        shutil.rmtree(self._root, ignore_errors=True)
        os.mkdir(self._root, 0o700)
        for path, node in sorted(self._safe.items()):
            # What lies in a folder whose own name never reached the disk is not to be found.
            if path == self._root or not os.path.isdir(os.path.dirname(path)):
                continue
            if node is None:
                os.mkdir(path, 0o700)
            else:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                os.write(descriptor, node.safe)
                os.close(descriptor)
        self.__init__(Path(self._root))  # type: ignore[misc]


def rename(names: Names, naming: Naming) -> None:
    """Change names; those within a folder that is renamed go with it."""
    if naming.gone:
        names.pop(naming.gone, None)
    if naming.come:
        names[naming.come] = naming.node
    if naming.gone and naming.come and naming.node is None:
        inner = f"{naming.gone}{os.sep}"
        for path in [path for path in names if path.startswith(inner)]:
            names[f"{naming.come}{os.sep}{path.removeprefix(inner)}"] = names.pop(path)


def really(root: str) -> Iterator[tuple[str, bytes | None]]:
    """Yield every name below a folder, and the folder itself, with its bytes; None for a folder."""
    if os.path.isdir(root):
        yield root, None
    for place, folders, files in os.walk(root):
        yield from ((os.path.join(place, name), None) for name in folders)
        for name in files:
            if not name.endswith(NOT_OURS):
                yield os.path.join(place, name), Path(place, name).read_bytes()


def some(changes: list[Naming], chance: random.Random) -> list[Naming]:
    """Return the changes of names that have reached the disk."""
    match chance.choice(("none", "all", "first", "any")):
        case "none":
            return []
        case "all":
            return changes
        case "first":
            return changes[: chance.randint(0, len(changes))]
    return [change for change in changes if chance.random() < 0.5]


def survivors(changes: list[Change], chance: random.Random) -> Iterator[Change]:
    """Yield the changes of a file that have reached the disk, whole or in sectors."""
    match chance.choice(("none", "all", "first", "any")):
        case "all":
            yield from changes
        case "first":
            reached = chance.randint(1, len(changes))
            yield from changes[: reached - 1]
            yield torn(changes[reached - 1], chance)
        case "any":
            for change in changes:
                yield from sectors(change, chance)


def torn(change: Change, chance: random.Random) -> Change:
    """Return the beginning of a change."""
    return change if change.data is None else Change(change.offset, change.data[: chance.randint(0, len(change.data))])


def sectors(change: Change, chance: random.Random) -> Iterator[Change]:
    """Yield some sectors of a change, as the disk divides the file."""
    if change.data is None:
        yield from [change] * chance.randint(0, 1)
        return
    start, reach = change.offset, change.offset + len(change.data)
    edges = [start, *range(start - start % SECTOR + SECTOR, reach, SECTOR), reach]
    for first, last in pairwise(edges):
        if chance.random() < 0.5:
            yield Change(first, change.data[first - start : last - start])
