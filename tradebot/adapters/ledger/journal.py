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

from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.state.plain_files import NotPlainError, open_plain, opened_plain
from tradebot.adapters.state.state_folder import LEDGER, REBUILD, in_place, sync_folder
from tradebot.adapters.text.canonical import json_text, time_text
from tradebot.errors import DamagedBooksError, DamagedJournalError, OperatorError, TemporaryError

SCHEMA = 2
GENESIS = "0" * 64
LONGEST_LINE = 1 << 18
HASH_FIELD = b',"hash":"'
HASH_END = b'"}'
LINE = re.compile(
    rb'\{"schema":[12],"seq":(\d+),"at":"([^"]*)",(?:"sealed":(\d+),)?"kind":"(\w+)",'
    rb'"payload":(.*),"prev":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"\}',
    re.DOTALL,
)
HASH_LENGTH = len(HASH_FIELD) + 64 + len(HASH_END)


class Head(NamedTuple):
    """The last record of a chain."""

    sequence: int
    hash: str


BEFORE_ALL = Head(0, GENESIS)


class Record(NamedTuple):
    """One record whose own hash is right: its payload as the bytes of its JSON text, its place, and what came before.

    `sealed` is the record that the ledger had committed; the first version of the journal did not say.
    """

    kind: str
    payload: bytes
    head: Head
    sealed: int
    at: str
    prev: str


class Journal:
    """An open journal; OSError where a write fails, which leaves the file as it was."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = open_plain(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError as error:
            raise DamagedJournalError(f"The journal {path} is missing.", REBUILD) from error
        except NotPlainError as error:
            raise _no_journal(path, error) from error
        self._path = path
        self._size = -1
        self._synced = 0
        self._head = self._synced_head = self._sealed = BEFORE_ALL

    @classmethod
    def create(cls, path: Path, payload: object, at: datetime) -> "Journal":
        """Begin a journal with its first record, durably; FileExistsError where there is one."""
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        journal = cls(path)
        journal._size = 0
        journal.append("created", payload, at)
        journal.follow(journal.sync())
        sync_folder(path.parent)
        return journal

    @classmethod
    def open(cls, path: Path, sealed: Head) -> "Journal":
        """Open the journal of a ledger that was sealed with one of its records; raise where it is another's."""
        journal = cls(path)
        try:
            journal.follow(sealed)
            journal.head()
        except (OperatorError, OSError):
            journal.close()
            raise
        return journal

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def follow(self, sealed: Head) -> None:
        """Take over with which record the ledger is sealed, before anything is appended.

        Where that is neither the one it had nor the one that was made for it, the journal is read from there again:
        another process wrote, or another ledger was put in the place of ours.
        """
        if sealed not in (self._sealed, self._synced_head):
            self._size = -1
        self._sealed = sealed

    def append(self, kind: str, payload: object, at: datetime) -> None:
        """Write one record to the file, not yet synced; call under the ledger's write lock.

        A payload in bytes is the JSON text of one that was journalled before.
        DamagedJournalError or DamagedBooksError where the journal is no longer that of the ledger which it follows.
        """
        head = self.head()
        line, digest = _line(Head(head.sequence + 1, head.hash), self._sealed.sequence, kind, payload, at)
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
        self._synced, self._synced_head = self._size, self._head
        return self._head

    def head(self) -> Head:
        """Return the last record; where the size is another, the file is read again from the ledger's seal on.

        What is sealed once is believed ever after, so nothing is added to a journal that was cut short or exchanged.
        """
        size = self._size_in_place()
        if size != self._size:
            self._head, size = self._read_from_seal(size)
            self._size = self._synced = size
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

    def _read_from_seal(self, size: int) -> tuple[Head, int]:
        """Return the last whole record and the size up to it; what follows is set aside in a file of its own.

        A power failure leaves in pieces what was not synced. Raises where the record that the ledger is sealed with
        is not there, or where what stands here tells of a newer ledger.
        """
        tail = self._from_record(self._sealed.sequence, size)
        chain, whole = _whole_lines(tail)
        if tail and not chain:
            raise DamagedJournalError(f"Record {self._sealed.sequence} of {self._path} is damaged.", REBUILD)
        proven = max((record["sealed"] for record in _telling(tail.split(b"\n"))), default=0)
        require_of_one_another(self._path, self._sealed, chain[0] if chain else None, proven)
        return chain[-1], self._set_aside(tail[whole:], size) if tail[whole:] else size

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

    def _set_aside(self, pieces: bytes, size: int) -> int:
        """Keep what stands at the end in a file of its own, and cut it off; return the size without it."""
        names = (self._path.with_name(f"journal.torn-{number}") for number in count(1))
        aside = next(name for name in names if not os.path.lexists(name))
        with os.fdopen(open_plain(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
            file.write(pieces)
        with around("journal.cut_torn"):
            os.ftruncate(self._descriptor, size - len(pieces))
        return size - len(pieces)


def records(path: Path, sealed: int | None = None) -> Iterator[Record]:
    """Yield the records of the chain, each checked; an incomplete last line is no record.

    DamagedJournalError names the first record that does not fit. Behind record `sealed`, which the ledger knows to be
    durable, what does not fit is no record either, nor is what follows it: it was never synced.
    """
    head, lines = BEFORE_ALL, _complete_lines(path)
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
    return any(record["sealed"] > sealed for record in _telling(lines))


def require_of_one_another(path: Path, sealed: Head, found: Head | None, proven: int) -> None:
    """Raise where the ledger beside a journal was not sealed by it.

    `sealed` is what the ledger says, `found` the journal's record of that number, `proven` the newest seal that the
    journal tells of. DamagedJournalError where it is too short, DamagedBooksError where the ledger is older than what
    the journal proves to be committed, or comes from elsewhere.
    """
    ledger, number = path.with_name(LEDGER), sealed.sequence
    if found is None:
        raise DamagedJournalError(f"{path} ends before record {number}, which the ledger knows.", REBUILD)
    if found != sealed:
        raise DamagedBooksError(f"{ledger} and {path} are not of one another.", REBUILD)
    if proven > number:
        told = f"it stands at record {number}, and had committed {proven} by what the journal tells"
        raise DamagedBooksError(f"{ledger} is older than its journal: {told}.", REBUILD)


def _whole_lines(text: bytes) -> tuple[list[Head], int]:
    """Return the records of a text as far as each is whole and follows the one before, and where they end."""
    chain, end = list[Head](), 0
    for line in text.splitlines(keepends=True):
        record = parse_line(line.removesuffix(b"\n"))
        if not line.endswith(b"\n") or record is None or (chain and record["prev"] != chain[-1].hash):
            break
        chain.append(Head(record["seq"], record["hash"]))
        end += len(line)
    return chain, end


def _telling(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the whole lines that tell what the ledger had committed; the first version's did not."""
    return (record for record in map(parse_line, lines) if record and "sealed" in record)


def _complete_lines(path: Path) -> Iterator[bytes]:
    try:
        with opened_plain(path) as file:
            yield from (line[:-1] for line in file if line.endswith(b"\n"))
    except (FileNotFoundError, NotPlainError) as error:
        raise _no_journal(path, error) from error
    except OSError as error:
        raise cannot_read(path, error) from error


def _no_journal(path: Path, error: OSError) -> DamagedJournalError:
    return DamagedJournalError(f"The journal {path} cannot be read: {error.strerror}.", REBUILD)


def cannot_read(path: Path, error: OSError) -> TemporaryError:
    """Return what to tell of a journal that is there and cannot be read now: nothing is known of its records."""
    return TemporaryError(
        f"The journal {path} cannot be read: {error.strerror}.", f"type it again; if it stays so: ls -l {path}"
    )


def _line(place: Head, sealed: int, kind: str, payload: object, at: datetime) -> tuple[bytes, str]:
    record = {"schema": SCHEMA, "seq": place.sequence, "at": time_text(at), "sealed": sealed, "kind": kind}
    text = payload if isinstance(payload, bytes) else json_text(payload).encode()
    body = b'%s,"payload":%s,"prev":"%s"}' % (json_text(record).encode()[:-1], text, place.hash.encode())
    digest = hashlib.sha256(body).hexdigest()
    return body[:-1] + HASH_FIELD + digest.encode() + HASH_END + b"\n", digest


def parse_line(line: bytes) -> dict[str, Any] | None:
    """Return a record whose hash is right, else None."""
    if line[-HASH_LENGTH:] != HASH_FIELD + _digest(line).encode() + HASH_END:
        return None
    record: dict[str, Any] = json.loads(line)
    return record


def _digest(line: bytes) -> str:
    """Return the hash of a line: that of its text without it."""
    return hashlib.sha256(line[:-HASH_LENGTH] + b"}").hexdigest()


def read_line(line: bytes) -> Record | None:
    """Return a record whose hash is right, else None; its text is matched and not parsed, because it is long."""
    found = LINE.fullmatch(line)
    if found is None or found[7].decode() != (digest := _digest(line)):
        return None
    sequence, at, sealed, kind, payload, prev, _ = found.groups()
    return Record(kind.decode(), payload, Head(int(sequence), digest), int(sealed or 0), at.decode(), prev.decode())


def _checked(line: bytes, before: Head) -> Record | None:
    """Return the record that follows `before`, else None."""
    record = read_line(line)
    if record is None or (record.head.sequence, record.prev) != (before.sequence + 1, before.hash):
        return None
    return record
