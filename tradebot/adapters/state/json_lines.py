"""Append lines to a file that is rotated by size, so that it doesn't grow without bound.

The file's own lines show which records it has. So no line is lost or repeated if the process is killed, the disk is
full, or a second process writes. If the file is deleted, it starts again with the last day's records.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tradebot.adapters.failpoint import around
from tradebot.adapters.state.safe_open import is_plain, open_plain, read_plain, try_lock
from tradebot.adapters.text.canonical import parse_time
from tradebot.adapters.text.redaction import hide_keys


class RotatedLines:
    """A file to which lines are appended. Full files get a number; up to `max_files` of them stay, and the oldest is
    overwritten.

    If the disk fails, lines are lost but the pass continues. `lost` says why the last line was lost; it is None if that
    line was written.
    """

    def __init__(self, path: Path, max_bytes: int, max_files: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._kept = max_files
        self.lost: str | None = None

    def require(self) -> None:
        """Raise OSError if the file can't be opened for appending, or created."""
        os.close(self._open_file())

    def append(self, text: str) -> bool:
        """Append one line; return True if a new file was started for it."""
        line, rotated = text.encode() + b"\n", False
        try:
            rotated = self._rotate(len(line))
            descriptor = self._open_file()
            try:
                os.write(descriptor, b"\n" * self._is_torn(descriptor) + line)
            finally:
                os.close(descriptor)
        except OSError as error:
            self.lost = f"{self._path} can't be written: {error.strerror}"
            return False
        self.lost = None
        return rotated

    def _open_file(self) -> int:
        return open_plain(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND)

    def _is_torn(self, descriptor: int) -> bool:
        """Return True if the last line has no end, as after a power failure: the next one would be lost with it."""
        size = os.fstat(descriptor).st_size
        return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"

    def _rotate(self, coming: int) -> bool:
        """Rename full files to the next number, overwriting the oldest; return False if there is room for the line."""
        if not self._path.exists() or self._path.stat().st_size + coming <= self._max_bytes:
            return False
        for number in range(self._kept - 1, 0, -1):
            older = self._numbered_path(number)
            if older.exists():
                with around("json_lines.rotate"):
                    older.replace(self._numbered_path(number + 1))
        with around("json_lines.begin_anew"):
            self._path.replace(self._numbered_path(1))
        return True

    def _numbered_path(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


BACK = timedelta(days=1)
"""How late a record may arrive compared with newer ones, and how far back a new file starts."""

Row = Mapping[str, Any]


class TailFile:
    """A file of records. In each row, `at` is the field with the row's time, and `names` are the fields that identify
    it.
    """

    def __init__(self, path: Path, max_bytes: int, max_files: int, at: str, names: tuple[str, ...]) -> None:
        self._path = path
        self._kept = max_files
        self._at = at
        self._names = names
        self._lines = RotatedLines(path, max_bytes, max_files)
        self._known = dict[str, datetime]()
        self._first: datetime | None = None
        self._status: tuple[int, int] | None = None

    def add(self, read: Callable[[datetime], Iterable[Row]], now: datetime) -> int:
        """Append the rows that the file doesn't have yet, and return how many; `read` returns all rows since a time.

        Rows that couldn't be written are appended next time. Raise OSError if the file can't be read.
        """
        if self._status is None or self._status != self._file_identity():
            self._repair()
            self._read()
        since = max(max(self._known.values()) - BACK, self._first) if self._known and self._first else now - BACK
        # Nothing older is appended, because a file may last for weeks.
        self._known = {name: at for name, at in self._known.items() if at >= since}
        texts = (hide_keys(json.dumps(row)) for row in read(since))
        keyed = {name: (at, text) for text in texts for name, at in self._keys_and_times(text)}
        new = [(at, name, text) for name, (at, text) in keyed.items() if at >= since and name not in self._known]
        return self._append(sorted(new))

    def _append(self, new: Sequence[tuple[datetime, str, str]]) -> int:
        (inode, size), self._status = self._file_identity(), None
        for count, (at, name, text) in enumerate(new):
            self._lines.append(text)
            if self._lines.lost:
                return count
            self._know(name, at)
            size += len(text.encode()) + 1
        # If a line was cut short or a new file was started, the next read starts from the beginning.
        self._status = (inode, size) if self._file_identity() == (inode, size) else None
        return len(new)

    def _know(self, name: str, at: datetime) -> None:
        self._known[name] = at
        self._first = min(self._first or at, at)

    def _keys_and_times(self, text: str | bytes) -> Iterator[tuple[str, datetime]]:
        """Yield each line's record key and time; unreadable lines are skipped."""
        with suppress(ValueError, LookupError, TypeError):
            row = json.loads(text)
            yield json.dumps([row[name] for name in self._names] if self._names else row), parse_time(row[self._at])

    def _file_identity(self) -> tuple[int, int]:
        if not self._path.exists():
            return 0, 0
        status = self._path.stat()
        return status.st_ino, status.st_size

    def _repair(self) -> None:
        """Cut off a last line without its end; its record is appended again."""
        if not is_plain(self._path):
            return
        whole = read_plain(self._path).rfind(b"\n") + 1
        if whole < self._path.stat().st_size:
            descriptor = open_plain(self._path, os.O_RDWR)
            try:
                with around("json_lines.repair"):
                    os.ftruncate(descriptor, whole)
            finally:
                os.close(descriptor)

    def _read(self) -> None:
        """Read which rows may be repeated, from the newest line back.

        A line older than the newest one by twice `BACK` can't be repeated, nor can earlier ones.
        """
        self._known, self._first = {}, None
        newest: datetime | None = None
        for number in range(self._kept + 1):
            path = self._path.with_name(f"{self._path.name}.{number}") if number else self._path
            for line in _backwards(read_plain(path) if is_plain(path) else b""):
                for name, at in self._keys_and_times(line):
                    newest = max(newest or at, at)
                    self._know(name, at)
                    if at < newest - 2 * BACK:
                        return


def _backwards(content: bytes) -> Iterator[bytes]:
    """Yield the lines of a file, the last one first."""
    end = len(content)
    while end:
        begin = content.rfind(b"\n", 0, end - 1) + 1
        yield content[begin:end]
        end = begin


@contextmanager
def writing(folder: Path) -> Iterator[bool]:
    """Create the folder, and lock it inside the block; yield False if another process has it locked."""
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield try_lock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)
