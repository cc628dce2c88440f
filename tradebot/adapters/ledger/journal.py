"""A second copy of the money records: hash-chained JSON lines, written before the ledger commits.

Each line is `{"schema","seq","at","sealed","kind","payload","prev","hash"}`. `hash` is the SHA-256 of the line without
`hash`, and `prev` is the hash of the line before. `sealed` is the number of the last record that the ledger had
committed when this line was written: a ledger that doesn't have it is an older copy. Appending needs the ledger's write
lock, so there is one writer at a time.

The journal may hold records that the ledger doesn't, because their commit failed. Such an intent was never sent, and a
rebuild looks it up at the venue like any unresolved intent. After a power failure the journal may lack the last records
that were appended without `sync`, or contain fragments of them. Only replies are written without `sync`, and the venue
can report those again. The next process to open the journal moves such fragments to another file.
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

from tradebot.adapters.failpoint import around
from tradebot.adapters.state.safe_open import NotRegularFileError, open_plain, opened_plain
from tradebot.adapters.state.state_folder import LEDGER, REBUILD, in_place, sync_folder
from tradebot.adapters.text.canonical import json_text, time_text
from tradebot.errors import DamagedBooksError, DamagedJournalError, OperatorError, TemporaryError

SCHEMA = 2
GENESIS = "0" * 64
LONGEST_LINE = 1 << 18
HASH_FIELD = b',"hash":"'
HASH_END = b'"}'
LINE = re.compile(
    rb'\{"schema":2,"seq":(\d+),"at":"([^"]*)","sealed":(\d+),"kind":"(\w+)",'
    rb'"payload":(.*),"prev":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"\}',
    re.DOTALL,
)
HASH_LENGTH = len(HASH_FIELD) + 64 + len(HASH_END)


class ChainHead(NamedTuple):
    """The number and hash of a chain's last record."""

    sequence: int
    hash: str


BEFORE_ALL = ChainHead(0, GENESIS)


class JournalRecord(NamedTuple):
    """One record with a correct hash: its payload as JSON bytes, its number, and the previous record's hash.

    `sealed` is the number of the last record that the ledger had committed when this one was written.
    """

    kind: str
    payload: bytes
    head: ChainHead
    sealed: int
    at: str
    prev: str


class Journal:
    """An open journal. If a write fails it raises OSError and the file stays unchanged."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = open_plain(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError as error:
            raise DamagedJournalError(f"The journal {path} is missing.", REBUILD) from error
        except NotRegularFileError as error:
            raise _no_journal(path, error) from error
        self._path = path
        self._size = -1
        self._synced = 0
        self._head = self._synced_head = self._sealed = BEFORE_ALL

    @classmethod
    def create(cls, path: Path, payload: object, at: datetime) -> "Journal":
        """Create a journal with its first record, durably; raise FileExistsError if there is one already."""
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        journal = cls(path)
        journal._size = 0
        journal.append("created", payload, at)
        journal.set_seal(journal.sync())
        sync_folder(path.parent)
        return journal

    @classmethod
    def open(cls, path: Path, sealed: ChainHead) -> "Journal":
        """Open the journal of a ledger whose last record is `sealed`; raise if it belongs to another ledger."""
        journal = cls(path)
        try:
            journal.set_seal(sealed)
            journal.head()
        except (OperatorError, OSError):
            journal.close()
            raise
        return journal

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def set_seal(self, sealed: ChainHead) -> None:
        """Set the last record that the ledger has committed; call this before appending.

        Usually `sealed` is the same record as before, or the record just synced. If it is another one, another process
        wrote or the ledger was replaced, so the journal is read again from that record on.
        """
        if sealed not in (self._sealed, self._synced_head):
            self._size = -1
        self._sealed = sealed

    def append(self, kind: str, payload: object, at: datetime) -> None:
        """Write one record to the file without syncing it; call under the ledger's write lock.

        A payload in bytes is JSON text from a journal. Raise DamagedJournalError or DamagedBooksError if the journal no
        longer belongs to its ledger.
        """
        head = self.head()
        line, digest = _line(ChainHead(head.sequence + 1, head.hash), self._sealed.sequence, kind, payload, at)
        if len(line) > LONGEST_LINE:
            raise AssertionError(f"a journal record of {len(line)} bytes")
        self._write(line)
        self._head, self._size = ChainHead(head.sequence + 1, digest), self._size + len(line)

    def sync(self) -> ChainHead:
        """Make everything appended durable; return the last record.

        If the sync fails, everything appended is removed: the system may have dropped those pages, and a later sync
        would succeed without them.
        """
        try:
            with around("journal.sync"):
                os.fsync(self._descriptor)
        except OSError:
            self._cut_back(self._synced)
            raise
        self._synced, self._synced_head = self._size, self._head
        return self._head

    def head(self) -> ChainHead:
        """Return the last record; if the file's size has changed, read it again from the sealed record on.

        Otherwise a record could be appended to a truncated or replaced journal. The ledger would then be sealed with
        that record, and later checks would trust it.
        """
        size = self._size_in_place()
        if size != self._size:
            self._head, size = self._read_from_seal(size)
            self._size = self._synced = size
        return self._head

    def _size_in_place(self) -> int:
        """Return the size of the open file; raise DamagedJournalError if the file was replaced or deleted."""
        stat_result = os.fstat(self._descriptor)
        if not in_place(self._path, stat_result):
            raise DamagedJournalError(f"{self._path} was removed or replaced while it was open.", REBUILD)
        return stat_result.st_size

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

    def _read_from_seal(self, size: int) -> tuple[ChainHead, int]:
        """Return the last complete record and the size up to it; move what follows to a separate file.

        A power failure can leave fragments of lines that were not synced. Raises if the record that the ledger is
        sealed with is missing, or if the journal belongs to a newer ledger.
        """
        tail = self._from_record(self._sealed.sequence, size)
        chain, whole = _whole_lines(tail)
        if tail and not chain:
            raise DamagedJournalError(f"Record {self._sealed.sequence} of {self._path} is damaged.", REBUILD)
        proven = max((record["sealed"] for record in _intact(tail.split(b"\n"))), default=0)
        require_matching(self._path, self._sealed, chain[0] if chain else None, proven)
        return chain[-1], self._set_aside(tail[whole:], size) if tail[whole:] else size

    def _from_record(self, sequence: int, size: int) -> bytes:
        """Return the journal from one record's line on; empty if the record isn't found."""
        reach, mark = 2 * LONGEST_LINE, b'"seq":%d,"at"' % sequence
        while True:
            start = max(0, size - reach)
            tail = os.pread(self._descriptor, size - start, start)
            before, head, _ = tail.rpartition(mark)
            if head and (b"\n" in before or reach >= size):
                return tail[before.rfind(b"\n") + 1 :]
            if reach >= size:
                return b""
            reach *= 2

    def _set_aside(self, pieces: bytes, size: int) -> int:
        """Move the fragments at the end to a separate file; return the journal's size without them."""
        names = (self._path.with_name(f"journal.torn-{number}") for number in count(1))
        aside = next(name for name in names if not os.path.lexists(name))
        with os.fdopen(open_plain(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
            file.write(pieces)
        with around("journal.cut_torn"):
            os.ftruncate(self._descriptor, size - len(pieces))
        return size - len(pieces)


def records(path: Path, sealed: int | None = None) -> Iterator[JournalRecord]:
    """Yield the chain's records, checking each; an incomplete last line is skipped.

    Raise DamagedJournalError for the first record that doesn't match. If `sealed` is given, a mismatch after that
    record only ends the iteration, because later records were never synced.
    """
    head, lines = BEFORE_ALL, _complete_lines(path)
    for line in lines:
        record = _check_line(line, head)
        if record is None:
            if sealed and head.sequence >= sealed and not shows_later_seal([line, *lines], sealed):
                break
            raise DamagedJournalError(f"The hash chain of {path} is broken at record {head.sequence + 1}.", REBUILD)
        head = record.head
        yield record
    if not head.sequence:
        raise DamagedJournalError(f"The journal {path} is empty.", REBUILD)


def shows_later_seal(lines: Iterable[bytes], sealed: int) -> bool:
    """Return True if a complete line says that the ledger had committed more than `sealed` when it was written."""
    return any(record["sealed"] > sealed for record in _intact(lines))


def require_matching(path: Path, sealed: ChainHead, head: ChainHead | None, proven: int) -> None:
    """Raise an error unless a journal and the ledger next to it belong together.

    `sealed` is the record that the ledger is sealed with, `head` the journal's record of that number, and `proven` the
    newest sealed record that the journal mentions. Raises DamagedJournalError if the journal is too short, and
    DamagedBooksError if the ledger is older than the journal shows, or belongs to another journal.
    """
    ledger, number = path.with_name(LEDGER), sealed.sequence
    if head is None:
        raise DamagedJournalError(f"{path} ends before record {number}, which the ledger has.", REBUILD)
    if head != sealed:
        raise DamagedBooksError(f"{ledger} and {path} don't belong together.", REBUILD)
    if proven > number:
        gap = f"it ends at record {number}, but the journal shows that it had reached {proven}"
        raise DamagedBooksError(f"{ledger} is older than its journal: {gap}.", REBUILD)


def _whole_lines(text: bytes) -> tuple[list[ChainHead], int]:
    """Return the records at the start of a text that are intact and in sequence, and the offset of their end."""
    chain, end = list[ChainHead](), 0
    for line in text.splitlines(keepends=True):
        record = parse_line(line.removesuffix(b"\n"))
        if not line.endswith(b"\n") or record is None or (chain and record["prev"] != chain[-1].hash):
            break
        chain.append(ChainHead(record["seq"], record["hash"]))
        end += len(line)
    return chain, end


def _intact(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    return filter(None, map(parse_line, lines))


def _complete_lines(path: Path) -> Iterator[bytes]:
    try:
        with opened_plain(path) as file:
            yield from (line[:-1] for line in file if line.endswith(b"\n"))
    except (FileNotFoundError, NotRegularFileError) as error:
        raise _no_journal(path, error) from error
    except OSError as error:
        raise cannot_read(path, error) from error


def _no_journal(path: Path, error: OSError) -> DamagedJournalError:
    return DamagedJournalError(f"The journal {path} can't be read: {error.strerror}.", REBUILD)


def cannot_read(path: Path, error: OSError) -> TemporaryError:
    """Return the error for an existing journal that can't be read right now."""
    return TemporaryError(
        f"The journal {path} can't be read: {error.strerror}.",
        f"run the command again; if it fails again: ls -l {path}",
    )


def _line(head: ChainHead, sealed: int, kind: str, payload: object, at: datetime) -> tuple[bytes, str]:
    record = {"schema": SCHEMA, "seq": head.sequence, "at": time_text(at), "sealed": sealed, "kind": kind}
    text = payload if isinstance(payload, bytes) else json_text(payload).encode()
    body = b'%s,"payload":%s,"prev":"%s"}' % (json_text(record).encode()[:-1], text, head.hash.encode())
    digest = hashlib.sha256(body).hexdigest()
    return body[:-1] + HASH_FIELD + digest.encode() + HASH_END + b"\n", digest


def parse_line(line: bytes) -> dict[str, Any] | None:
    """Return a line's record if its hash is right, otherwise None."""
    if line[-HASH_LENGTH:] != HASH_FIELD + _digest(line).encode() + HASH_END:
        return None
    record: dict[str, Any] = json.loads(line)
    return record


def _digest(line: bytes) -> str:
    """Compute the hash of a line from its text without `hash`."""
    return hashlib.sha256(line[:-HASH_LENGTH] + b"}").hexdigest()


def read_line(line: bytes) -> JournalRecord | None:
    """Return a line's record if its hash is right, otherwise None, without parsing the whole line, which is slow."""
    match = LINE.fullmatch(line)
    if match is None or match[7].decode() != (digest := _digest(line)):
        return None
    sequence, at, sealed, kind, payload, prev, _ = match.groups()
    return JournalRecord(
        kind.decode(), payload, ChainHead(int(sequence), digest), int(sealed), at.decode(), prev.decode()
    )


def _check_line(line: bytes, before: ChainHead) -> JournalRecord | None:
    """Return a line's record if its hash is right and it follows `before`, else None."""
    record = read_line(line)
    if record is None or (record.head.sequence, record.prev) != (before.sequence + 1, before.hash):
        return None
    return record
