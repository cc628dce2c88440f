"""The money records a second time: hash-chained JSON lines, written before the ledger commits.

Each line is `{"schema","seq","at","sealed","kind","payload","prev","hash"}`; `hash` is the SHA-256 of the line without
it, `prev` the hash of the line before, `sealed` the record that the ledger had committed when this one was written: a
ledger that knows less than that is an older one. Appending needs the ledger's write lock: one writer at a time.

The journal may run ahead of the ledger by records whose commit failed: such a promise was never sent, and a
rebuild looks it up at the venue like any unresolved intent. After a power failure it may lack the last
records that were appended without `sync`, or hold them in pieces: only settled answers are written so, and the venue
still has them. Whoever opens the journal next sets such pieces aside.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from tradebot.adapters.canonical import json_text, time_text
from tradebot.adapters.failpoint import around
from tradebot.adapters.state_folder import REBUILD, in_place, sync_folder
from tradebot.errors import DamagedJournalError, OperatorError, TemporaryError

SCHEMA = 2
GENESIS = "0" * 64
LONGEST_LINE = 1 << 18
HASH_FIELD = b',"hash":"'
HASH_END = b'"}'
BODY = re.compile(
    rb'\{"schema":[12],"seq":(\d+),"at":"[^"]*",(?:"sealed":(\d+),)?"kind":"(\w+)",'
    rb'"payload":(.*),"prev":"([0-9a-f]{64})"\}',
    re.DOTALL,
)
HASH_LENGTH = len(HASH_FIELD) + 64 + len(HASH_END)


class Head(NamedTuple):
    """The last record of a chain."""

    sequence: int
    hash: str


class Record(NamedTuple):
    """One record of a chain: its payload as the bytes of its JSON text, its place, what the ledger had committed."""

    kind: str
    payload: bytes
    head: Head
    sealed: int


class Journal:
    """An open journal; OSError where a write fails, which leaves the file as it was."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise DamagedJournalError(f"The journal {path} is missing.", REBUILD) from error
        self._path = path
        self._size = -1
        self._synced = 0
        self._head = Head(0, GENESIS)
        self.sealed = 0
        """The record that the ledger has committed, as its holder last read it."""

    @classmethod
    def create(cls, path: Path, payload: object, at: datetime) -> "Journal":
        """Begin a journal with its first record, durably; FileExistsError where there is one."""
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        journal = cls(path)
        journal._size = 0
        journal.append("created", payload, at)
        journal.sync()
        sync_folder(path.parent)
        return journal

    @classmethod
    def open(cls, path: Path, sealed: int) -> "Journal":
        """Open a journal that must reach record `sealed`, which the ledger knows to be durable."""
        journal = cls(path)
        try:
            journal._cut_pieces(sealed)
            if journal.head().sequence < sealed:
                raise DamagedJournalError(f"{path} ends before record {sealed}, which the ledger knows.", REBUILD)
        except (OperatorError, OSError):
            journal.close()
            raise
        return journal

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def append(self, kind: str, payload: object, at: datetime) -> None:
        """Write one record to the file, not yet synced; call under the ledger's write lock."""
        head = self.head()
        line, digest = _line(Head(head.sequence + 1, head.hash), self.sealed, kind, payload, at)
        if len(line) > LONGEST_LINE:
            raise AssertionError(f"a journal record of {len(line)} bytes")
        self._write(line)
        self._head, self._size = Head(head.sequence + 1, digest), self._size + len(line)

    def sync(self) -> Head:
        """Make everything appended durable; return the last record.

        Where that fails all of it is taken back: the system may have let go of it, and a later sync would say nothing.
        """
        try:
            with around("journal.sync"):
                os.fsync(self._descriptor)
        except OSError:
            self._cut_back(self._synced)
            raise
        self._synced = self._size
        return self._head

    def head(self) -> Head:
        """Return the last record, read again where another process wrote; only its own hash is checked."""
        size = self._size_in_place()
        if size != self._size:
            self._size = self._synced = self._cut_torn_line(size)
            self._head = self._read_head(self._size)
        return self._head

    def _size_in_place(self) -> int:
        """Return the size of the open file; DamagedJournalError where another, or none, stands at its path by now."""
        found = os.fstat(self._descriptor)
        if not in_place(self._path, found):
            raise DamagedJournalError(f"{self._path} was removed or replaced while it was open.", REBUILD)
        return found.st_size

    def _write(self, line: bytes) -> None:
        try:
            written = os.write(self._descriptor, line)
            if written < len(line):
                os.write(self._descriptor, line[written:])
        except OSError:
            self._cut_back(self._size)
            raise

    def _cut_back(self, size: int) -> None:
        with around("journal.undo"):
            os.ftruncate(self._descriptor, size)

    def _tail(self, size: int, reach: int = 2 * LONGEST_LINE) -> bytes:
        start = max(0, size - reach)
        return os.pread(self._descriptor, size - start, start)

    def _cut_pieces(self, sealed: int) -> None:
        """Set aside what follows record `sealed` and is in pieces, as a power failure leaves what was not synced."""
        size = self._size_in_place()
        tail = self._from_record(sealed, size)
        whole, head = 0, None
        for line in tail.splitlines(keepends=True):
            record = parse_line(line.removesuffix(b"\n"))
            if not line.endswith(b"\n") or record is None or (head and record["prev"] != head.hash):
                break
            whole, head = whole + len(line), Head(record["seq"], record["hash"])
        pieces = tail[whole:]
        if head and pieces and not proves_more(pieces.split(b"\n"), sealed):
            self._set_aside(pieces, size)

    def _from_record(self, sequence: int, size: int) -> bytes:
        """Return the journal from the line of one record on; nothing where it is not found."""
        reach, mark = 2 * LONGEST_LINE, b'"seq":%d,"at"' % sequence
        while True:
            tail = self._tail(size, reach)
            before, found, _ = tail.rpartition(mark)
            if found and (b"\n" in before or reach >= size):
                return tail[before.rfind(b"\n") + 1 :]
            if reach >= size:
                return b""
            reach *= 2

    def _cut_torn_line(self, size: int) -> int:
        """Set an incomplete last line aside, as a crash leaves one; return the size without it."""
        fragment = self._tail(size).rpartition(b"\n")[2]
        return self._set_aside(fragment, size) if fragment else size

    def _set_aside(self, pieces: bytes, size: int) -> int:
        """Keep what stands at the end in a file of its own, and cut it off; return the size without it."""
        names = (self._path.with_name(f"journal.torn-{number}") for number in count(1))
        aside = next(name for name in names if not name.exists())
        aside.write_bytes(pieces)
        with around("journal.cut_torn"):
            os.ftruncate(self._descriptor, size - len(pieces))
        return size - len(pieces)

    def _read_head(self, size: int) -> Head:
        line = self._tail(size).removesuffix(b"\n").rpartition(b"\n")[2]
        record = parse_line(line)
        if record is None:
            raise DamagedJournalError(f"The last record of {self._path} is damaged.", REBUILD)
        return Head(record["seq"], record["hash"])


def records(path: Path, sealed: int | None = None) -> Iterator[Record]:
    """Yield the records of the chain, each checked; an incomplete last line is no record.

    DamagedJournalError names the first record that does not fit. Behind record `sealed`, which the ledger knows to be
    durable, what does not fit is no record either, nor is what follows it: it was never synced.
    """
    head, lines = Head(0, GENESIS), _complete_lines(path)
    for line in lines:
        record = _checked(line, head)
        if record is None:
            if sealed and head.sequence >= sealed and not proves_more([line, *lines], sealed):
                break
            raise DamagedJournalError(f"The chain of {path} is broken at record {head.sequence + 1}.", REBUILD)
        head = record.head
        yield record
    if not head.sequence:
        raise DamagedJournalError(f"The journal {path} is empty.", REBUILD)


def proves_more(lines: Iterable[bytes], sealed: int) -> bool:
    """Tell whether a whole line says that the ledger had committed more than `sealed` when it was written."""
    return any(record["sealed"] > sealed for record in map(parse_line, lines) if record and "sealed" in record)


def _complete_lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from (line[:-1] for line in file if line.endswith(b"\n"))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DamagedJournalError(f"The journal {path} cannot be read: {error.strerror}.", REBUILD) from error
    except OSError as error:
        raise cannot_read(path, error) from error


def cannot_read(path: Path, error: OSError) -> TemporaryError:
    """Return what to tell of a journal that is there and cannot be read now: nothing is known of its records."""
    return TemporaryError(
        f"The journal {path} cannot be read: {error.strerror}.", f"type it again; if it stays so: ls -l {path}"
    )


def _line(place: Head, sealed: int, kind: str, payload: object, at: datetime) -> tuple[bytes, str]:
    record = {
        "schema": SCHEMA,
        "seq": place.sequence,
        "at": time_text(at),
        "sealed": sealed,
        "kind": kind,
        "payload": payload,
        "prev": place.hash,
    }
    body = json_text(record).encode()
    digest = hashlib.sha256(body).hexdigest()
    return body[:-1] + HASH_FIELD + digest.encode() + HASH_END + b"\n", digest


def parse_line(line: bytes) -> dict[str, Any] | None:
    """Return a record whose hash is right, else None."""
    body = line[:-HASH_LENGTH] + b"}"
    digest = hashlib.sha256(body).hexdigest()
    if line[-HASH_LENGTH:] != HASH_FIELD + digest.encode() + HASH_END:
        return None
    record: dict[str, Any] = json.loads(line)
    return record


def _checked(line: bytes, before: Head) -> Record | None:
    """Return the record that follows `before`, else None; its text is matched and not parsed, because it is long."""
    body = line[:-HASH_LENGTH] + b"}"
    digest = hashlib.sha256(body).hexdigest()
    found = BODY.fullmatch(body)
    if found is None or line[-HASH_LENGTH:] != HASH_FIELD + digest.encode() + HASH_END:
        return None
    sequence, sealed, kind, payload, prev = found.groups()
    if int(sequence) != before.sequence + 1 or prev.decode() != before.hash:
        return None
    return Record(kind.decode(), payload, Head(int(sequence), digest), int(sealed or 0))
