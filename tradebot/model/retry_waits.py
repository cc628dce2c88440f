"""Compute the wait before a retry, which doubles after each failure.

Only HTTP reads wait and retry in place, with tenacity (`adapters.wire.http.RetryPolicy`). Other retries can't use a
library's loop. The time of a job's or a backup's next try is in trading time, and other lanes and processes read it
(`jobs.backoff`, `timetable.sessions`). The time of a notice's next try is stored in the outbox, so that it survives a
restart. A websocket that stayed connected for a while counts as a success, although its connection ended. An order is
never simply sent again after a wait.
"""

from datetime import timedelta
from typing import TypeVar

Wait = TypeVar("Wait", float, timedelta)


def wait_after(failures: int, first: Wait, longest: Wait) -> Wait:
    """Return the wait after this many failures in a row (at least one)."""
    # Any exponent whose power exceeds the longest wait will do, and it can't overflow.
    return min(first * (1 << min(failures - 1, 20)), longest)
