"""The send lock of a run that has its account to itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from tradebot.model.intent import Intent


class MemorySendLock:
    """A lock that nobody else can hold; it only proves that orders are sent one at a time."""

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
