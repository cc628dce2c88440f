"""The lock under which what adds risk is sent: from the last look at the trading state through the venue's answer.

Whoever finds it free after a latch has fallen knows that no order which saw the older state is still to begin,
because whoever takes it later sees the latch. So `halt` takes nothing: it looks until the lock is free once.

The lock is on the state folder itself. It needs no file, so it works on a full disk and in a folder that cannot be
written, and nothing can be put in its place while it is held; the kernel frees the lock of a dead process. Which order
is going out stands in a small file beside it, which counts only while the lock is held. `halt` imports this: cheap
imports only.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.state.plain_files import open_plain, read_plain
from tradebot.adapters.state.state_folder import SENDING, cannot_write
from tradebot.errors import ExitCode, TradebotError

if TYPE_CHECKING:
    from tradebot.model.intent import Intent

WAIT_S = 2.0
"""For so long a halt waits for the order that is going out, and an order for another one."""
POLL_S = 0.002
NOTE_BYTES = 512
"""A note is always as long, so that a new one covers the last: cutting a file costs more than all the rest."""


class FolderSendLock:
    """The send lock of one state folder."""

    def __init__(self, folder: Path, wait_s: float = WAIT_S) -> None:
        self._folder = folder
        self._wait_s = wait_s

    @contextmanager
    def hold(self, intent: "Intent") -> Iterator[None]:
        """Hold the lock while one order is promised and sent; the lock is let go whatever becomes of it.

        Raises TradebotError(ANOTHER_INSTANCE) where another order holds it for too long: nothing was sent then.
        """
        descriptor = self._acquire()
        try:
            _sign(self._folder, intent)
            yield
        finally:
            os.close(descriptor)

    def _acquire(self) -> int:
        try:
            descriptor = _look(self._folder, fcntl.LOCK_EX, self._wait_s)
        except OSError as error:
            raise cannot_write(self._folder, error) from error
        if descriptor is None:
            raise TradebotError(
                f"Another order is going out on {self._folder}: {_signed(self._folder)}.",
                "Look at that process, then type the command again.",
                code=ExitCode.ANOTHER_INSTANCE,
            )
        return descriptor


def in_flight(folder: Path, wait_s: float = WAIT_S) -> str | None:
    """Return which order is still going out after `wait_s`, None once none is; call after the latch has fallen."""
    try:
        descriptor = _look(folder, fcntl.LOCK_SH, wait_s)
    except OSError as error:
        # What cannot be looked at is taken at its worst.
        return f"one may be, which cannot be seen: {error.strerror}"
    if descriptor is None:
        return _signed(folder)
    os.close(descriptor)
    return None


def _look(folder: Path, kind: int, wait_s: float) -> int | None:
    """Return a descriptor of the folder with its lock, None where another process keeps it for `wait_s`."""
    deadline = time.monotonic() + wait_s
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        while not _locked(descriptor, kind):
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(POLL_S)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(folder: Path, intent: "Intent") -> None:
    """Write which order is going out; on a full disk it goes out all the same, unsigned."""
    note = {
        "order": intent.client_order_id,
        "symbol": intent.instrument.symbol,
        "side": intent.side.value,
        "pid": os.getpid(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    try:
        descriptor = open_plain(folder / SENDING, os.O_WRONLY | os.O_CREAT)
        try:
            with around("send_lock.sign"):
                os.pwrite(descriptor, json.dumps(note).encode().ljust(NOTE_BYTES), 0)
        finally:
            os.close(descriptor)
    except OSError:
        return


def _signed(folder: Path) -> str:
    try:
        note = json.loads(read_plain(folder / SENDING)[:NOTE_BYTES])
        return f"{note['side']} {note['symbol']}, {note['order']}, by process {note['pid']} since {note['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has not said which"
