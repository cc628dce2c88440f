"""The exchange's log: one numbered JSON line per event; a request's lines are written together and synced in batches.

Written lines survive the end of this process, and synced lines even a power loss. A crash can leave the last line
incomplete. Such a line is cut off when the log is opened, and replaying the remaining commands restores the lost lines.
Each line is a command's request, a consequence of a command, or a note. A replay copies notes unchanged and computes
consequences again.
"""

from __future__ import annotations

import hashlib
import json
import os
import weakref
from array import array
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from papervenue.commands.command import Command
from papervenue.market.spec import NEW_EXCHANGE, MarketError
from papervenue.private_files import open_own
from papervenue.times import parse_time

FORMAT = 2
"""The version of the log format that this program writes and can replay."""
_DAMAGED = "restore log.jsonl from a copy, or " + NEW_EXCHANGE
_STRIDE = 256
"""Remember the offset of one line in this many, so that the end of a long log is found quickly."""


_BLOCK = 1 << 20


class Prefix(NamedTuple):
    """Identifies the first part of a log by its content: its number of lines, its number of bytes, and their digest.

    `marks` has the offset of every 256th line, in the form in which the log itself stores them.
    """

    lines: int
    size: int
    digest: bytes
    marks: bytes


class LogError(RuntimeError):
    """Raised when a command ran but couldn't be logged. The process must end, because the log is authoritative."""


class Log:
    """An append-only file of lines. It must exist, because an exchange without its log would start from scratch.

    Added lines stay in memory until they are written. If the file still starts with `prefix`, byte for byte, that part
    isn't parsed again; `known_lines` is how many lines were skipped in this way.
    """

    def __init__(self, path: Path, prefix: Prefix | None = None) -> None:
        self.path = path
        self.torn_bytes = _cut_torn_tail(path)
        self._file = open_own(path, os.O_WRONLY | os.O_APPEND)
        weakref.finalize(self, os.close, self._file)
        self.pending: list[bytes] = []
        """Lines waiting to be written, which aren't counted."""
        self.unsynced = False
        self._marks = array("Q")
        self.count = self._size = 0
        self._digest = hashlib.sha256()
        self.known_lines = 0
        with path.open("rb") as file:
            if prefix is not None:
                self._skip(file, prefix)
            for line in file:
                self._digest.update(line)
                self._mark(len(line))

    def add(self, line: bytes) -> None:
        """Add a line, which is written with the next batch."""
        self.pending.append(line)

    def write(self) -> None:
        """Write the waiting lines to the file; raise LogError if that fails."""
        if not self.pending:
            return
        lines, self.pending = self.pending, []
        content = b"\n".join((*lines, b""))
        try:
            _write(self._file, content)
        except OSError as error:
            raise self._write_error(error) from error
        self.unsynced = True
        self._digest.update(content)
        for line in lines:
            self._mark(len(line) + 1)

    def sync(self) -> None:
        """Make written lines durable; raise LogError if that fails. This may run in a thread."""
        self.unsynced = False
        try:
            os.fsync(self._file)
        except OSError as error:
            raise self._write_error(error) from error

    def commit(self) -> None:
        """Write the waiting lines and make all lines durable; raise LogError if that fails."""
        self.write()
        if self.unsynced:
            self.sync()

    def _write_error(self, error: OSError) -> LogError:
        return LogError(f"{self.path} can't be written: {error.strerror}")

    def read(self, after: int = 0) -> Iterator[bytes]:
        """Yield the written lines, oldest first, skipping the first `after` lines."""
        index = min(after // _STRIDE, max(len(self._marks) - 1, 0))
        with self.path.open("rb") as file:
            file.seek(self._marks[index] if self._marks else 0)
            for line in islice(file, after - index * _STRIDE, None):
                yield line.rstrip(b"\n")

    def lines(self, after: int = 0, limit: int | None = None) -> list[bytes]:
        """Return up to `limit` lines after line number `after` (the first line is 1), once waiting lines are written.

        Raise LogError if writing fails.
        """
        self.write()
        return list(islice(self.read(after), limit))

    def prefix(self) -> Prefix:
        """Return the identity of the lines written so far."""
        return Prefix(self.count, self._size, self._digest.digest(), self._marks.tobytes())

    def _skip(self, file: BinaryIO, prefix: Prefix) -> None:
        """Skip a known beginning if the file has it; otherwise stay at the start."""
        digest = _digest_of(file, prefix.size)
        if digest is None or digest.digest() != prefix.digest:
            file.seek(0)
            return
        self._digest, self.count, self._size = digest, prefix.lines, prefix.size
        self._marks.frombytes(prefix.marks)
        self.known_lines = prefix.lines

    def _mark(self, length: int) -> None:
        if self.count % _STRIDE == 0:
            self._marks.append(self._size)
        self.count += 1
        self._size += length


def _write(file: int, content: bytes) -> None:
    """Write all of the content, because the system may take only part of it at a time."""
    remaining = memoryview(content)
    while remaining:
        remaining = remaining[os.write(file, remaining) :]


def _digest_of(file: BinaryIO, size: int) -> hashlib._Hash | None:
    digest = hashlib.sha256()
    while size:
        block = file.read(min(size, _BLOCK))
        if not block:
            return None
        digest.update(block)
        size -= len(block)
    return digest


def _cut_torn_tail(path: Path) -> int:
    """Truncate a file after its last complete line; return how many bytes were removed."""
    size = complete = path.stat().st_size
    with path.open("rb") as file:
        while complete:
            start = max(0, complete - 65_536)
            file.seek(start)
            newline = file.read(complete - start).rfind(b"\n")
            complete = start + newline + 1 if newline >= 0 else start
            if newline >= 0:
                break
    if complete < size:
        os.truncate(path, complete)
    return size - complete


def read_event(line: bytes, number: int) -> dict[str, Any]:
    """Read one line; if it isn't an event, raise MarketError with the line's number."""
    try:
        event = json.loads(line.decode())
    except ValueError as error:
        raise MarketError(f"log.jsonl line {number} is not JSON: {error}", _DAMAGED) from error
    if not isinstance(event, dict) or event.get("seq") != number:
        raise MarketError(f"log.jsonl line {number} doesn't have the sequence number {number}", _DAMAGED)
    return event


CREATED, REQUEST, NOTE = "created", "request", "note"
"""The event of the log's first line, the event of a command, and the mark of a note, which a replay copies unchanged.
"""
RESTORE_BOTH = "restore log.jsonl and market.json together, or " + NEW_EXCHANGE


Step = Command | dict[str, Any]
"""A command to run, or a note to apply."""


def replay(log: Log, lines: deque[bytes], after: int = 0) -> Iterator[tuple[int, Step | None]]:
    """Yield engine times, each with the step to execute then; skip the first `after` lines, whose outcome is known.

    Executing a step must add the resulting lines to `lines`; those left over at the end were lost in a crash. Raise
    MarketError if a line of the log isn't what the commands before it produce.
    """
    for number, line in enumerate(log.read(after), start=after + 1):
        birth = read_event(line, number) if number == 1 else {}
        if birth.get("event") == CREATED and birth.get("format") != FORMAT:
            raise MarketError(
                f"log.jsonl has format {birth.get('format', 1)}, but this program can only replay format {FORMAT}",
                NEW_EXCHANGE,
            )
        if not lines:
            yield _step(line, number, lines)
        if not lines or lines.popleft() != line:
            problem = f"log.jsonl line {number} doesn't match its commands: someone edited the log or the market"
            raise MarketError(problem, RESTORE_BOTH)


def _step(line: bytes, number: int, lines: deque[bytes]) -> tuple[int, Step | None]:
    """Return the step that a line stands for, unless an earlier line already produced it."""
    event = read_event(line, number)
    try:
        at_us = _parsed(str(event.get("at")))
        if event.get(NOTE):
            lines.append(line)
            return at_us, event
        fields = {name: str(event[name]) for name in Command._fields} if event.get("event") == REQUEST else None
    except KeyError as error:
        raise MarketError(f"log.jsonl line {number} is a request without its {error}", RESTORE_BOTH) from error
    except (ValueError, OverflowError) as error:
        raise MarketError(f"log.jsonl line {number} has no valid time", RESTORE_BOTH) from error
    return at_us, None if fields is None else Command(**fields)


_parsed = lru_cache(maxsize=16)(parse_time)
"""Cached, because consecutive lines often have the same time."""
