"""What `serve` says about itself while it runs, for `status` and the health of the bot."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct, field


class Serving(Struct, frozen=True):
    """One note of a running `serve`. All times are this machine's clock, in UTC.

    `lanes` says when each lane last finished looking for work, and `at` when the note was written. `started_ticks` and
    `boot_id` tell the process from a later one with the same number; they are empty where the system doesn't have them.
    `troubles` says by subsystem what is wrong right now, such as a configuration that couldn't be reloaded. `ready_at`
    is None until books and broker have been compared once.
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
