"""One session of the demo in lock-step: what is due at each minute, and exits also while an answer takes its time."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from commands.evaluate_exits import run as evaluate_exits
from commands.fetch_flow import run as fetch_flow
from commands.reconcile import run as reconcile
from commands.score import run as score
from commands.trade_once import run as trade_once
from tradebot.app.wiring import App
from tradebot.model.bar import Session
from tradebot.model.record import Job
from tradebot.timetable.sessions import FETCHING, Slot, due_at

if TYPE_CHECKING:
    from collections.abc import Collection

MINUTE = timedelta(minutes=1)
VERBS = {
    Job.FETCH_FLOW: fetch_flow.run,
    Job.SCORE: score.run,
    Job.EVALUATE_EXITS: evaluate_exits.run,
    Job.TRADE_ONCE: trade_once.run,
    Job.RECONCILE: reconcile.run,
}
BESIDE_FETCHING = (Job.EVALUATE_EXITS, Job.RECONCILE)
"""Jobs that don't wait for a slow flow source; entries wait for the facts of their minute, as long as their slot."""


class DemoSession:
    """Plays the slots of one session; `now` is where trading time stands."""

    def __init__(self, app: "App", session: "Session", now: datetime) -> None:
        self._app = app
        self._session = session
        self._now = now
        self._begun: set[Slot] = set()
        self._running: Job | None = None

    def run(self, minute: datetime) -> None:
        """Let time pass until a minute and run what is due then, unless an answer has already passed it."""
        self._pass_until(minute)
        self._run(minute, tuple(VERBS))

    def meanwhile(self, seconds: float) -> None:
        """Let the time pass that an answer took; while facts are being fetched, run exits when they are due."""
        end, fetching = self._now + timedelta(seconds=seconds), self._running in FETCHING
        while True:
            if fetching:
                self._run(self._now, BESIDE_FETCHING)
            if self._now >= end:
                return
            self._pass_until(min(end, self._now.replace(second=0, microsecond=0) + MINUTE))

    def _pass_until(self, moment: datetime) -> None:
        if self._now < moment:
            self._now = self._app.engine.sleep((moment - self._now).total_seconds()).now

    def _run(self, minute: datetime, jobs: "Collection[Job]") -> None:
        for slot in due_at(self._app.settings.timetable, self._session, minute):
            if slot.job in jobs and slot not in self._begun and self._now < slot.end:
                self._begun.add(slot)
                before, self._running = self._running, Job(slot.job)
                VERBS[Job(slot.job)](self._app, by="demo")
                self._running = before
