"""Use advisory locks so that each state folder has only one writer and one fetcher at a time; each lock is taken for
one pass.

A process that needs several takes them in the order `SERVE_LOCK`, `CHORE_LOCK`, `STREAM_LOCK`, `FETCH_LOCK`, `LOCK`.

Exit passes have priority. While an exit pass waits for the folder's lock, it holds a second lock, on the folder's
marker. While the marker is locked, nobody else takes the folder's lock, and its present owner yields at its next
request to the broker (`ExitPriority`). The marker always exists, so this needs no further file and works on a full
disk.

If a venue allows an account's programs only one connection, a bot's processes share it. The connected process locks
`venue.lock`. A process that wants to connect locks `venue-wanted.lock` first. The connected process notices this, and
ends its connection once no request is pending. The kernel releases a dead process's locks, so both are free if a
process is killed at any point.

Yielding works like a kill and restart: the pass unwinds, releases the lock, lets the exits run and starts again with
the same call; the orders that it recorded are in the ledger. A pass may yield before each read request, including
between retries and pages, and before it records an entry order to send. It never yields between that record and the
record of the order's outcome. After yielding five times, a pass ends with GAVE_WAY, and the next run resumes it. Two
kinds of work can't start again, so they finish first: the comparison after a plan or an adoption was written, and a
pass that sends no request to the broker.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradebot.adapters.failpoint import around
from tradebot.adapters.state.safe_open import flocked_within, open_plain, read_plain, try_lock
from tradebot.adapters.state.state_folder import LEDGER_VERSION, MARKER, cannot_write
from tradebot.errors import CannotWriteError, ExitCode, TemporaryError, TradebotError, YieldToExits

if TYPE_CHECKING:
    from tradebot.ports.world import Call

LOCK = "lock"

SERVE_LOCK = "serve.lock"

FETCH_LOCK = "fetch.lock"

"""Held during calls to the flow source, which may take minutes and must not delay an exit."""

STREAM_LOCK = "stream.lock"

"""Held while alerts come over the flow source's websocket."""

CHORE_LOCK = "chores.lock"

"""Held while a chore of the timetable runs; it is taken before the locks that the chore itself takes."""

NOTIFY_LOCK = "notify.lock"

"""Held while notices are gathered and sent, so that none is sent twice."""

CHAT_LOCK = "chat.lock"

"""Held while the chat is read, so that no message is handled by two processes."""

SETUP_LOCK = "setup.lock"

"""Held while a state is being created or a demo played, because each pass in it takes the folder's own lock."""

POLL_S = 0.02

WAIT = "Wait for it to finish, then run the command again."

WAIT_S = 5.0

"""How long a pass waits for another one, in seconds."""

EXIT_WAIT_S = 60.0

"""How long an exit pass waits for one that yields, in seconds.

The other may be in the middle of a request and of looking up its outcome. Each of these ends after 25 s (`Bounds`:
total_s and read_s), plus a DNS lookup.
"""

LONGEST_HOLDER = 4096

_steady = Counter[Path]()

NO_NAME = "it recorded no name"

"""The owner of a lock that couldn't write its name, because the disk was full."""


@contextmanager
def hold(
    folder: Path,
    verb: str,
    wait_s: float = WAIT_S,
    name: str = LOCK,
    *,
    ahead: bool = False,
    gives_way: bool = False,
    hint: str = WAIT,
) -> Iterator[None]:
    """Hold the folder's lock; if that takes longer than `wait_s`, raise TradebotError(ANOTHER_INSTANCE) naming its
    owner.

    With `ahead`, for exit passes, this process gets the lock before all others, and waits up to EXIT_WAIT_S for an
    owner with `gives_way`. The lock file stays; only the lock's owner may remove it, and a waiting process then creates
    another. The kernel releases a dead process's lock.
    """
    with _ahead_of_others(folder, wait_s) if ahead else nullcontext():
        descriptor = _acquire(folder / name, wait_s, hint, ahead=ahead)
    try:
        _sign(descriptor, verb, gives_way=gives_way)
        with steadily(folder) if name == LOCK and not gives_way else nullcontext():
            yield
    finally:
        os.close(descriptor)


@contextmanager
def steadily(folder: Path) -> Iterator[None]:
    """Keep the venue connection inside the block, if only one process at a time can have it."""
    _steady[folder] += 1
    try:
        yield
    finally:
        _steady[folder] -= 1


def is_steady(folder: Path) -> bool:
    """Return True while this process works on the folder without yielding the connection."""
    return _steady[folder] > 0


@contextmanager
def _ahead_of_others(folder: Path, wait_s: float) -> Iterator[None]:
    """Hold the lock that makes others yield; a second exit pass waits for the first."""
    try:
        descriptor = _lock_marker(folder, fcntl.LOCK_EX, wait_s)
    except OSError:
        # Nobody yields in this case, but the lock itself works as usual.
        descriptor = None
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def exit_waits(folder: Path) -> bool:
    """Return True if any process's exit pass waits for the folder's lock; False if that can't be checked."""
    try:
        descriptor = _lock_marker(folder, fcntl.LOCK_SH, 0.0)
    except OSError:
        return False
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def _lock_marker(folder: Path, kind: int, wait_s: float) -> int | None:
    """Return a descriptor of the locked marker, or None if another process holds it for `wait_s`."""
    return flocked_within(open_plain(folder / MARKER, os.O_RDONLY), kind, wait_s, POLL_S)


@contextmanager
def hold_all(folder: Path, verb: str, *, serve_wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold every lock of the folder, so that its files can be replaced."""
    with (
        hold(folder, verb, serve_wait_s, SERVE_LOCK),
        hold(folder, verb, name=STREAM_LOCK),
        hold(folder, verb, name=FETCH_LOCK),
        hold(folder, verb),
    ):
        yield


def holder(folder: Path, name: str = LOCK) -> str | None:
    """Return the current owner of one of the folder's locks, or None; this creates no file and doesn't wait."""
    try:
        descriptor = open_plain(folder / name, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return None if try_lock(descriptor, fcntl.LOCK_SH) else _holder(folder / name)
    finally:
        os.close(descriptor)


def earlier_holder(folder: Path, wait_s: float) -> str | None:
    """Return which process of an earlier version is working on the folder (`serve`, a fetcher or a pass), or None.

    Such a process can't read the ledger once this version has upgraded it. It gets `wait_s` to finish.
    """
    deadline = time.monotonic() + wait_s
    while (holder := _earlier_holder(folder)) is not None and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return holder


def _earlier_holder(folder: Path) -> str | None:
    for name in (SERVE_LOCK, STREAM_LOCK, FETCH_LOCK, LOCK):
        owner, note = holder(folder, name), _note(folder / name)
        if owner is not None and note.get("pid") != os.getpid() and note.get("ledger") != LEDGER_VERSION:
            return owner
    return None


def _acquire(path: Path, wait_s: float, hint: str, *, ahead: bool) -> int:
    began = time.monotonic()
    while True:
        descriptor = None if path.name == LOCK and not ahead and exit_waits(path.parent) else _try(path)
        if descriptor is not None:
            return descriptor
        waited_s = time.monotonic() - began
        if waited_s >= wait_s and not (ahead and waited_s < EXIT_WAIT_S and _note(path).get("gives_way")):
            raise TradebotError(
                f"Another tradebot is working on {path.parent}: {_holder(path)}.",
                hint,
                code=ExitCode.ANOTHER_INSTANCE,
            )
        time.sleep(POLL_S)


def _try(path: Path) -> int | None:
    """Return a locked descriptor of the file that is at `path` now, or None."""
    try:
        descriptor = open_plain(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise cannot_write(path.parent, error) from error
    with suppress(FileNotFoundError):
        # If the file was replaced between opening and locking, this lock protects nothing.
        if try_lock(descriptor, fcntl.LOCK_EX) and os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    os.close(descriptor)
    return None


def _sign(descriptor: int, verb: str, *, gives_way: bool) -> None:
    """Write who holds the lock and for which ledger version; on a full disk the lock is held without a name."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    holder = {"pid": os.getpid(), "verb": verb, "since": since, "gives_way": gives_way, "ledger": LEDGER_VERSION}
    try:
        with around("state_locks.sign"):
            os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
    except OSError:
        return


def _note(path: Path) -> dict[str, Any]:
    """Return the last owner's note; empty if it can't be read."""
    try:
        note = json.loads(read_plain(path)[:LONGEST_HOLDER])
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _holder(path: Path) -> str:
    try:
        return "{verb}, process {pid}, since {since}".format_map(_note(path))
    except KeyError:
        return NO_NAME


HELD, WANTED = "venue.lock", "venue-wanted.lock"

LEASE_WAIT_S = 30.0

"""How long a process waits for the connection, in seconds: an exit pass may have it, and a request may take a while."""


class VenueLease:
    """The right of this process to use the venue connection, for one bot's folder."""

    def __init__(self, folder: Path, wait_s: float = LEASE_WAIT_S) -> None:
        self.folder, self._wait_s = folder, wait_s
        self._held: ExitStack | None = None
        self._wanted_at = math.inf

    def take(self) -> None:
        """Wait for the venue connection; raise TemporaryError if another process keeps it for too long.

        On a full or read-only disk, return without reserving the connection: the venue itself refuses extra
        connections.
        """
        if self._held is not None:
            return
        with ExitStack() as exit_stack:
            try:
                with hold(self.folder, "connection", self._wait_s, WANTED):
                    exit_stack.enter_context(hold(self.folder, "connection", self._wait_s, HELD))
            except CannotWriteError:
                return
            except TradebotError as error:
                if error.code is not ExitCode.ANOTHER_INSTANCE:
                    raise
                other = holder(self.folder, HELD)
                raise TemporaryError(
                    "another process of this bot is connected and doesn't release the connection: "
                    f"{other or 'it has just ended'}",
                    "check that process with ps -p NUMBER; if it hangs, end it with kill NUMBER, then kill -9 NUMBER",
                ) from error
            self._held = exit_stack.pop_all()

    def give_back(self) -> None:
        """Release the connection, so that the next process can connect."""
        exit_stack, self._held, self._wanted_at = self._held, None, math.inf
        if exit_stack is not None:
            exit_stack.close()

    def waits(self, least_s: float) -> bool:
        """Return True if another process has waited for the connection for `least_s`, and no pass of ours needs it.

        A pass that doesn't yield keeps it: nothing may come between canceling a stop and sending the exit.
        """
        if self._held is None or is_steady(self.folder) or not self._is_wanted():
            self._wanted_at = math.inf
            return False
        now = time.monotonic()
        self._wanted_at = min(self._wanted_at, now)
        return now - self._wanted_at >= least_s

    def _is_wanted(self) -> bool:
        try:
            descriptor = open_plain(self.folder / WANTED, os.O_RDONLY)
        except OSError:
            return False
        try:
            return not try_lock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)


MOST_WAYS = 5

"""How often one pass yields; after that it ends, and its record has the reason."""


class ExitPriority:
    """Tells this process's pass when an exit pass is waiting.

    `call` is the call with which to resume the last pass that could yield. `serve` sets the other three: `due` returns
    True if this process has exits to run itself, `run_due` runs them, and `ends` returns True if the process should
    end.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._gives_way = False
        self.call: Call | None = None
        self.due: Callable[[], bool] = lambda: False
        self.run_due: Callable[[], None] = lambda: None
        self.ends: Callable[[], bool] = lambda: False

    @contextmanager
    def attempt(self, call: Call | None) -> Iterator[None]:
        """Let an exit pass interrupt this pass inside the block.

        `call` is the pass's call, with which it resumes afterward; None if the pass has no slot yet.
        """
        self._gives_way, self.call = True, call
        try:
            yield
        finally:
            self._gives_way = False

    @property
    def resumed_call(self) -> Call | None:
        """Return the call with which to resume the current pass if it yields."""
        return self.call if self._gives_way else None

    def keep(self, call: Call) -> None:
        """Store the call with which a pass begins, in case the pass yields."""
        if self._gives_way:
            self.call = call

    def give_way(self) -> None:
        """Raise YieldToExits if this pass may yield and either an exit pass is waiting or the process should end."""
        if self._gives_way and (self.ends() or self.due() or exit_waits(self._folder)):
            raise YieldToExits

    @contextmanager
    def without_yielding(self) -> Iterator[None]:
        """Don't yield inside the block, in which an order is recorded, sent, and its outcome recorded."""
        before, self._gives_way = self._gives_way, False
        try:
            with steadily(self._folder):
                yield
        finally:
            self._gives_way = before
