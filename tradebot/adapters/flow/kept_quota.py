"""Keep to the flow source's quota on our side, so that it never has to refuse: for all processes of a bot together."""

import json
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.state.plain_files import read_plain, written_plain

LONGEST_FILE = 4096


class Level(NamedTuple):
    """How many requests were left at a time of the machine's own clock, and until when the day is used up."""

    tokens: float
    at_s: float
    spent_until: datetime | None


class KeptQuota:
    """Lets `burst` requests through at once and `per_minute` in the long run; waits for the rest.

    `per_minute` is None for a source without a limit. What is left is kept in a file, if one is given, so that the next
    process goes on from there; fetchers hold a lock while they use it. If nothing is known, it starts empty. If the
    file can't be written, each process keeps to the quota by itself.
    """

    def __init__(
        self,
        file: Path | None,
        per_minute: float | None,
        burst: int,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._file = file
        self._rate_s = None if per_minute is None else per_minute / 60
        self._burst = float(burst)
        self._monotonic = monotonic
        self._sleep = sleep
        self._last: Level | None = None

    def take(self) -> None:
        """Take one request, waiting until there is one."""
        if self._rate_s is None:
            return
        now = self._monotonic()
        last = self._level(now)
        left = min(self._burst, last.tokens + (now - last.at_s) * self._rate_s)
        # Written first: a process killed while it waits has spent its request.
        self._keep(Level(left - 1, now, last.spent_until))
        if left < 1:
            self._sleep((1 - left) / self._rate_s)

    @property
    def spent_until(self) -> datetime | None:
        """Return until when the day's allowance is used up, as the source said last; None if it didn't."""
        return self._level(self._monotonic()).spent_until

    def spend_day(self, until: datetime | None) -> None:
        """Remember that the source refuses every request until then; None if it doesn't any more."""
        self._keep(self._level(self._monotonic())._replace(spent_until=until))

    def _level(self, now: float) -> Level:
        """Return the newest level known. One from before the machine last started says nothing about requests."""
        levels = [level for level in (self._last, self._read()) if level]
        newest = max(levels, key=lambda level: level.at_s, default=Level(0.0, now, None))
        return newest if newest.at_s <= now else Level(0.0, now, newest.spent_until)

    def _read(self) -> Level | None:
        if self._file is None:
            return None
        try:
            found = json.loads(read_plain(self._file)[:LONGEST_FILE])
            tokens, at_s, spent = float(found["tokens"]), float(found["at_s"]), found["spent_until"]
            until = None if spent is None else datetime.fromisoformat(spent).astimezone(UTC)
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None
        if not (math.isfinite(at_s) and tokens <= self._burst):
            return None
        return Level(max(tokens, -self._burst), at_s, until)

    def _keep(self, level: Level) -> None:
        self._last = level
        if self._file is None:
            return
        until = None if level.spent_until is None else level.spent_until.isoformat()
        text = json.dumps({"tokens": level.tokens, "at_s": level.at_s, "spent_until": until})
        try:
            with around("kept_quota.keep"), written_plain(self._file) as file:
                file.write(text.encode())
        except OSError:
            return
