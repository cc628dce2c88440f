"""Allow one writer per state folder: an advisory lock held for one pass."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.state.plain_files import open_plain, read_plain
from tradebot.adapters.state.state_folder import cannot_write
from tradebot.errors import ExitCode, TradebotError

LOCK = "lock"
SERVE_LOCK = "serve.lock"
SETUP_LOCK = "setup.lock"
"""Held while a state is being created or a demo played, because each pass in it takes the folder's own lock."""
POLL_S = 0.02
LONGEST_HOLDER = 4096


@contextmanager
def hold(folder: Path, verb: str, wait_s: float = 5.0, name: str = LOCK) -> Iterator[None]:
    """Hold the folder's lock; after `wait_s`, raise TradebotError(ANOTHER_INSTANCE) naming who holds it.

    The lock file is never removed, because a lock on a removed file would protect nothing. The kernel releases a dead
    process's lock.
    """
    descriptor = _acquire(folder / name, time.monotonic() + wait_s)
    try:
        _sign(descriptor, verb)
        yield
    finally:
        os.close(descriptor)


def holder(folder: Path, name: str = LOCK) -> str | None:
    """Return who holds one of the folder's locks now, or None; this creates no file and doesn't wait."""
    try:
        descriptor = open_plain(folder / name, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(folder / name)
    finally:
        os.close(descriptor)
    return None


def other_holder(folder: Path) -> str | None:
    """Return which other process works on the folder now, for one pass or as `serve`; None if there is none."""
    for name in (SERVE_LOCK, LOCK):
        found = holder(folder, name)
        if found is not None and _pid(folder / name) != os.getpid():
            return found
    return None


def _acquire(path: Path, deadline: float) -> int:
    while True:
        descriptor = _try(path)
        if descriptor is not None:
            return descriptor
        if time.monotonic() >= deadline:
            raise TradebotError(
                f"Another tradebot is working on {path.parent}: {_holder(path)}.",
                "Wait for it to finish, then run the command again.",
                code=ExitCode.ANOTHER_INSTANCE,
            )
        time.sleep(POLL_S)


def _try(path: Path) -> int | None:
    """Return a locked descriptor of the file that is at `path` now, or None."""
    try:
        descriptor = open_plain(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise cannot_write(path.parent, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # If someone replaced the file between opening and locking, this lock protects nothing.
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _sign(descriptor: int, verb: str) -> None:
    """Write who holds the lock; on a full disk the lock still holds, just without a name."""
    holder = {"pid": os.getpid(), "verb": verb, "since": datetime.now(UTC).isoformat(timespec="seconds")}
    try:
        with around("lock.sign"):
            os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
    except OSError:
        return


def _pid(path: Path) -> int | None:
    try:
        return int(json.loads(read_plain(path)[:LONGEST_HOLDER])["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _holder(path: Path) -> str:
    try:
        holder = json.loads(read_plain(path)[:LONGEST_HOLDER])
        return f"{holder['verb']}, process {holder['pid']}, since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it left no name"
