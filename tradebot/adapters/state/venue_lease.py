"""Hand over the one connection that a venue lets an account's programs have: one process of a bot has it at a time.

Whoever is connected holds `venue.lock`. Whoever wants to be locks `venue-wanted.lock` first, and the process that is
connected sees that and ends its connection once nothing is being asked. The kernel releases a dead process's locks, so
a kill at any point leaves both free.
"""

import fcntl
import math
import os
import time
from contextlib import ExitStack
from pathlib import Path

from tradebot.adapters.state import state_locks
from tradebot.adapters.state.file_locks import try_lock
from tradebot.adapters.state.safe_open import open_plain
from tradebot.errors import CannotWriteError, ExitCode, TemporaryError, TradebotError

HELD, WANTED = "venue.lock", "venue-wanted.lock"
WAIT_S = 30.0
"""How long a process waits for the connection: a pass of exits may have it, and a question may take a while."""


class VenueTurn:
    """This process's turn to be connected, for one bot's folder."""

    def __init__(self, folder: Path, wait_s: float = WAIT_S) -> None:
        self.folder, self._wait_s = folder, wait_s
        self._held: ExitStack | None = None
        self._wanted_at = math.inf

    def take(self) -> None:
        """Wait until it is this process's turn; TemporaryError if another one keeps the connection for too long.

        On a disk that is full or can't be written there are no turns: the venue itself says who is too many.
        """
        if self._held is not None:
            return
        with ExitStack() as held:
            try:
                with state_locks.hold(self.folder, "connection", self._wait_s, WANTED):
                    held.enter_context(state_locks.hold(self.folder, "connection", self._wait_s, HELD))
            except CannotWriteError:
                return
            except TradebotError as error:
                if error.code is not ExitCode.ANOTHER_INSTANCE:
                    raise
                holder = state_locks.holder(self.folder, HELD)
                raise TemporaryError(
                    f"another process of this bot is connected, and doesn't hand over: {holder or 'it has just ended'}",
                    "look at that process with ps -p NUMBER; if it hangs, end it with kill NUMBER, then kill -9 NUMBER",
                ) from error
            self._held = held.pop_all()

    def give_back(self) -> None:
        """Let the next process connect."""
        held, self._held, self._wanted_at = self._held, None, math.inf
        if held is not None:
            held.close()

    def waits(self, least_s: float) -> bool:
        """Return True if another process has waited for the connection so long, and no pass of ours comes first.

        A pass that gives way to nobody keeps it: between canceling a stop and sending the exit, nothing comes.
        """
        if self._held is None or state_locks.is_steady(self.folder) or not self._is_wanted():
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
