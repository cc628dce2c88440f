"""Store each pass's inputs and decisions for replays. Nothing depends on these records, and no pass waits for them.

Data that many passes share, such as orders and listings, is stored once per session under the digest of its content. A
record's checksum covers the pass's id and all of its content, so that damage can be attributed to a pass.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from msgspec import MsgspecError, Struct, msgpack

from tradebot.adapters.state.cache_database import (
    CacheConnection,
    CacheDatabase,
    DamagedError,
    UnfinishedError,
    started_over,
)
from tradebot.adapters.state.state_folder import PASSES
from tradebot.adapters.text.canonical import parse_time, time_text
from tradebot.errors import OperatorError, TradebotError
from tradebot.model.event import EventKind
from tradebot.model.sentences import pluralize
from tradebot.ports.stores import Events
from tradebot.replaying.record_reader import LONGEST
from tradebot.replaying.record_writer import MOST_REMEMBERED, PartCache, RecordError, StoredRecord, digest_of

QUICK = 1
"""The compression level: half the savings of the best one, in a tenth of its time."""
BUSY_MS = 200
"""The longest wait for another pass that is writing."""
CHANGED = "its record was changed after it was written"
TABLES = (
    """CREATE TABLE passes (id TEXT PRIMARY KEY, session TEXT NOT NULL, at TEXT NOT NULL, version TEXT NOT NULL,
        body BLOB NOT NULL, sum BLOB NOT NULL)""",
    "CREATE INDEX passes_by_session ON passes (session, at)",
    """CREATE TABLE parts (number INTEGER PRIMARY KEY, session TEXT NOT NULL, digest BLOB NOT NULL,
        body BLOB NOT NULL, UNIQUE (session, digest))""",
)
FILE = CacheDatabase("records of passes", 0x54425053, 1, TABLES)


class KeptPass(Struct, frozen=True):
    """A recorded pass: its id, time, and the version of the program that ran it."""

    id: str
    session: date
    at: datetime
    version: str


class KeptPasses:
    """The recorded passes of a state folder, for the last `sessions` sessions; with 0, nothing is recorded.

    The file is created with the first record. `remembered` has the shared parts that this process has written.
    """

    def __init__(self, folder: Path, events: Events, sessions: int) -> None:
        self._path = folder / PASSES
        self._events = events
        self._sessions = sessions
        self._database: CacheConnection | None = None
        self._session: date | None = None
        self._numbers: dict[bytes, int] = {}
        self._read_parts: dict[int, tuple[bytes, bytes]] = {}
        self._failing = False
        self.remembered = PartCache()

    @property
    def keeps(self) -> bool:
        """Return True if passes are recorded."""
        return self._sessions > 0

    def close(self) -> None:
        """Close the database file."""
        if self._database is not None:
            self._database.close()
            self._database = None
        self._session = None
        self._read_parts.clear()

    def keep(self, record: KeptPass, written: StoredRecord) -> None:
        """Save the record of a pass, replacing an earlier one; if that fails, emit an event."""
        try:
            self._keep_or_start_over(record, written)
            self._failing = False
        except (DamagedError, TradebotError, sqlite3.Error) as failed:
            self.close()
            self.not_kept(record.id, record.at, str(failed))

    def not_kept(self, name: str, at: datetime, why: str) -> None:
        """Emit an event saying that a pass couldn't be recorded, but not again until recording has succeeded."""
        if not self._failing:
            self._failing = True
            self._events.emit(EventKind.PASS_NOT_KEPT.at(at, {"pass": name, "message": why}))

    def passes(self, session: date | None = None) -> Sequence[KeptPass]:
        """Return a session's recorded passes, or all, oldest first; raise OperatorError if the file is damaged."""
        query = "SELECT id, session, at, version FROM passes WHERE ?1 IS NULL OR session = ?1 ORDER BY session, at, id"
        passes = self._read(query, (session and session.isoformat(),))
        return [KeptPass(name, date.fromisoformat(day), parse_time(at), version) for name, day, at, version in passes]

    def record(self, name: str) -> tuple[bytes, Sequence[bytes]] | None:
        """Return a pass's record and its parts, or None; raise RecordError if it was changed."""
        rows = list(self._read("SELECT session, at, version, body, sum FROM passes WHERE id = ?", (name,)))
        if not rows:
            return None
        session, at, version, packed, row = rows[0]
        try:
            body, numbers = msgpack.decode(decompress(packed), type=tuple[bytes, list[int]])
        except MsgspecError as error:
            raise RecordError(CHANGED) from error
        parts = self._parts(numbers)
        head = name, session, at, version
        if _sum(head, body, [digest for digest, _ in parts]) != row:
            raise RecordError(CHANGED)
        return body, [content for _, content in parts]

    def _parts(self, numbers: Sequence[int]) -> Sequence[tuple[bytes, bytes]]:
        """Return the digest and content of parts, each read once because many passes share them."""
        if len(self._read_parts) > MOST_REMEMBERED:
            self._read_parts.clear()
        new = [number for number in numbers if number not in self._read_parts]
        query = "SELECT number, body FROM parts WHERE number IN (SELECT value FROM json_each(?))"
        for number, packed in self._read(query, (json.dumps(new),)) if new else ():
            content = decompress(packed)
            self._read_parts[number] = digest_of(content), content
        if lacking := set(new) - self._read_parts.keys():
            raise RecordError(f"its record lacks {pluralize(len(lacking), 'part')}")
        return [self._read_parts[number] for number in numbers]

    def _keep_or_start_over(self, kept_pass: KeptPass, written: StoredRecord) -> None:
        try:
            self._keep(kept_pass, written)
        except DamagedError as error:
            self._start_over(str(error), kept_pass.at)
            self._keep(kept_pass, written)

    def _keep(self, record: KeptPass, written: StoredRecord) -> None:
        database = self._open_database(record.at)
        session, at, is_first = record.session.isoformat(), time_text(record.at), self._session != record.session
        with FILE.translate_errors(self._path), database.transaction():
            if is_first:
                self._prune(database, session)
                self._numbers.clear()
                self._read_parts.clear()
            numbers = self._numbers_of(database, session, written)
            packed = zlib.compress(msgpack.encode((written.body, numbers)), QUICK)
            total = _sum((record.id, session, at, record.version), written.body, written.parts)
            database.execute(
                "INSERT OR REPLACE INTO passes (id, session, at, version, body, sum) VALUES (?, ?, ?, ?, ?, ?)",
                (record.id, session, at, record.version, packed, total),
            )
        if is_first:
            # Parts are stored by session; sharing them across sessions isn't worth the memory.
            self.remembered.forget()
            database.execute("PRAGMA shrink_memory")
        self._session = record.session

    def _numbers_of(self, database: CacheConnection, session: str, written: StoredRecord) -> list[int]:
        """Return the numbers under which a record's parts are stored in a session; store the missing ones."""
        for digest in [part for part in written.parts if part not in self._numbers]:
            self._numbers[digest] = self._part_number(database, session, digest) or self._add(
                database, session, digest, written.contents
            )
        return [*map(self._numbers.__getitem__, written.parts)]

    def _part_number(self, database: CacheConnection, session: str, digest: bytes) -> int | None:
        query = "SELECT number FROM parts WHERE session = ? AND digest = ?"
        row = database.execute(query, (session, digest)).fetchone()
        return row[0] if row else None

    def _add(self, database: CacheConnection, session: str, digest: bytes, contents: Mapping[bytes, bytes]) -> int:
        number = database.execute(
            "INSERT INTO parts (session, digest, body) VALUES (?, ?, ?)",
            (session, digest, zlib.compress(contents[digest], QUICK)),
        ).lastrowid
        assert number is not None, "a row was added"
        return number

    def _prune(self, database: CacheConnection, session: str) -> None:
        """Delete sessions beyond the retention limit, counting the one about to be written."""
        query = "SELECT DISTINCT session FROM passes WHERE session < ? ORDER BY session DESC"
        earlier = database.execute(query, (session,)).fetchall()
        for (old,) in earlier[self._sessions - 1 :]:
            for table in ("passes", "parts"):
                database.execute(f"DELETE FROM {table} WHERE session = ?", (old,))  # noqa: S608 - our own names

    def _open_database(self, at: datetime) -> CacheConnection:
        if self._database is None:
            try:
                self._database = FILE.open(self._path)
            except DamagedError as error:
                self._start_over(str(error), at, look_again=True)
            assert self._database is not None, "opened or created"
            self._quick(self._database)
        return self._database

    def _quick(self, database: CacheConnection) -> CacheConnection:
        database.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        return database

    def _start_over(self, why: str, at: datetime, *, look_again: bool = False) -> None:
        self.close()
        self._database, moved_to = FILE.start_over(self._path, look_again=look_again)
        self._numbers.clear()
        self._read_parts.clear()
        if why != "missing":
            self._events.emit(started_over(EventKind.PASSES_BEGUN_ANEW, at, why, moved_to))

    def _read(self, query: str, values: Sequence[Any]) -> Iterator[Any]:
        """Yield rows; none if no pass was ever recorded."""
        if not self._path.exists():
            return
        try:
            if self._database is None:
                self._database = self._quick(FILE.open(self._path))
            with FILE.translate_errors(self._path):
                yield from self._database.execute(query, values)
        except UnfinishedError:
            return
        except DamagedError as error:
            raise OperatorError(
                f"The records of passes in {self._path} are damaged: {error}.",
                f"move them away, and the next pass starts a new file: mv {self._path} {self._path}.aside",
            ) from error


def decompress(packed: bytes) -> bytes:
    """Decompress a record; raise RecordError if it is damaged or too long."""
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(packed, LONGEST)
    except zlib.error as error:
        raise RecordError(CHANGED) from error
    if not unpacking.eof:
        raise RecordError(f"its record is cut off, or longer than {LONGEST:,} bytes")
    return content


def _sum(head: Sequence[str], body: bytes, parts: Sequence[bytes]) -> bytes:
    """Compute a record's checksum from its id, its body, and the digests of its parts."""
    return blake2b(msgpack.encode([list(head), body, list(parts)]), digest_size=16).digest()
