"""Count requests for flow as the real service does: by the minute and by a day that ends at 20:00 in New York.

Both go by engine time. The counts last as long as the server, because the log doesn't record reads.
"""

from __future__ import annotations

from typing import NamedTuple

from tradebot.exchange.times import HOUR, MINUTE, SECOND, new_york_date

DAILY_LIMIT = 50_000
"""What answers say a day allows if the exchange itself allows any number of requests."""
UNCAPPED = 1_000_000
"""How many requests a minute answers say are left in that case, as the real service does for its largest plan."""
_DAY_ROLLS_BEFORE_MIDNIGHT = 4 * HOUR


class Count(NamedTuple):
    """A request that was counted: the headers of its answer, and whether it is one too many."""

    headers: dict[str, str]
    refused: bool


class FlowLimits:
    """Counts the requests of each key, and refuses those over a limit; None for no limit."""

    def __init__(self, per_minute: int | None, per_day: int | None) -> None:
        self._per_minute = per_minute
        self._per_day = per_day
        self._minutes: dict[str, tuple[int, int]] = {}
        self._days: dict[str, tuple[str, int]] = {}

    def count(self, key: str, now_us: int) -> Count:
        """Count one request. A refused one counts toward its minute, but not toward its day."""
        day, minute = new_york_date(now_us + _DAY_ROLLS_BEFORE_MIDNIGHT), now_us // MINUTE
        last_minute, in_minute = self._minutes.get(key, (minute, 0))
        last_day, in_day = self._days.get(key, (day, 0))
        in_minute = in_minute + 1 if last_minute == minute else 1
        in_day = in_day if last_day == day else 0
        over_day = self._per_day is not None and in_day >= self._per_day
        refused = over_day or (self._per_minute is not None and in_minute > self._per_minute)
        in_day += not refused
        self._minutes[key], self._days[key] = (minute, in_minute), (day, in_day)
        left = UNCAPPED if self._per_minute is None else max(self._per_minute - in_minute, 0)
        headers = {
            "x-uw-token-req-limit": str(DAILY_LIMIT if self._per_day is None else self._per_day),
            "x-uw-daily-req-count": str(in_day),
            "x-uw-minute-req-counter": str(in_minute),
            "x-uw-req-per-minute-remaining": str(left),
            "x-uw-req-per-minute-reset": str((MINUTE - now_us % MINUTE) * 1000 // SECOND),
        }
        return Count(headers, refused)
