"""Wait for what another thread or process does."""

import time
from collections.abc import Callable


def until(happened: Callable[[], object], longest_s: float = 90) -> None:
    """Wait until something is true; fail if it isn't in time."""
    ends_s = time.monotonic() + longest_s
    while not happened():
        assert time.monotonic() < ends_s, "it never happened"
        time.sleep(0.01)
