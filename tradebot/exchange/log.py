"""The exchange's log: one JSON line an event, numbered; what came together is written together, and synced in batches.

What is written survives the end of this process at any moment, what is synced the end of the machine too. A crash
can tear the last line; it is cut off on opening, and replaying the commands that remain gives the lines that were
lost. Lines are commands' requests, what followed from them, and notes, which a replay copies as they stand.
"""

from __future__ import annotations

import hashlib
import json
import os
import weakref
from array import array
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from tradebot.exchange.market.spec import NEW_EXCHANGE, MarketError
from tradebot.exchange.private_files import open_own

FORMAT = 2
"""The version of the lines that this program writes and can replay."""
_DAMAGED = "restore log.jsonl from a copy, or " + NEW_EXCHANGE
_STRIDE = 256
"""Where every so many lines begin is remembered, so that the end of a long log is found at once."""


_BLOCK = 1 << 20


class Prefix(NamedTuple):
    """The beginning of a log, by what is in it: its lines and bytes, and their digest.

    `marks` is where every 256th line begins, as the log itself remembers it.
    """

    lines: int
    size: int
    digest: bytes
    marks: bytes


class LogError(RuntimeError):
    """A command was carried out and could not be recorded: this process must end, for the log decides."""


class Log:
    """An append-only file of lines, which must be there: an exchange without its log would begin anew.

    Lines that are added wait in memory until they are written. A beginning that is `known` already is not counted
    again, if the file still begins with it byte for byte; `known_lines` says how many lines that saved.
    """

    def __init__(self, path: Path, known: Prefix | None = None) -> None:
        self.path = path
        self.torn_bytes = _cut_torn_tail(path)
        self._file = open_own(path, os.O_WRONLY | os.O_APPEND)
        weakref.finalize(self, os.close, self._file)
        self._pending: list[bytes] = []
        self.unsynced = False
        self._marks = array("Q")
        self._count = self._size = 0
        self._digest = hashlib.sha256()
        self.known_lines = 0
        with path.open("rb") as file:
            if known is not None:
                self._skip(file, known)
            for line in file:
                self._take(line)

    @property
    def pending(self) -> bool:
        """Say whether lines are waiting to be written."""
        return bool(self._pending)

    @property
    def count(self) -> int:
        """Return how many lines there are, the waiting ones not among them."""
        return self._count

    def add(self, line: bytes) -> None:
        """Take a line in, to be written with those that are waiting."""
        self._pending.append(line)

    def write(self) -> None:
        """Hand the waiting lines to the system; raises LogError when it refuses them."""
        if not self._pending:
            return
        lines, self._pending = self._pending, []
        content = b"\n".join((*lines, b""))
        try:
            _write(self._file, content)
        except OSError as error:
            raise self._refused(error) from error
        self.unsynced = True
        self._digest.update(content)
        for line in lines:
            self._mark(len(line) + 1)

    def sync(self) -> None:
        """Make durable what was written; raises LogError when the disk refuses. It may run in a thread of its own."""
        self.unsynced = False
        try:
            os.fsync(self._file)
        except OSError as error:
            raise self._refused(error) from error

    def commit(self) -> None:
        """Write the waiting lines and make all durable; raises LogError."""
        self.write()
        if self.unsynced:
            self.sync()

    def _refused(self, error: OSError) -> LogError:
        return LogError(f"{self.path} cannot be written: {error.strerror}")

    def read(self, after: int = 0) -> Iterator[bytes]:
        """Yield the written lines beyond the first `after`, oldest first."""
        place = min(after // _STRIDE, max(len(self._marks) - 1, 0))
        with self.path.open("rb") as file:
            file.seek(self._marks[place] if self._marks else 0)
            for line in islice(file, after - place * _STRIDE, None):
                yield line.rstrip(b"\n")

    def lines(self, after: int = 0, limit: int | None = None) -> list[bytes]:
        """Return lines by number, the first being 1: those after `after`, at most `limit`; waiting ones are written.

        Raises LogError.
        """
        self.write()
        return list(islice(self.read(after), limit))

    def prefix(self) -> Prefix:
        """Return what is written so far."""
        return Prefix(self._count, self._size, self._digest.digest(), self._marks.tobytes())

    def _skip(self, file: BinaryIO, known: Prefix) -> None:
        """Go on behind a beginning if the file has it; otherwise stay where it begins."""
        digest = _digest_of(file, known.size)
        if digest is None or digest.digest() != known.digest:
            file.seek(0)
            return
        self._digest, self._count, self._size = digest, known.lines, known.size
        self._marks.frombytes(known.marks)
        self.known_lines = known.lines

    def _take(self, line: bytes) -> None:
        self._digest.update(line)
        self._mark(len(line))

    def _mark(self, length: int) -> None:
        if self._count % _STRIDE == 0:
            self._marks.append(self._size)
        self._count += 1
        self._size += length


def _write(file: int, content: bytes) -> None:
    """Write all of it: the system may take a part at a time."""
    left = memoryview(content)
    while left:
        left = left[os.write(file, left) :]


def _digest_of(file: BinaryIO, size: int) -> hashlib._Hash | None:
    """Return the digest of a file's first bytes, None where there are not so many."""
    digest = hashlib.sha256()
    while size:
        block = file.read(min(size, _BLOCK))
        if not block:
            return None
        digest.update(block)
        size -= len(block)
    return digest


def _cut_torn_tail(path: Path) -> int:
    """Truncate a file after its last whole line; return how many bytes went."""
    size = whole = path.stat().st_size
    with path.open("rb") as file:
        while whole:
            start = max(0, whole - 65_536)
            file.seek(start)
            newline = file.read(whole - start).rfind(b"\n")
            whole = start + newline + 1 if newline >= 0 else start
            if newline >= 0:
                break
    if whole < size:
        os.truncate(path, whole)
    return size - whole


def read_event(line: bytes, number: int) -> dict[str, Any]:
    """Read one line; raises MarketError naming it when it is not an event."""
    try:
        event = json.loads(line.decode())
    except ValueError as error:
        raise MarketError(f"log.jsonl line {number} is not JSON: {error}", _DAMAGED) from error
    if not isinstance(event, dict) or event.get("seq") != number:
        raise MarketError(f"log.jsonl line {number} does not carry the number {number}", _DAMAGED)
    return event
