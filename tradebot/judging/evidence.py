"""The evidence that the bot is judged by, gathered from records: nothing in it was written to say that all is well.

A part is None if there was nothing to look at, and `Unread` if it couldn't be looked at. Times of passes are trading
time; `Evidence.at`, `Serve` and `Backups.newest_at` are this machine's time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from tradebot.model.record import Gap, Job
from tradebot.model.serving import Serving
from tradebot.model.trading import TradingStateRecord


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a part couldn't be looked at, and what to do about it."""

    why: str
    next: str


@dataclass(frozen=True, slots=True)
class Serve:
    """Whether `serve` holds its lock, its last note, how many slots were claimed of late, and who claimed the last.

    `was_last` is True if a `serve` did.
    """

    running: bool
    note: Serving | None
    claims: int
    last_by: str
    was_last: bool


@dataclass(frozen=True, slots=True)
class Config:
    """How many settings there are, and why the configuration can't be read, so that the accepted settings count.

    `without_sector` are symbols that aren't bought, because they have no sector.
    """

    settings: int
    unread: str = ""
    without_sector: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passes:
    """The passes of a job: how many finished, and the last one. `slots` were due in the last session of any.

    `gaps` are those that the last pass of exits left in the protection at the broker.
    """

    finished: int
    finished_at: datetime | None
    slots: int
    claimed: int
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Broker:
    """How many passes read the account and when the last did; and the last time it didn't answer, and why."""

    answers: int
    answered_at: datetime
    failed_at: datetime | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Prices:
    """How many passes read prices and when the last did, and which positions it had no price for."""

    passes: int
    at: datetime
    positions: int
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Clocks:
    """How many passes compared the broker's clock with another, when the last did, and what was wrong with it."""

    passes: int
    at: datetime
    apart: str = ""


@dataclass(frozen=True, slots=True)
class Orders:
    """How many records of the books were looked through, and the orders whose outcome is unknown."""

    records: int
    unresolved: int
    oldest_at: datetime | None
    oldest: str = ""


@dataclass(frozen=True, slots=True)
class Ledger:
    """A ledger that is as it was written: its pages, and the last record of the journal that it knows."""

    pages: int
    sealed: int


@dataclass(frozen=True, slots=True)
class Facts:
    """How many passes are recorded of late, and the last of them."""

    passes: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Calendar:
    """The stored sessions from today on, the last that the broker has too, and how its calendar differs today."""

    sessions: int
    until: date
    differs: str = ""


@dataclass(frozen=True, slots=True)
class Disk:
    """What is left on the disk of the state folder, how much of that is needed to go on, and its file system.

    `unfit` says why that kind of file system isn't fit for a bot's folder, and `fatal` whether the bot can't use it.
    """

    free_bytes: int
    total_bytes: int
    needed_bytes: int
    free_inodes: int | None
    kind: str = ""
    unfit: str = ""
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """What is stored of one kind that only a person deletes, its size, and how to make it smaller."""

    name: str
    bytes: int
    shrink: str


@dataclass(frozen=True, slots=True)
class Storage:
    """What only a person deletes, the largest first, and how large all of it may be before that is told."""

    stores: tuple[Kept, ...]
    tell_bytes: int


@dataclass(frozen=True, slots=True)
class Strategies:
    """The strategies in use, when they were last asked, and those whose answer was refused."""

    names: tuple[str, ...]
    asked_at: datetime | None
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Backups:
    """How many backups there are, and the last one; `due` is the session that should have one by now.

    `failed` says why that one's last try failed, and when it is tried again; empty if none has failed.
    `damaged` says which of them have changed since they were made, and `coming` is when the next session ends.
    """

    kept: int
    newest: date | None
    newest_at: datetime | None
    due: date | None
    due_since: datetime | None
    failed: str = ""
    damaged: tuple[str, ...] = ()
    coming: datetime | None = None


@dataclass(frozen=True, slots=True)
class Missed:
    """A slot that nobody ran in time, and why."""

    job: str
    slot: str
    why: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """The slots that were due in the last session, those that nobody ran, and when the next one begins."""

    slots: int
    missed: tuple[Missed, ...] = ()
    coming: datetime | None = None


@dataclass(frozen=True, slots=True)
class ChoreRun:
    """The last run of a chore: when it began, whether it did its work, and how it ended."""

    chore: str
    at: datetime
    well: bool
    outcome: str


@dataclass(frozen=True, slots=True)
class Chores:
    """How many chores the timetable has, whether any was due yet, and the last run of each that was ever run.

    `coming` is when the next one is due.
    """

    lines: int
    due: bool
    runs: tuple[ChoreRun, ...]
    coming: datetime | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """When the stream was last seen connected or lost, and whether it is lost."""

    at: datetime
    lost: str = ""


@dataclass(frozen=True, slots=True)
class Halts:
    """The trading state in force and why, and why the bot would be halted even without it."""

    state: TradingStateRecord
    why: str
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signals:
    """How many replies of the flow source were checked, the last time, and what has changed in too many rows."""

    replies: int
    at: datetime
    broken: str = ""


@dataclass(frozen=True, slots=True)
class Budgets:
    """How late each part may be, in seconds; `skew_s` is how far two clocks may be apart."""

    slot_s: Mapping[Job, int]
    note_s: int
    lane_s: int
    backup_s: int
    calendar_days: int
    skew_s: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was looked at, by subject; `now` is trading time, None if nothing was ever recorded.

    `due` has, by job, the starts of the slots that were due so far, in this session and the one before; `coming` the
    start of each job's next slot.
    """

    at: datetime
    now: datetime | None
    budgets: Budgets
    parts: Mapping[str, Any]
    due: Mapping[Job, tuple[datetime, ...]] = field(default_factory=dict)
    coming: Mapping[Job, datetime] = field(default_factory=dict)
