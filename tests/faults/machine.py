"""The machine that a schedule's bot runs on: its clocks, which a schedule moves, and its limits."""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from itertools import count, islice
from typing import NamedTuple, Self

from commands import backup, unhalt
from tradebot.adapters.recovery import soundness
from tradebot.adapters.state import lock, send_lock
from tradebot.app import wiring

TOLD_THE_TIME = (wiring, soundness, lock, send_lock, unhalt, backup)
"""Modules that ask the machine for its date."""


class Limit(NamedTuple):
    """A limit of the system's, such as RLIMIT_FSIZE, and the most that it allows."""

    kind: int
    most: int


def _hardest(kind: int) -> int:
    return resource.getrlimit(kind)[1]


class Machine:
    """Seconds since it was started, sleep included, the date, which may be wrong, and what one process may use."""

    def __init__(self) -> None:
        self.up_s = 1000.0
        self.ahead = timedelta(0)
        self._limit: Limit | None = None

    def uptime(self, _clock: int) -> float:
        """Return the seconds since the start, as `time.clock_gettime` does of the clock that goes on in sleep."""
        self.up_s += 0.0001
        return self.up_s

    def sleep(self, seconds: float) -> None:
        """Let time pass for those who wait between two tries."""
        self.up_s += seconds

    @contextmanager
    def limited(self, limit: Limit | None) -> Iterator[None]:
        """Hold this process to a limit of the system's."""
        self._limit = limit
        self._set(limit)
        try:
            yield
        finally:
            self._limit = None
            self._set(limit and limit._replace(most=_hardest(limit.kind)))

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Let go of the limit, for what is not the bot's own doing."""
        limit = self._limit
        self._set(limit and limit._replace(most=_hardest(limit.kind)))
        yield
        self._set(limit)

    def _set(self, limit: Limit | None) -> None:
        if limit is not None:
            resource.setrlimit(limit.kind, (limit.most, _hardest(limit.kind)))

    def install(self) -> None:
        """Be this process's clocks from now on."""
        machine = self

        class Told(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Self:
                return super().now(tz) + machine.ahead

        vars(time)["clock_gettime"] = self.uptime
        for module in TOLD_THE_TIME:
            vars(module)["datetime"] = Told


def descriptors(left: int) -> Limit:
    """Return the limit that leaves room for so many open files more, whatever numbers are taken by now."""
    taken = set(map(int, os.listdir("/dev/fd")))
    free = islice((number for number in count() if number not in taken), left, None)
    return Limit(resource.RLIMIT_NOFILE, next(free))
