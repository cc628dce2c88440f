"""Let exit passes go first: a pass that holds the folder's lock gives way at its next request to the broker.

Giving way is a kill without the death. The pass unwinds, releases the lock, lets the exits run and begins again with
the same call, as it would if it had been killed and typed again: what it promised is in the ledger.

A pass gives way before each request of the reader, also between retries and pages, and before each promise of an entry;
never between a promise and its settlement. After five times it ends with GAVE_WAY, and the next run resumes it. What
can't begin again finishes first: the comparison after a plan or an adoption was written, and a pass that sends the
broker no request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.adapters.state import state_locks
from tradebot.errors import YieldToExits

if TYPE_CHECKING:
    from tradebot.ports.world import Call

MOST_WAYS = 5
"""How often one pass gives way; after that it ends, and its record says why."""


class ExitPriority:
    """Tells the pass of this process when an exit pass is waiting.

    `call` is that of the last pass that could give way. `due` says whether this process has exits to run itself,
    `run_due` runs them, and `ends` says whether the process was asked to end; all three are set by `serve`.
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
        """Give way inside the block; `call` is what the pass goes on with, None if it has no slot yet."""
        self._gives_way, self.call = True, call
        try:
            yield
        finally:
            self._gives_way = False

    @property
    def resumed_call(self) -> Call | None:
        """Return the call with which the current pass goes on after giving way, if it does."""
        return self.call if self._gives_way else None

    def keep(self, call: Call) -> None:
        """Keep the call with which a pass begins, in case it gives way."""
        if self._gives_way:
            self.call = call

    def give_way(self) -> None:
        """Raise GaveWay if this pass gives way, and an exit pass is waiting or the process was asked to end."""
        if self._gives_way and (self.ends() or self.due() or state_locks.exit_waits(self._folder)):
            raise YieldToExits

    @contextmanager
    def without_yielding(self) -> Iterator[None]:
        """Don't give way inside the block, from the promise of an order to its settlement."""
        before, self._gives_way = self._gives_way, False
        try:
            with state_locks.steadily(self._folder):
                yield
        finally:
            self._gives_way = before
