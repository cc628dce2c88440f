"""Compute the wait before a retry, which doubles after each failure.

Only HTTP reads wait and retry in place, with tenacity (`adapters.wire.http.RetryPolicy`). Other retries can't use a
library's loop: the next try of a job or backup is a moment in trading time that other lanes and processes read
(`jobs.backoff`, `timetable.sessions`); the next try of a notice is stored in the outbox, so that it survives a restart;
a websocket that stayed connected counts as a success, although it ended too. An order is never simply sent again after
a wait.
"""

from datetime import timedelta
from typing import TypeVar

Wait = TypeVar("Wait", float, timedelta)


def wait_after(failures: int, first: Wait, longest: Wait) -> Wait:
    """Return the wait after this many failures in a row (at least one)."""
    # Any exponent whose power exceeds the longest wait will do, and it can't overflow.
    return min(first * (1 << min(failures - 1, 20)), longest)
