"""Read a journal, even a damaged one, line by line: where its chain breaks, and which records are still intact.

Journals grow for years, so only one line at a time is in memory.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from msgspec import Struct, field

from tradebot.adapters.failpoint import around
from tradebot.adapters.ledger import journal
from tradebot.adapters.ledger.journal import ChainHead, JournalRecord
from tradebot.adapters.state.safe_open import opened_plain, written_plain
from tradebot.adapters.state.state_folder import REBUILD
from tradebot.errors import DamagedJournalError

READ_BYTES = 1 << 20
REBUILT = b'"kind":"rebuilt"'
HASH = len(journal.GENESIS) + len(journal.HASH_END)


class JournalLine(NamedTuple):
    """One complete line: its number from 1, its byte offset, and its record if its hash is right.

    `problem` says why the chain breaks at this line; `hash` is the hash in the line, right or wrong.
    """

    number: int
    offset: int
    bytes: int
    record: JournalRecord | None
    problem: str | None
    hash: str


class Break(NamedTuple):
    """A line at which the chain breaks: its number from 1, its byte offset, and the error."""

    number: int
    offset: int
    problem: str


class JournalContent(Struct):
    """The content of a journal: how many complete lines it has, and the bytes of an incomplete last line.

    `last` is the intact record with the highest number. An incomplete end is left by a crash and isn't damage.
    `found_hashes` has those of the `wanted` hashes that some line contains, even if the hash isn't right for that line.
    The chain is intact from the first line up to the record `sound`, which ends at byte `sound_bytes`.
    """

    path: Path
    wanted: frozenset[str] = frozenset()
    found_hashes: set[str] = field(default_factory=set)
    lines: int = 0
    torn: int = 0
    last: JournalRecord | None = None
    sound: ChainHead = journal.BEFORE_ALL
    sound_bytes: int = 0
    breaks: list[Break] = field(default_factory=list)
    _places: dict[int, int] = field(default_factory=dict)

    @property
    def whole(self) -> int:
        """Return how many records have a correct hash, counting each record number once."""
        return len(self._places)

    def add(self, line: JournalLine) -> None:
        """Count the journal's next line, and note its record, a wanted hash, or a break of the chain."""
        self.lines += 1
        if line.hash in self.wanted:
            self.found_hashes.add(line.hash)
        if line.problem:
            self.breaks.append(Break(line.number, line.offset, line.problem))
        if line.record:
            sequence = line.record.head.sequence
            self._places[sequence] = line.offset
            if self.last is None or sequence >= self.last.head.sequence:
                self.last = line.record
            if not self.breaks:
                self.sound, self.sound_bytes = line.record.head, line.offset + line.bytes

    @property
    def sound_alone(self) -> bool:
        """Return True if the whole file is intact."""
        return not self.breaks and not self.torn

    def copy_sound(self, target: Path) -> None:
        """Write the intact part of the journal to a new file."""
        with opened_plain(self.path) as source, written_plain(target) as copy:
            remaining = self.sound_bytes
            while block := source.read(min(remaining, READ_BYTES)):
                remaining -= copy.write(block)

    def move(self, target: Path) -> None:
        """Rename the file; later reads use its new path."""
        with around("journal_reader.move"):
            self.path.rename(target)
        self.path = target

    def records(self, beyond: int = 0, *, after: int = 0) -> Iterator[JournalRecord]:
        """Yield the records with a correct hash in the order of their numbers, each number once.

        Leave out records that begin before byte `beyond`, and records up to number `after`.
        """
        wanted = sorted(n for n, offset in self._places.items() if n > after and offset >= beyond)
        if not wanted:
            return
        with opened_plain(self.path, READ_BYTES) as file:
            for sequence in wanted:
                offset = self._places[sequence]
                if file.tell() != offset:
                    file.seek(offset)
                record = journal.read_line(file.readline().removesuffix(b"\n"))
                if record is None:
                    raise DamagedJournalError(f"{self.path} changed while it was read.", REBUILD)
                yield record


def read(
    path: Path,
    end: int | None = None,
    wanted: frozenset[str] = frozenset(),
    each: Callable[[JournalRecord], object] = lambda record: None,
) -> JournalContent:
    """Read a journal, or its first `end` bytes, and look for the `wanted` hashes on its lines.

    Call `each` with every intact record. Lines that another process appends meanwhile are left out. Raise
    DamagedJournalError only if the file is missing or can't be read.
    """
    try:
        with opened_plain(path) as file:
            size = os.fstat(file.fileno()).st_size if end is None else end
            return _read(JournalContent(path, wanted), file, size, each)
    except OSError as error:
        raise DamagedJournalError(f"The journal {path} can't be read: {error.strerror}.", REBUILD) from error


def _read(length: JournalContent, file: BinaryIO, size: int, each: Callable[[JournalRecord], object]) -> JournalContent:
    due, before, offset = 1, journal.GENESIS, 0
    for text in file:
        if offset + len(text) > size or not text.endswith(b"\n"):
            break
        record = journal.read_line(text[:-1])
        length.add(
            JournalLine(length.lines + 1, offset, len(text), record, _problem(record, due, before), _hash_of(text[:-1]))
        )
        # A damaged line has no known hash, so only the next line's number can be checked.
        due, before = (record.head.sequence + 1, record.head.hash) if record else (due + 1, "")
        if record:
            each(record)
        offset += len(text)
    length.torn = size - offset
    return length


def rebuilds(path: Path) -> Iterator[JournalRecord]:
    """Yield the records of rebuilds without parsing other records; yield nothing if the file can't be read."""
    with suppress(OSError), opened_plain(path, READ_BYTES) as file:
        for text in file:
            record = journal.read_line(text.removesuffix(b"\n")) if REBUILT in text else None
            if record:
                yield record


def last_hash(path: Path) -> str | None:
    """Return the hash in the last complete line, without reading other lines; None if there is no line."""
    line = _last_line(path)
    return _hash_of(line) if line else None


def last_record(path: Path) -> JournalRecord | None:
    """Return the record in the last complete line, without reading other lines; None if it is damaged or missing."""
    line = _last_line(path)
    return journal.read_line(line) if line else None


def _last_line(path: Path) -> bytes:
    try:
        with opened_plain(path) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 2 * journal.LONGEST_LINE))
            return file.read().rpartition(b"\n")[0].rpartition(b"\n")[2]
    except OSError:
        return b""


def _hash_of(text: bytes) -> str:
    return text[-HASH : -len(journal.HASH_END)].decode(errors="replace")


def _problem(record: JournalRecord | None, due: int, before: str) -> str | None:
    if record is None:
        return "its text doesn't match its hash"
    if record.head.sequence != due:
        return f"it is record {record.head.sequence}, but {due} was expected"
    if before and record.prev != before:
        return "its previous hash doesn't match the line before it"
    return None
