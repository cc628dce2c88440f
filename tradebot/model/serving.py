"""The status that `serve` writes while it runs, for `status` and health."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct, field

from tradebot.model.sentences import pluralize

MINUTE_S = 60


class Pause(Struct, frozen=True):
    """A pause of the process: when it began and ended, and how many seconds of it the machine slept."""

    began: datetime
    ended: datetime
    slept_s: float

    def __str__(self) -> str:
        seconds = (self.ended - self.began).total_seconds()
        what = "the machine slept" if self.slept_s > seconds / 2 else "this process was stopped"
        span = f"from {self.began:%Y-%m-%d %H:%M:%S} UTC to {self.ended:%Y-%m-%d %H:%M:%S} UTC"
        return f"{what} for {pluralize(round(seconds / MINUTE_S), 'minute')}, {span}: comparing books and broker first"


STOPPED = "stopped"
"""Why a chore ended that was stopped together with `serve`."""


class ChoreEnd(Struct, frozen=True):
    """The end of a chore's process: its exit code, why it was stopped (None if it wasn't), how many seconds it took,
    and its last output.
    """

    code: int
    why: str | None
    took_s: float
    output: str


ENDED = "ended"
"""The kind of problem in a note for a `serve` that ended itself, because a person has to act."""


class ServeNote(Struct, frozen=True):
    """One status note of a running `serve`. All times are this machine's clock, in UTC.

    `lanes` says when each lane last finished looking for work, and `at` when the note was written. `started_ticks` and
    `boot_id` distinguish the process from a later one with the same pid; they are empty if the system doesn't provide
    them. `troubles` describes current problems by subsystem, such as a configuration that couldn't be reloaded.
    `ready_at` is None until books and broker have been compared once. `settled_bytes` is the peak memory of the first
    week of trading time, None before its end.
    """

    pid: int
    since: datetime
    lanes: Mapping[str, datetime]
    at: datetime
    version: str
    started_ticks: int | None = None
    boot_id: str = ""
    ready_at: datetime | None = None
    troubles: Mapping[str, str] = field(default_factory=dict)
    memory_bytes: int | None = None
    descriptors: int | None = None
    settled_bytes: int | None = None
