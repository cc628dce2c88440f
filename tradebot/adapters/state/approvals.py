"""Store requests for approval of entries, and the answers.

If the file is damaged, nothing counts as approved, and pending requests are made again. This module also stores
reconcile plans, each in a file: one run proposes a plan, and the user accepts it in another run.
"""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tradebot.adapters.failpoint import around
from tradebot.adapters.state.cache_database import CacheDatabase, CacheStore
from tradebot.adapters.state.state_folder import APPROVALS, StateFolder, cannot_write, write_durably
from tradebot.adapters.text.canonical import CodecError, json_text
from tradebot.adapters.text.codec import decode, encode
from tradebot.errors import OperatorError, TemporaryError
from tradebot.model.event import EventKind
from tradebot.model.finding import AdjustmentPlan
from tradebot.model.struct_tools import replace
from tradebot.model.trading import ApprovalAnswer, Request
from tradebot.ports.stores import Events

KEPT = 1_000

"""The number of requests stored; the oldest are deleted."""

SHOW = "tradebot approvals shows what is waiting."

TABLES = (
    """CREATE TABLE requests (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, strategy TEXT NOT NULL, symbol TEXT NOT NULL,
        body TEXT NOT NULL
    )""",
    "CREATE INDEX requests_by_symbol ON requests (strategy, symbol)",
)


class SqliteApprovals(CacheStore):
    """The approval requests of a state folder, and the answers."""

    FILE = CacheDatabase("approvals", 0x54424131, 1, TABLES)
    STARTED_OVER = EventKind.APPROVALS_BEGUN_ANEW

    def __init__(self, folder: Path, events: Events, at: datetime) -> None:
        super().__init__(folder / APPROVALS, events, at)

    def last(self, strategy: str, symbol: str) -> Request | None:
        """Return the last request for a strategy and symbol, or None."""
        requests = self._read("WHERE strategy = ? AND symbol = ? ORDER BY id DESC LIMIT 1", strategy, symbol)
        return requests[0] if requests else None

    def newest(self, count: int = KEPT) -> Sequence[Request]:
        """Return the newest requests, newest first."""
        return self._read("ORDER BY id DESC LIMIT ?", count)

    def ask(self, request: Request) -> None:
        """Store a new request; earlier requests for the same strategy and symbol can't be answered anymore."""
        row = (request.id, request.strategy, request.symbol, json_text(encode(request)))
        with self._write():
            self._database.execute("INSERT INTO requests (name, strategy, symbol, body) VALUES (?, ?, ?, ?)", row)
            newest = "SELECT id FROM requests ORDER BY id DESC LIMIT ?"
            self._database.execute(f"DELETE FROM requests WHERE id NOT IN ({newest})", (KEPT,))  # noqa: S608 - our own

    def answer(self, name: str, answer: ApprovalAnswer, who: str, now: datetime) -> tuple[Request, bool]:
        """Record a person's answer to a request; return the request, and whether the answer is new.

        Only a pending request can be answered, and only once. Repeating the same answer changes nothing. Raise
        OperatorError if the request can't be answered.
        """
        with self._write():
            request = next(iter(_rows(self._database, "WHERE name = ?", name)), None)
            if request is None:
                raise OperatorError(f"There is no request {name}.", SHOW)
            if request.answer is not None:
                if request.answer is answer:
                    return request, False
                raise OperatorError(f"{request.who} already said {request.answer} to {name}.", SHOW)
            newest = _rows(self._database, "WHERE strategy = ? AND symbol = ? ORDER BY id DESC LIMIT 1",
                           request.strategy, request.symbol)  # fmt: skip
            if newest[0].id != name:
                raise OperatorError(f"{name} has since been requested again under another name.", SHOW)
            if not request.waits(now):
                raise OperatorError(f"{name} has expired: nobody answered in time.", SHOW)
            answered = replace(request, answer=answer, answered_at=now, who=who)
            body = json_text(encode(answered))
            self._database.execute("UPDATE requests SET body = ? WHERE name = ?", (body, name))
        return answered, True

    def _read(self, where: str, *values: object) -> Sequence[Request]:
        with self._guard(ValueError):
            return _rows(self._database, where, *values)

    def _damage_error(self) -> TemporaryError:
        return TemporaryError("The store of approvals was damaged, so a new one was started.", "Try again soon.")


def _rows(database: sqlite3.Connection, where: str, *values: object) -> Sequence[Request]:
    cursor = database.execute(f"SELECT body FROM requests {where}", values)  # noqa: S608 - our own words
    return [decode(Request, json.loads(body)) for (body,) in cursor]


SCHEMA = "tradebot.plan/2"

NEXT_STEP = "tradebot reconcile   (proposes a plan and names it)"

MAX_CHARACTERS = 1 << 20


def write(folder: StateFolder, plan: AdjustmentPlan, max_count: int) -> Path:
    """Write a reconcile plan durably, delete all but the newest `max_count` plans, and return its path; raise
    OperatorError if that fails.
    """
    content = {"schema": SCHEMA, "account": folder.account_number, "plan": encode(plan)}
    path = folder.plans / f"{plan.id}.json"
    try:
        folder.plans.mkdir(mode=0o700, exist_ok=True)
        write_durably(path, json.dumps(content, indent=2) + "\n")
        _forget_old(folder.plans, max_count)
    except OSError as error:
        raise cannot_write(folder.plans, error) from error
    return path


def _forget_old(folder: Path, max_count: int) -> None:
    paths = sorted(folder.glob("plan-*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for old in paths[max_count:]:
        with around("approvals.forget_old"):
            old.unlink(missing_ok=True)


def read(folder: StateFolder, name: str) -> AdjustmentPlan:
    """Return a reconcile plan by its id or file; raise OperatorError if it is missing, damaged, or for another
    account.
    """
    path = Path(name) if "/" in name or name.endswith(".json") else folder.plans / f"{name}.json"
    content = _content(path)
    if content.get("account") != folder.account_number:
        raise OperatorError(f"{path} was made for an account other than …{folder.tail}", NEXT_STEP)
    try:
        return decode(AdjustmentPlan, content.get("plan"))
    except CodecError as error:
        raise OperatorError(f"{path} is damaged: {error}", NEXT_STEP) from error


def _content(path: Path) -> dict[str, object]:
    try:
        with path.open(encoding="utf-8") as file:
            content = json.loads(file.read(MAX_CHARACTERS))
    except FileNotFoundError as error:
        raise OperatorError(f"there is no plan {path}", NEXT_STEP) from error
    except OSError as error:
        raise OperatorError(f"{path} can't be read: {error.strerror}", NEXT_STEP) from error
    except ValueError as error:
        raise OperatorError(f"{path} can't be read as a plan: it is not JSON", NEXT_STEP) from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise OperatorError(f"{path} is not a plan of this version", NEXT_STEP)
    return content
