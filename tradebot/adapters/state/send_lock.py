"""Lock the sending of orders that add risk, from the last check of the trading state to the venue's reply.

Whoever takes this lock after a halt was set sees the halt. So once the lock has been free after that moment, no order
that was checked before the halt can still be sent. Therefore `halt` doesn't take the lock; it only waits until the lock
is free once. The lock is on the state folder itself. It needs no file, so it works on a full disk or in a read-only
folder, and nobody can replace it while it is locked. The kernel releases a dead process's lock. A small file names the
order being sent; the file counts only while the lock is taken. `halt` imports this module, so only cheap imports are
allowed.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.adapters.failpoint import around
from tradebot.adapters.state.safe_open import flocked_within, open_plain, read_plain
from tradebot.adapters.state.state_folder import SENDING, cannot_write
from tradebot.errors import ExitCode, TradebotError

if TYPE_CHECKING:
    from tradebot.model.intent import Intent

WAIT_S = 2.0
"""How long a halt waits for an order being sent, and one order for another, in seconds."""
POLL_S = 0.002
NOTE_BYTES = 512
"""The fixed length of notes: a new one overwrites the last, because truncating the file would be slow."""


class FolderSendLock:
    """The send lock of one state folder."""

    def __init__(self, folder: Path, wait_s: float = WAIT_S) -> None:
        self._folder = folder
        self._wait_s = wait_s

    @contextmanager
    def hold(self, intent: "Intent") -> Iterator[None]:
        """Hold the lock while one order is recorded and sent, and release it whatever happens.

        Raise TradebotError(ANOTHER_INSTANCE), with nothing sent, if another order holds it for too long.
        """
        descriptor = self._acquire()
        try:
            _write_note(self._folder, intent)
            yield
        finally:
            os.close(descriptor)

    def _acquire(self) -> int:
        try:
            descriptor = _lock_folder(self._folder, fcntl.LOCK_EX, self._wait_s)
        except OSError as error:
            raise cannot_write(self._folder, error) from error
        if descriptor is None:
            raise TradebotError(
                f"Another order is being sent from {self._folder}: {_read_note(self._folder)}.",
                "Check that process, then run the command again.",
                code=ExitCode.ANOTHER_INSTANCE,
            )
        return descriptor


def in_flight(folder: Path, wait_s: float = WAIT_S) -> str | None:
    """Return the order that is still being sent after `wait_s` seconds, or None; call this after setting a halt.

    If the lock can't be checked, the result says that an order may be in flight.
    """
    try:
        descriptor = _lock_folder(folder, fcntl.LOCK_SH, wait_s)
    except OSError as error:
        # If that can't be checked, assume that there is one.
        return f"there may be one, but that can't be checked: {error.strerror}"
    if descriptor is None:
        return _read_note(folder)
    os.close(descriptor)
    return None


def _lock_folder(folder: Path, kind: int, wait_s: float) -> int | None:
    """Return a descriptor of the locked folder, or None if another process holds the lock for `wait_s`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return flocked_within(descriptor, kind, wait_s, POLL_S)


def _write_note(folder: Path, intent: "Intent") -> None:
    """Write which order is being sent; on a full disk it is sent without a note."""
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


def _read_note(folder: Path) -> str:
    try:
        note = json.loads(read_plain(folder / SENDING)[:NOTE_BYTES])
        return f"{note['side']} {note['symbol']}, {note['order']}, by process {note['pid']} since {note['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it recorded no details of the order"
