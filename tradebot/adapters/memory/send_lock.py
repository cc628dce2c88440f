"""The send lock of a run that is alone on its account."""

from collections.abc import Iterator
from contextlib import contextmanager

from tradebot.model.intent import Intent


class MemorySendLock:
    """Verify that orders are sent one at a time; there is nobody to compete with."""

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
