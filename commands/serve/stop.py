"""Hear the signals: SIGTERM and SIGINT end `serve`, SIGHUP lets it read its configuration again.

A terminal that is closed sends SIGHUP too. Whoever started `serve` there doesn't expect it to go on without it.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from tradebot.errors import ExitCode, TradebotError

STDOUT = 1


class Stop:
    """What was asked of a running `serve`. The first signal stops after the current passes, the second at once.

    `code` is how the process ends then.
    """

    def __init__(self) -> None:
        self.ask: Callable[[], None] = lambda: None
        """Lets whatever runs end after the current passes; set by whoever runs it."""
        self.asked = False
        self.code = ExitCode.DONE
        self.reload_asked = False
        self.reloading = False
        """Whether the passes end only to go on with another configuration."""
        self._at_a_terminal = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals inside the block."""
        self._at_a_terminal = os.isatty(STDOUT)
        handlers = {signal.SIGTERM: self._heard, signal.SIGINT: self._heard, signal.SIGHUP: self._heard_reload}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def ending(self) -> bool:
        """Return True if the passes that run should be the last ones, for now or for good."""
        return self.asked or self.reloading

    def end(self, code: ExitCode = ExitCode.DONE) -> None:
        """Ask for the end after the current passes; the first one to ask decides how the process ends."""
        if not self.asked:
            self.asked, self.code = True, code
            self.ask()

    def reload(self) -> None:
        """Ask for the end of the current passes, to go on with another configuration."""
        self.reloading = True
        self.ask()

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            # No cleanup is needed: each order is in the ledger before it is sent, and is looked up later.
            os._exit(128 + number)
        self.end()

    def _heard_reload(self, number: int, frame: FrameType | None) -> None:
        if self._at_a_terminal and not os.isatty(STDOUT):
            self.end()
        self.reload_asked = True

    def between_calls(self, done: int, total: int) -> None:
        """End a long fetch between two calls; the replies so far are already stored."""
        if self.ending:
            why = "stopped by a signal" if self.asked else "cut short by a reload of the configuration"
            raise TradebotError(f"{why} after {done} of {total} calls")
