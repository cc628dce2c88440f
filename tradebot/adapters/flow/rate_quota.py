"""Keep all processes of a bot within the flow source's quota, so that the source never refuses a request.

One-shot runs from cron make no more requests than one `serve`. The source's replies correct the day's count, because
others may use the same key. If the file is lost or damaged, the minute starts with no requests left and refills at its
usual rate.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import Annotated

from msgspec import DecodeError, Meta, Struct, json

from tradebot.adapters.failpoint import around
from tradebot.adapters.state.safe_open import open_plain, read_plain, try_lock
from tradebot.errors import AllowanceSpentError
from tradebot.model.fact_kind import NEW_YORK
from tradebot.model.flow import Allowance, Quota
from tradebot.model.struct_tools import replace

LONGEST_FILE = 4096
LENGTH = 256
"""The file's fixed length: one write replaces its content, and can't be interrupted."""
LONGEST_WAIT_S = 60
"""The longest wait for the source's next minute. A longer wait ends the fetch."""
SPARE = 2
"""How many requests per minute are left to other users of the key, once the source reports so few."""
_MOST_WAITING = 10
"""How many processes may wait for requests at a time. A file with more is damaged."""
_LOCK_TRIES, _LOCK_WAIT_S = 100, 0.01
_DAY_SPENT = "the day's allowance is used up"
_DAY_ENDS = time_of_day(20, 0)


Moment = Annotated[datetime, Meta(tz=True)]


class QuotaLevel(Struct, frozen=True):
    """The remaining quota.

    `tokens` are the requests left at `at_s`, a reading of the machine's monotonic clock. `used` counts the requests of
    the day that ends at `renews_at`, and `limit` is the source's limit. Nothing may be sent before `held_until`.
    """

    tokens: float
    at_s: float
    used: Annotated[int, Meta(ge=0)] = 0
    renews_at: Moment | None = None
    limit: int | None = None
    held_until: Moment | None = None

    def today(self, now: datetime) -> "QuotaLevel":
        renews_at = next_quota_day(now)
        return self if self.renews_at == renews_at else replace(self, used=0, renews_at=renews_at)


def next_quota_day(now: datetime) -> datetime:
    """Return when the next quota day begins, in UTC: the next 20:00 in New York."""
    local = now.astimezone(NEW_YORK)
    day = local.date() if local.time() < _DAY_ENDS else local.date() + timedelta(days=1)
    return datetime.combine(day, _DAY_ENDS, NEW_YORK).astimezone(UTC)


class KeptQuota:
    """Counts requests and waits before sending them, so that the source never refuses one for exceeding its quota.

    `allowance` sets the long-run rate and the bursts allowed; it is None for a source without a quota. In both cases
    the source's replies correct the count. `now` returns trading time. With a file, other and later processes continue
    from the stored state. If the state is unknown, the minute starts with no requests left. If the file can't be
    written, each process applies the quota separately.
    """

    def __init__(
        self,
        file: Path | None,
        allowance: Allowance | None,
        now: Callable[[], datetime],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._file = file
        self._allowance = allowance
        self._now = now
        self._monotonic = monotonic
        self._sleep = sleep
        self._last: QuotaLevel | None = None

    def take(self) -> None:
        """Take one request from the quota, waiting up to a minute; if that isn't enough, raise AllowanceSpentError and
        take none.
        """
        self._await_release()
        if self._allowance is None:
            return
        rate_s, burst, now = self._allowance.rate / 60, self._allowance.burst, self._now()
        at_s = self._monotonic()

        def take(level: QuotaLevel) -> QuotaLevel:
            level = level.today(now)
            if level.used >= self._limit(level):
                raise allowance_error(_DAY_SPENT, next_quota_day(now))
            tokens = min(burst, level.tokens + (at_s - level.at_s) * rate_s) - 1
            return replace(level, tokens=tokens, at_s=at_s, used=level.used + 1)

        # Write first: a process killed while it waits has used up its request.
        tokens = self._change(take).tokens
        if tokens < 0:
            self._sleep(-tokens / rate_s)

    def correct(self, quota: Quota, at: datetime, wait_s: float | None) -> None:
        """Correct the count from a reply at trading time `at`; with `wait_s`, send nothing until that time has passed.

        The source's count includes requests that other programs send with the same key.
        """

        def correct(level: QuotaLevel) -> QuotaLevel:
            level = level.today(at)
            used = level.used if quota.used_today is None else quota.used_today
            limit = level.limit if quota.daily_limit is None else quota.daily_limit
            level = replace(level, used=used, limit=limit)
            moment = None if wait_s is None else at + timedelta(seconds=wait_s)
            if limit is not None and used >= limit:
                moment = next_quota_day(at)
            return replace(level, held_until=moment) if moment else level

        if self.would_change(quota, wait_s):
            self._change(correct)

    def would_change(self, quota: Quota, wait_s: float | None) -> bool:
        return self._allowance is not None or wait_s is not None or is_spent(quota)

    def used_on_day(self, now: datetime) -> int | None:
        """Return how many requests were made on the quota day of `now`; None if they weren't counted."""
        level = self._level(self._monotonic())
        return level.used if level.renews_at == next_quota_day(now) else None

    def planned_left(self) -> int | None:
        """Return how many requests the timetable may still make today; None for a source without a limit."""
        if self._allowance is None:
            return None
        now = self._now()
        level = self._level(self._monotonic()).today(now)
        planned = self._limit(level) - self._allowance.per_day + self._allowance.planned_a_day
        return max(planned - level.used, 0)

    def _limit(self, level: QuotaLevel) -> int:
        assert self._allowance is not None
        return self._allowance.per_day if level.limit is None else min(self._allowance.per_day, level.limit)

    def _await_release(self) -> None:
        until = self._level(self._monotonic()).held_until
        if until is None:
            return
        now = self._now()
        wait_s = (until - now).total_seconds()
        # A hold beyond the next renewal was written before trading time was set back.
        if now < until <= next_quota_day(now):
            if wait_s > LONGEST_WAIT_S:
                day_spent = until == next_quota_day(until - timedelta(seconds=1))
                raise allowance_error(_DAY_SPENT if day_spent else "the flow source asked us to wait", until)
            self._sleep(wait_s)
        self._change(lambda level: replace(level, held_until=None) if level.held_until == until else level)

    def _change(self, change: Callable[[QuotaLevel], QuotaLevel]) -> QuotaLevel:
        """Change the remaining quota and store it for all processes; return the new level."""
        with self._lock_file() as descriptor:
            self._last = change(self._level(self._monotonic()))
            if descriptor is not None:
                _write(descriptor, self._last)
        return self._last

    def _level(self, now_s: float) -> QuotaLevel:
        """Return the newest level known. One from before the machine's last start says nothing about this minute."""
        levels = [level for level in (self._read(), self._last) if level]
        newest = max(levels, key=lambda level: level.at_s, default=QuotaLevel(0.0, now_s))
        return newest if newest.at_s <= now_s else replace(newest, tokens=0.0, at_s=now_s)

    def _read(self) -> QuotaLevel | None:
        if self._file is None:
            return None
        try:
            level = json.decode(read_plain(self._file)[:LONGEST_FILE], type=QuotaLevel)
            for at in filter(None, (level.renews_at, level.held_until)):
                at.astimezone(UTC)
        except (OSError, DecodeError, OverflowError, RecursionError):
            return None
        burst = self._allowance.burst if self._allowance else 0.0
        return replace(level, tokens=min(max(level.tokens, -burst - _MOST_WAITING), burst))

    @contextmanager
    def _lock_file(self) -> Iterator[int | None]:
        """Yield the file, locked against other processes; None if it can't be used."""
        descriptor = None
        try:
            if self._file is not None:
                descriptor = open_plain(self._file, os.O_RDWR | os.O_CREAT)
                self._lock(descriptor)
        except OSError:
            pass
        try:
            yield descriptor
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        """Wait up to a second: the owner of the lock only writes a few bytes."""
        for _ in range(_LOCK_TRIES):
            if try_lock(descriptor, fcntl.LOCK_EX):
                return
            time.sleep(_LOCK_WAIT_S)


def is_spent(quota: Quota) -> bool:
    """Return True if the source says that the day's requests are used up."""
    return quota.used_today is not None and quota.daily_limit is not None and quota.used_today >= quota.daily_limit


def allowance_error(what: str, until: datetime) -> AllowanceSpentError:
    return AllowanceSpentError(
        f"{what} until {until.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York time",
        "Wait until then, or fetch fewer symbols: tradebot fetch-flow --plan shows what each kind of facts costs.",
    )


def _write(descriptor: int, level: QuotaLevel) -> None:
    try:
        # This also covers any longer content that was there.
        content = json.encode(level).ljust(max(LENGTH, os.fstat(descriptor).st_size) - 1) + b"\n"
        with around("rate_quota.keep"):
            os.pwrite(descriptor, content, 0)
    except OSError:
        return
