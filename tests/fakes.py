"""Fakes for what production code has no use for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tradebot.adapters.memory.send_lock import MemorySendLock
from tradebot.model.intent import Intent


class WatchedSendLock(MemorySendLock):
    """A send lock that remembers for what it was held; `taken` is told of each holding."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: list[Intent] = []
        self.taken: Callable[[Intent], None] = lambda intent: None

    @contextmanager
    def hold(self, intent: Intent) -> Iterator[None]:
        """Hold the lock while one order is promised and sent."""
        with super().hold(intent):
            self.orders.append(intent)
            self.taken(intent)
            yield
