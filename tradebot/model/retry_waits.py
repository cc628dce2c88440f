"""How long to wait before what failed is tried again: one rule, twice as long after each failure.

Only a read waits and asks again by itself, which tenacity does (`adapters.wire.http.RetryPolicy`). The others can't
hand their waiting to a loop of a library: a job's and a backup's next try is a moment in trading time, which other
lanes and processes ask about (`jobs.backoff`, `timetable.sessions`); a notice's is kept in the outbox, so that it
outlives a restart; a websocket counts a connection that lasted as a success, though it too ended. An order is never
tried again by waiting at all.
"""

from datetime import timedelta
from typing import TypeVar

Wait = TypeVar("Wait", float, timedelta)


def wait_after(failures: int, first: Wait, longest: Wait) -> Wait:
    """Return the wait after this many failures in a row, at least one."""
    # A power that exceeds any ceiling is large enough, and overflows nothing.
    return min(first * (1 << min(failures - 1, 20)), longest)
