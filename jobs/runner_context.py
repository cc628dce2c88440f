"""Define what a job runner depends on, and the log lines it writes."""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from tradebot.errors import ExitCode
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.ports.stores import Events
from tradebot.timetable.entries import EntryNeed
from tradebot.timetable.sessions import Slot


class LogKind(StrEnum):
    """The kind of a line that `serve` prints."""

    NOTE = "note"
    RAN = "ran"
    MISSED = "missed"
    FAILED = "failed"
    FAULT = "fault"


class Done(Struct, frozen=True):
    """The result of a command, as one sentence."""

    said: str
    exit_code: ExitCode


class LogLine(Struct, frozen=True):
    """One log entry, at trading time; `took_s` is in real seconds."""

    at: datetime
    kind: LogKind
    job: str | None
    slot: str | None
    said: str
    exit_code: ExitCode
    took_s: float | None = None


class CalendarKeeper(Protocol):
    """Keeps the stored calendar in step with the broker's."""

    def woke(self) -> None:
        """Record that nothing was checked for a while."""

    def is_due(self) -> bool:
        """Return True if the broker's calendar should be fetched now."""

    def ask(self) -> Done:
        """Fetch the broker's calendar, and return the result."""


class RunnerContext(Struct, frozen=True):
    """What a runner depends on: the command of each job, who runs it, and where records, events and log lines go.

    `stopwatch` returns real seconds since an arbitrary start. `chore` runs a chore for its slot. `unmet` names
    something that a slot still needs, other than the first comparison; it returns None if nothing is missing.
    `calendar` fetches the broker's calendar, in one of the lanes. While `spares` returns a reason, no chore starts.
    """

    verbs: Mapping[Job, Callable[[], Done]]
    by: str
    mode: str
    record: Callable[[CycleRecord], None]
    events: Events
    tell: Callable[[LogLine], None]
    stopwatch: Callable[[], float]
    chore: Callable[[Slot], Done] = lambda slot: Done("there are no chores here", ExitCode.DONE)
    unmet: Callable[[Slot], EntryNeed | None] = lambda slot: None
    calendar: CalendarKeeper | None = None
    spares: Callable[[], Reason | None] = lambda: None
