"""Wait before a request that the venue would refuse, because an account's requests have cost too much just now."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType

MOST, SPAN_S = 400, 10.0
"""What requests may cost within any ten seconds. The venue allows 500; the rest is for what a person asks meanwhile."""
COSTS: Mapping[str, int] = MappingProxyType(
    {"sendorder": 10, "cancelorder": 10, "accounts": 2, "openpositions": 2, "openorders": 2, "fills": 25}
)
"""What a request costs at most by the last part of its path, as the venue's documents say; other requests are free."""


class RequestBudget:
    """What one connection has spent on requests lately."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._spent: deque[tuple[float, int]] = deque()

    def wait(self, path: str) -> None:
        """Wait until a request to this path fits into what may be spent, at most for ten seconds, and count it."""
        cost = COSTS.get(path.rpartition("/")[2], 0)
        if not cost:
            return
        now = self._clock()
        while sum(one for at, one in self._spent if at > now - SPAN_S) + cost > MOST:
            at, _ = self._spent.popleft()
            if at > now - SPAN_S:
                self._sleep(at + SPAN_S - now)
                now = self._clock()
        self._spent.append((now, cost))
