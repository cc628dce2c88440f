"""Keep what people were asked before an entry is sent, and what they answered.

Damage costs what it holds: nothing counts as approved then, and what waits is asked again.
"""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tradebot.adapters.state.cache_database import CacheDatabase, CacheStore
from tradebot.adapters.state.state_folder import APPROVALS
from tradebot.adapters.text.canonical import json_text
from tradebot.adapters.text.codec import decode, encode
from tradebot.errors import OperatorError, TemporaryError
from tradebot.model.event import EventKind
from tradebot.model.trading import ApprovalAnswer, Request
from tradebot.model.values import replace
from tradebot.ports.stores import Events

KEPT = 1_000
"""How many requests are kept; the oldest are deleted."""
SHOW = "tradebot approvals shows what waits."
TABLES = (
    """CREATE TABLE requests (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, strategy TEXT NOT NULL, symbol TEXT NOT NULL,
        body TEXT NOT NULL
    )""",
    "CREATE INDEX requests_by_symbol ON requests (strategy, symbol)",
)


class SqliteApprovals(CacheStore):
    """The requests of a state folder and their answers."""

    FILE = CacheDatabase("approvals", 0x54424131, 1, TABLES)
    STARTED_OVER = EventKind.APPROVALS_BEGUN_ANEW

    def __init__(self, folder: Path, events: Events, at: datetime) -> None:
        super().__init__(folder / APPROVALS, events, at)

    def last(self, strategy: str, symbol: str) -> Request | None:
        """Return the last request about a strategy and symbol, or None."""
        found = self._read("WHERE strategy = ? AND symbol = ? ORDER BY id DESC LIMIT 1", strategy, symbol)
        return found[0] if found else None

    def newest(self, count: int = KEPT) -> Sequence[Request]:
        """Return the newest requests, newest first."""
        return self._read("ORDER BY id DESC LIMIT ?", count)

    def ask(self, request: Request) -> None:
        """Write a new request; no earlier one about its strategy and symbol can be answered any more."""
        row = (request.id, request.strategy, request.symbol, json_text(encode(request)))
        with self._write():
            self._database.execute("INSERT INTO requests (name, strategy, symbol, body) VALUES (?, ?, ?, ?)", row)
            newest = "SELECT id FROM requests ORDER BY id DESC LIMIT ?"
            self._database.execute(f"DELETE FROM requests WHERE id NOT IN ({newest})", (KEPT,))  # noqa: S608 - our own

    def answer(self, name: str, answer: ApprovalAnswer, who: str, now: datetime) -> tuple[Request, bool]:
        """Write what a person says to a request; return it, and whether that is news.

        Only what waits takes an answer, and only one. The same answer given again changes nothing. Raises OperatorError
        if there is nothing to answer.
        """
        with self._write():
            asked = next(iter(_rows(self._database, "WHERE name = ?", name)), None)
            if asked is None:
                raise OperatorError(f"Nobody asks about {name}.", SHOW)
            if asked.answer is not None:
                if asked.answer is answer:
                    return asked, False
                raise OperatorError(f"{asked.who} already said {asked.answer} to {name}.", SHOW)
            newest = _rows(self._database, "WHERE strategy = ? AND symbol = ? ORDER BY id DESC LIMIT 1",
                           asked.strategy, asked.symbol)  # fmt: skip
            if newest[0].id != name:
                raise OperatorError(f"{name} was asked again under another name since.", SHOW)
            if not asked.waits(now):
                raise OperatorError(f"{name} has expired: nobody answered in time.", SHOW)
            answered = replace(asked, answer=answer, answered_at=now, who=who)
            body = json_text(encode(answered))
            self._database.execute("UPDATE requests SET body = ? WHERE name = ?", (body, name))
        return answered, True

    def _read(self, where: str, *values: object) -> Sequence[Request]:
        with self._guard(ValueError):
            return _rows(self._database, where, *values)

    def _lost(self) -> TemporaryError:
        return TemporaryError("The store of approvals was damaged, and a new one was started.", "Try again soon.")


def _rows(database: sqlite3.Connection, where: str, *values: object) -> Sequence[Request]:
    found = database.execute(f"SELECT body FROM requests {where}", values)  # noqa: S608 - our own words
    return [decode(Request, json.loads(body)) for (body,) in found]
