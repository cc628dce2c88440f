"""Store the flow source's raw replies, compressed, so that a session can be scored again from the same data.

Trading doesn't need them: if a reply can't be stored, an event says so, and the pass continues.
"""

import json
import sqlite3
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec import Struct

from tradebot.adapters.flow.unusual_whales import read_rows
from tradebot.adapters.state.cache_database import CacheConnection, CacheDatabase, DamagedError, started_over
from tradebot.adapters.state.row_checksums import with_sums
from tradebot.adapters.state.state_folder import REPLIES
from tradebot.adapters.text.canonical import parse_time, time_text
from tradebot.adapters.wire.http import HttpReply
from tradebot.errors import OperatorError, TradebotError
from tradebot.model.event import EventKind
from tradebot.model.flow import FlowPage, Quota
from tradebot.ports.stores import Events
from tradebot.signals.kinds import kind_of

QUICK = 3
"""The compression level: a tenth of the size in a third of the default level's time."""
NO_SYMBOL = ""
NO_QUOTA = Quota(None, None, None)
TABLES = (
    "CREATE TABLE bodies (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, packed BLOB NOT NULL)",
    """CREATE TABLE replies (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, at TEXT NOT NULL, kind TEXT NOT NULL,
            symbol TEXT NOT NULL, status INTEGER NOT NULL, body INTEGER NOT NULL REFERENCES bodies
        )""",
    "CREATE INDEX replies_by_session ON replies (session, kind, at)",
    "CREATE INDEX replies_by_body ON replies (body)",
)
"""A body that was received several times, such as an empty one, is stored once."""
FILE = CacheDatabase("replies", 0x54425232, 1, with_sums(TABLES))


class KeptSession(Struct, frozen=True):
    """The replies stored for one session: how many, and when the first and the last arrived."""

    session: date
    replies: int
    first_at: datetime
    last_at: datetime


class KeptReply(Struct, frozen=True):
    """One raw reply, with its time of arrival (`at`); `page` parses its rows."""

    at: datetime
    kind: str
    symbol: str | None
    status: int
    body: bytes

    def page(self) -> FlowPage:
        """Return the reply as the source's client returned it; raise TemporaryError if it can't be read."""
        rows = read_rows(self.kind, HttpReply(self.status, {}, self.body), single=kind_of(self.kind).single)
        return FlowPage(self.kind, self.symbol, rows, NO_QUOTA)


class KeptReplies:
    """The stored replies of a state folder, for the last `sessions` sessions.

    The file is created with the first reply.
    """

    def __init__(self, folder: Path, events: Events, sessions: int) -> None:
        self._path = folder / REPLIES
        self._events = events
        self._sessions = sessions
        self._database: CacheConnection | None = None
        self._pruned: date | None = None
        self._failing = False

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def keep(self, page: FlowPage, session: date, at: datetime) -> None:
        """Store a reply about a session, which arrived at the time `at`.

        If that fails, emit an event, but not again until storing has succeeded. Rows that came from a stream are stored
        as if a reply had contained them.
        """
        if not self._sessions:
            return
        try:
            self._keep_or_start_over(page, session, at)
            self._failing = False
        except (DamagedError, TradebotError) as failed:
            self.close()
            if self._failing:
                return
            self._failing = True
            details = {"endpoint": page.endpoint, "message": str(failed)}
            self._events.emit(EventKind.REPLY_NOT_KEPT.at(at, details, page.symbol))

    def sessions(self) -> Sequence[KeptSession]:
        """Return the sessions with stored replies, oldest first; raise OperatorError if the file is damaged."""
        rows = self._read("SELECT session, count(*), min(at), max(at) FROM replies GROUP BY session ORDER BY session")
        return [
            KeptSession(date.fromisoformat(session), replies, parse_time(first), parse_time(last))
            for session, replies, first, last in rows
        ]

    def replies(self, kinds: Collection[str], sessions: tuple[date, date], until: datetime) -> Iterator[KeptReply]:
        """Yield stored replies in order of arrival: those of these kinds, about these sessions, that arrived by
        `until`.

        `sessions` has the first and the last date, both included. Raise OperatorError if the file is damaged.
        """
        names = json.dumps(sorted(kinds))
        rows = self._read(
            "SELECT at, kind, symbol, status, packed FROM replies JOIN bodies ON bodies.id = body"
            " WHERE kind IN (SELECT value FROM json_each(?)) AND session BETWEEN ? AND ? AND at <= ? ORDER BY sequence",
            (names, sessions[0].isoformat(), sessions[1].isoformat(), time_text(until)),
        )
        for at, kind, symbol, status, packed in rows:
            yield KeptReply(parse_time(at), kind, symbol or None, status, self._unpack(packed))

    def _keep_or_start_over(self, page: FlowPage, session: date, at: datetime) -> None:
        try:
            self._keep(page, session, at)
        except DamagedError as error:
            self._start_over(str(error), at)
            self._keep(page, session, at)

    def _keep(self, page: FlowPage, session: date, at: datetime) -> None:
        database = self._open_database(at)
        content = page.body or json.dumps({"data": page.rows}, default=float).encode()
        digest = sha256(content).digest()
        with FILE.translate_errors(self._path), database.transaction():
            if self._pruned != session:
                self._prune(database, session)
            row = database.execute("SELECT id FROM bodies WHERE digest = ?", (digest,)).fetchone()
            lost = _forget_damaged(database)
            body = row[0] if row else self._add_body(database, digest, content)
            database.execute(
                "INSERT INTO main.replies (session, at, kind, symbol, status, body) VALUES (?, ?, ?, ?, ?, ?)",
                (session.isoformat(), time_text(at), page.endpoint, page.symbol or NO_SYMBOL, page.status, body),
            )
        self._pruned = session
        self._tell(lost, at)

    def _add_body(self, database: sqlite3.Connection, digest: bytes, body: bytes) -> int | None:
        packed = zlib.compress(body, QUICK)
        return database.execute("INSERT INTO main.bodies (digest, packed) VALUES (?, ?)", (digest, packed)).lastrowid

    def _prune(self, database: sqlite3.Connection, session: date) -> None:
        """Delete sessions beyond the retention limit, counting the one about to be written."""
        earlier = database.execute(
            "SELECT DISTINCT session FROM replies WHERE session < ? ORDER BY session DESC", (session.isoformat(),)
        ).fetchall()
        for (old,) in earlier[self._sessions - 1 :]:
            database.execute("DELETE FROM main.replies WHERE session = ?", (old,))
        database.execute("DELETE FROM main.bodies WHERE id NOT IN (SELECT body FROM main.replies)")

    def _open_database(self, at: datetime) -> CacheConnection:
        if self._database is None:
            try:
                self._database = FILE.open(self._path)
            except DamagedError as error:
                self._start_over(str(error), at, look_again=True)
        assert self._database is not None, "opened or created"
        return self._database

    def _start_over(self, why: str, at: datetime, *, look_again: bool = False) -> None:
        self.close()
        self._database, moved_to = FILE.start_over(self._path, look_again=look_again)
        self._events.emit(started_over(EventKind.REPLIES_BEGUN_ANEW, at, why, moved_to))

    def _read(self, query: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """Yield rows; none if no reply was ever stored."""
        if not self._path.exists():
            return
        try:
            database = FILE.open(self._path)
            with closing(database), FILE.translate_errors(self._path):
                yield from database.execute(query, values)
                self._tell(database.bad_rows.count, datetime.now(UTC))
        except DamagedError as error:
            raise self._damage_error(error) from error

    def _tell(self, lost: int, at: datetime) -> None:
        if lost:
            self._events.emit(EventKind.REPLIES_ROWS_DAMAGED.at(at, {"rows": str(lost)}))

    def _unpack(self, packed: bytes) -> bytes:
        try:
            return zlib.decompress(packed)
        except zlib.error as error:
            raise self._damage_error(error) from error

    def _damage_error(self, error: Exception) -> OperatorError:
        return OperatorError(
            f"The stored replies {self._path} are damaged: {error}.",
            f"move them away, and the next fetch starts a new file: mv {self._path} {self._path}.aside",
        )


def _forget_damaged(database: CacheConnection) -> int:
    """Delete damaged rows, and the replies whose bodies are damaged; return how many rows were damaged."""
    if database.bad_rows.count:
        database.execute("DELETE FROM main.replies WHERE body NOT IN (SELECT id FROM bodies)")
    return database.bad_rows.delete()
