"""Query a service that doesn't respond at growing intervals, while exits go on."""

import threading
from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from tradebot.model.event import EventKind
from tradebot.model.record import Job
from tradebot.model.retry_waits import wait_after
from tradebot.ports.stores import Events

BROKER, FLOW = "broker", "flow source"
DEPENDS_ON: Mapping[str, str] = {job: FLOW if job is Job.FETCH_FLOW else BROKER for job in Job}
"""The service that a job depends on. Chores are separate processes, and don't wait here."""
NEVER_WAITS = Job.EVALUATE_EXITS
"""Positions are managed whatever fails; these passes also notice when the broker responds again."""
TOLD_AFTER = 2
"""After how many consecutive failures an event is emitted; a single one is only a failed job."""


class UnavailableService(Struct):
    """A service that doesn't respond: since when, how often and when last it failed, and when to try next."""

    since: datetime
    failures: int
    asked_at: datetime
    until: datetime

    def waits(self, now: datetime) -> bool:
        """Return True until the next try is due.

        The wait also ends if the broker's clock has been set back to before the last failure.
        """
        return self.asked_at <= now < self.until


class Backoff:
    """Decides which jobs have to wait for their service; all lanes share one instance. Times are trading times."""

    def __init__(self, first_s: float, most_s: float, events: Events) -> None:
        self._first = timedelta(seconds=first_s)
        self._most = timedelta(seconds=most_s)
        self._events = events
        self._away: dict[str, UnavailableService] = {}
        self._one_at_a_time = threading.Lock()

    def may_try(self, job: str, now: datetime) -> bool:
        """Return False while a job should wait for its service."""
        away = self._away.get(DEPENDS_ON.get(job, ""))
        return job == NEVER_WAITS or away is None or not away.waits(now)

    def note_failure(self, job: str, now: datetime) -> None:
        """Record that a job's service didn't respond. Several failures before the next try is due count as one."""
        dependency = DEPENDS_ON.get(job)
        if dependency is None:
            return
        with self._one_at_a_time:
            away = self._away.setdefault(dependency, UnavailableService(now, 0, now, now))
            if away.waits(now):
                return
            away.failures, away.asked_at = away.failures + 1, now
            away.until = now + wait_after(away.failures, self._first, self._most)
            failures, since = away.failures, away.since
        if failures == TOLD_AFTER:
            details = {"dependency": dependency, "message": f"it hasn't answered since {since:%Y-%m-%d %H:%M:%S} UTC"}
            self._events.emit(EventKind.DEPENDENCY_AWAY.at(now, details))

    def note_answer(self, job: str, now: datetime) -> None:
        """Record that a job's service responded."""
        dependency = DEPENDS_ON.get(job)
        if dependency not in self._away:
            return
        with self._one_at_a_time:
            away = self._away.pop(dependency, None)
        if away is not None and away.failures >= TOLD_AFTER:
            away_s = (now - away.since).total_seconds()
            details = {"dependency": dependency, "message": f"it answers again after {away_s:,.0f} s"}
            self._events.emit(EventKind.DEPENDENCY_BACK.at(now, details))
