"""Provide the send lock of a run whose account no other process trades."""

from collections.abc import Iterator
from contextlib import contextmanager

from tradebot.model.intent import Intent


class MemorySendLock:
    """Verifies that orders are sent one at a time; no other process competes for the lock."""

    def __init__(self) -> None:
        self.held = False

    @contextmanager
    def hold(self, intent: Intent) -> Iterator[None]:
        assert not self.held, "one order at a time"
        self.held = True
        try:
            yield
        finally:
            self.held = False
