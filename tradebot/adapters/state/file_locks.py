"""Lock an open file or folder, and wait for it; the kernel releases the locks of a dead process."""

import fcntl
import os
import time


def try_lock(descriptor: int, kind: int) -> bool:
    """Lock without waiting, shared or exclusive; return False if another process holds the lock."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def flocked_within(descriptor: int, kind: int, wait_s: float, poll_s: float) -> int | None:
    """Return the descriptor once it is locked; close it and return None if another process holds it for `wait_s`."""
    deadline = time.monotonic() + wait_s
    try:
        while not try_lock(descriptor, kind):
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(poll_s)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
