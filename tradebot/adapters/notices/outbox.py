"""Store notices, and whether they were sent, so that none is lost when a process ends.

A notice whose sending was interrupted is sent again, because it may not have arrived.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from tradebot.adapters.state.cache_database import CacheDatabase, CacheStore, DamagedError
from tradebot.adapters.state.events import EventCursor
from tradebot.adapters.state.state_folder import NOTICES
from tradebot.adapters.text.canonical import json_text, parse_time, time_text
from tradebot.adapters.text.codec import decode, encode
from tradebot.errors import OperatorError, TemporaryError
from tradebot.model.event import EventKind, Severity
from tradebot.model.notice import BotStatus, Notice, NoticeEvent
from tradebot.ports.stores import Events

KEPT = 1_000
"""The number of notices stored; the oldest are deleted."""
PLACE, SEEN = "place", "seen"


class Sending(StrEnum):
    """The delivery state of a notice: waiting, sent, or given up."""

    WAITING = "waiting"
    SENT = "sent"
    GIVEN_UP = "given up"


class StoredNotice(Struct, frozen=True):
    """A notice and its delivery; times are trading times, and `problem` says why the last attempt failed."""

    id: int
    channel: str
    made_at: datetime
    notice: Notice
    sending: Sending
    attempts: int
    next_at: datetime
    problem: str


TABLES = (
    "CREATE TABLE remembered (name TEXT PRIMARY KEY, text TEXT NOT NULL)",
    """CREATE TABLE happenings (
        id INTEGER PRIMARY KEY, channel TEXT NOT NULL, due_at TEXT NOT NULL, body TEXT NOT NULL
    )""",
    """CREATE TABLE notices (
        id INTEGER PRIMARY KEY, channel TEXT NOT NULL, made_at TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL,
        severity TEXT NOT NULL, sending TEXT NOT NULL, attempts INTEGER NOT NULL, next_at TEXT NOT NULL,
        problem TEXT NOT NULL
    )""",
    "CREATE INDEX notices_by_sending ON notices (sending, channel)",
)
COLUMNS = "id, channel, made_at, title, text, severity, sending, attempts, next_at, problem"


LONGEST_WAIT, DAY = timedelta(hours=1), timedelta(days=1)
"""The longest wait between two attempts, and the longest wait until the end of quiet hours."""


def _come(column: str) -> str:
    """Return the condition that a time has passed, or is implausibly far in the future."""
    return f"({column} <= ? OR {column} > ?)"


class Outbox(CacheStore):
    """The notices of a state folder. If the file is damaged, the outbox starts empty, as if there had been no check
    before.
    """

    FILE = CacheDatabase("notices", 0x54424E31, 1, TABLES)
    STARTED_OVER = EventKind.NOTICES_BEGUN_ANEW

    def __init__(self, folder: Path, events: Events, at: datetime) -> None:
        super().__init__(folder / NOTICES, events, at)

    def last_look(self) -> tuple[EventCursor, BotStatus] | None:
        """Return how far the last check had read the events, and the bot's status at that check; None before the first
        check.
        """
        with self._guard(ValueError):
            remembered = dict(self._database.execute("SELECT name, text FROM remembered"))
            if not {PLACE, SEEN} <= remembered.keys():
                return None
            return EventCursor(*json.loads(remembered[PLACE])), decode(BotStatus, json.loads(remembered[SEEN]))

    def note(
        self, cursor: EventCursor, status: BotStatus, happenings: Iterable[tuple[str, datetime, NoticeEvent]]
    ) -> None:
        """Save a check: how far it read the events, the bot's status, and the events to report on each channel when
        due.
        """
        rows = [(channel, time_text(due), json_text(encode(happening))) for channel, due, happening in happenings]
        with self._write():
            remembered = ((PLACE, json_text(list(cursor))), (SEEN, json_text(encode(status))))
            self._database.executemany("INSERT OR REPLACE INTO remembered (name, text) VALUES (?, ?)", remembered)
            self._database.executemany("INSERT INTO happenings (channel, due_at, body) VALUES (?, ?, ?)", rows)

    def due(self, channel: str, now: datetime) -> Sequence[tuple[int, datetime, NoticeEvent]]:
        """Return the events that are due to be reported on a channel, oldest first, each with its id and due time.

        An event that is due more than a day from now was stored while the clock was ahead, and counts as due.
        """
        with self._guard(ValueError):
            query = f"SELECT id, due_at, body FROM happenings WHERE channel = ? AND {_come('due_at')} ORDER BY id"  # noqa: S608
            rows = self._database.execute(query, (channel, time_text(now), time_text(now + DAY))).fetchall()
            return [(id_, parse_time(due), decode(NoticeEvent, json.loads(body))) for id_, due, body in rows]

    def make(self, channel: str, notice: Notice, of: Iterable[int], now: datetime) -> None:
        """Store a notice to send now, in place of the events that it reports."""
        row = (channel, time_text(now), notice.title, notice.text, notice.severity, Sending.WAITING, 0, time_text(now))
        with self._write():
            self._database.execute(
                f"INSERT INTO notices ({COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, '')",  # noqa: S608
                row,
            )
            self._database.executemany("DELETE FROM happenings WHERE id = ?", [(id_,) for id_ in of])
            newest = "SELECT id FROM notices ORDER BY id DESC LIMIT ?"
            old = f"DELETE FROM notices WHERE sending != ? AND id NOT IN ({newest})"  # noqa: S608 - no outside text
            self._database.execute(old, (Sending.WAITING, KEPT))

    def next_of(self, channel: str, now: datetime) -> StoredNotice | None:
        """Return the oldest notice of a channel that is due by now; None if there is none."""
        where = f"WHERE sending = ? AND channel = ? AND {_come('next_at')} ORDER BY id LIMIT 1"
        times = time_text(now), time_text(now + LONGEST_WAIT)
        return next(iter(self._read(where, Sending.WAITING, channel, *times)), None)

    def count_created(self, channel: str, since: datetime, now: datetime) -> int:
        """Return how many notices were created for a channel since a time, without CRITICAL ones.

        Notices dated after `now` aren't counted: the clock was ahead when they were created.
        """
        with self._guard():
            query = "SELECT count(*) FROM notices WHERE channel = ? AND made_at > ? AND made_at <= ? AND severity != ?"
            times = time_text(since), time_text(now)
            ((count,),) = self._database.execute(query, (channel, *times, Severity.CRITICAL))
            return int(count)

    def mark_sent(self, id_: int) -> None:
        """Record that a notice was sent."""
        with self._write():
            query = "UPDATE notices SET sending = ?, attempts = attempts + 1, problem = '' WHERE id = ?"
            self._database.execute(query, (Sending.SENT, id_))

    def mark_failed(self, id_: int, problem: str, again_in: timedelta | None, now: datetime) -> None:
        """Record that a notice couldn't be sent: it is retried after `again_in`, or never if that is None."""
        sending = Sending.GIVEN_UP if again_in is None else Sending.WAITING
        next_at = time_text(now + (again_in or timedelta(0)))
        with self._write():
            self._database.execute(
                "UPDATE notices SET sending = ?, attempts = attempts + 1, next_at = ?, problem = ? WHERE id = ?",
                (sending, next_at, problem, id_),
            )

    def last(self, count: int) -> Sequence[StoredNotice]:
        """Return the last notices, newest first."""
        return self._read("ORDER BY id DESC LIMIT ?", count)

    def _read(self, where: str, *values: object) -> Sequence[StoredNotice]:
        with self._guard(ValueError):
            return _query_notices(self._database, where, *values)

    def _damage_error(self) -> TemporaryError:
        return TemporaryError("The store of notices was damaged, so a new one was started.", "Try again soon.")


def unsent_notices(folder: Path) -> Sequence[StoredNotice]:
    """Return the notices that are unsent or were given up, oldest first, without creating or changing any file.

    Raise OperatorError if the file is damaged.
    """
    path = folder / NOTICES
    try:
        with closing(Outbox.FILE.open(path)) as database, Outbox.FILE.translate_errors(path):
            return _query_notices(database, "WHERE sending != ? ORDER BY id", Sending.SENT)
    except (DamagedError, ValueError) as error:
        raise OperatorError(
            f"The store of notices {path} is damaged: {error}.", "tradebot notify send   (starts a new store)"
        ) from error


def _query_notices(database: sqlite3.Connection, where: str, *values: object) -> Sequence[StoredNotice]:
    query = f"SELECT {COLUMNS} FROM notices {where}"  # noqa: S608 - no outside text
    return [_row(*row) for row in database.execute(query, values)]


def _row(
    id_: int, channel: str, at: str, title: str, text: str, severity: str, sending: str, attempts: int, *rest: str
) -> StoredNotice:
    notice, (next_at, problem) = Notice(title, text, Severity(severity)), rest
    return StoredNotice(id_, channel, parse_time(at), notice, Sending(sending), attempts, parse_time(next_at), problem)
