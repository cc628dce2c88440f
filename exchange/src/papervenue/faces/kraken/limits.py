"""Count what each key spends on requests: 500 in ten seconds on trading, and 100 in ten minutes on the history.

Time is the exchange's. While it stands still nothing is refused, because no budget would ever come back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from papervenue.times import MINUTE, SECOND


class Budget(NamedTuple):
    """How much a key may spend in any span of this length."""

    most: int
    span_us: int


TRADING, HISTORY = Budget(500, 10 * SECOND), Budget(100, 10 * MINUTE)
COSTS: Mapping[str, int] = MappingProxyType(
    {
        "sendorder": 10,
        "editorder": 10,
        "cancelorder": 10,
        "batchorder": 9,
        "cancelallorders": 25,
        "accounts": 2,
        "openpositions": 2,
        "openorders": 2,
        "fills": 2,
        "orders/status": 1,
    }
)
"""What requests for trading cost. A batch costs one more for each of its orders."""
FILLS_SINCE = 25
_LOG_COSTS = ((25, 1), (50, 2), (1_000, 3), (5_000, 6))
_MOST_LOG = 10


def log_cost(count: int) -> int:
    """Return what a page of so many rows of the account log costs."""
    return next((cost for most, cost in _LOG_COSTS if count <= most), _MOST_LOG)


class Limits:
    """What keys have spent. `peaks` is the most that any has spent within a span, by the budget's first word."""

    def __init__(self, now_us: Callable[[], int], enforced: Callable[[], bool]) -> None:
        self._now_us = now_us
        self._enforced = enforced
        self._spent: dict[tuple[str, Budget], deque[tuple[int, int]]] = {}
        self.peaks = {"trading": 0, "history": 0}

    def spend(self, key: str, budget: Budget, cost: int) -> int:
        """Spend, and return 0; if that is more than the budget has, return how many microseconds to wait instead."""
        now_us, spent = self._now_us(), self._spent.setdefault((key, budget), deque())
        while spent and spent[0][0] <= now_us - budget.span_us:
            spent.popleft()
        total = sum(one for _, one in spent) + cost
        if total > budget.most and self._enforced():
            return self._until(spent, budget, total - budget.most) - now_us
        spent.append((now_us, cost))
        name = "trading" if budget is TRADING else "history"
        self.peaks[name] = max(self.peaks[name], total)
        return 0

    def _until(self, spent: deque[tuple[int, int]], budget: Budget, over: int) -> int:
        for at_us, cost in spent:
            over -= cost
            if over <= 0:
                return at_us + budget.span_us
        return self._now_us() + budget.span_us
