"""Call the ticks of `serve` every second, in this thread or in one thread per lane.

APScheduler provides the lanes' threads, coalescing (ticks missed during a long tick run as one), and the listeners that
end everything on an error. Its calendar triggers aren't used for the timetable, for three reasons. First, they follow
the machine's clock and the days of the week, whereas a slot is a time in the venue's session by the broker's clock.
Sessions have early closes and halts, and in the sandbox they run at any speed. Second, the ledger decides what is due
(`jobs.due_slots`), and it does so for cron, for commands typed by hand and for a second `serve` too. A trigger would
decide only from the memory of one process. Third, a missed slot is reported with its reason, and run if that is still
allowed, whereas a misfire is only a log line.

APScheduler plans by the wall clock. If that clock were set back, every lane, even exits, would stop until it had caught
up. So a monotonic clock is checked as well, which makes every tick due again. `serve` imports this module only when it
is ready, because importing APScheduler takes as long as comparing books and broker.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_REMOVED, JobExecutionEvent
from apscheduler.executors.debug import DebugExecutor
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.interval import IntervalTrigger

from jobs.runner import TICK_S
from tradebot.adapters.time.machine_clock import stopwatch, wall_clock_s

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class TickerLane(Protocol):
    """The work of one thread, which opens the thread's resources at its first tick."""

    def tick(self) -> None:
        """Run due jobs."""

    def close(self) -> None:
        """Close the opened resources."""


def tick_until(tick: Callable[[], None], over: Callable[[], bool], every_s: float = TICK_S) -> None:
    """Call `tick` every `every_s` real seconds in this thread until `over` returns True.

    Ticks that fall due during a long tick are skipped. An exception in a tick is raised here.
    """
    logging.getLogger("apscheduler").addHandler(logging.NullHandler())
    scheduler = BlockingScheduler(timezone=UTC, executors={"default": DebugExecutor()})
    trigger = IntervalTrigger(seconds=every_s, timezone=UTC)
    raised: list[BaseException] = []

    def once() -> None:
        tick()
        if over():
            end()

    def end() -> None:
        """End the trigger; the scheduler then removes its only job, which shuts it down."""
        trigger.end_date = LONG_AGO

    def note_failure(event: JobExecutionEvent) -> None:
        raised.append(event.exception)
        end()

    scheduler.add_listener(note_failure, EVENT_JOB_ERROR)
    scheduler.add_listener(lambda event: scheduler.shutdown(wait=False), EVENT_JOB_REMOVED)
    scheduler.add_job(once, trigger, coalesce=True, misfire_grace_time=None)
    ended = threading.Event()
    guard = threading.Thread(target=_keep_due, args=(scheduler, ended, every_s), daemon=True)
    guard.start()
    scheduler.start()
    ended.set()
    guard.join()
    if raised:
        raise raised[0]


def tick_lanes(lanes: Mapping[str, TickerLane], over: Callable[[], bool], every_s: float = TICK_S) -> None:
    """Call each lane's tick every `every_s` real seconds, each in its own thread, until `over` returns True.

    This thread only waits, so that it receives signals. Passes that are still running at the end are finished, and an
    exception in a tick is raised here.
    """
    logging.getLogger("apscheduler").addHandler(logging.NullHandler())
    pools = {name: ThreadPoolExecutor(1) for name in lanes}
    scheduler = BackgroundScheduler(timezone=UTC, executors=pools)
    ended, closed = threading.Event(), threading.Semaphore(0)
    raised: list[BaseException] = []

    def once(lane: TickerLane) -> None:
        if not ended.is_set():
            lane.tick()
        if over():
            ended.set()

    def note_failure(event: JobExecutionEvent) -> None:
        raised.append(event.exception)
        ended.set()

    def close(lane: TickerLane) -> None:
        try:
            lane.close()
        finally:
            closed.release()

    scheduler.add_listener(note_failure, EVENT_JOB_ERROR)
    for name, lane in lanes.items():
        trigger = IntervalTrigger(seconds=every_s, timezone=UTC)
        scheduler.add_job(once, trigger, [lane], executor=name, coalesce=True, misfire_grace_time=None)
    scheduler.start()
    _keep_due(scheduler, ended, every_s)
    scheduler.remove_all_jobs()
    for name, lane in lanes.items():
        # Each thread ends its pass before it closes what only it may close.
        scheduler.add_job(close, "date", [lane], run_date=LONG_AGO, executor=name, misfire_grace_time=None)
    for _ in lanes:
        closed.acquire()
    scheduler.shutdown()
    if raised:
        raise raised[0]


def _keep_due(scheduler: BaseScheduler, ended: threading.Event, every_s: float) -> None:
    """Make ticks due at once if the wall clock was set or they are scheduled too late, until `ended` is set.

    The scheduler may have read the time before the clock was set back, and used it only after the change was noticed.
    """
    ahead_s = wall_clock_s() - stopwatch()
    while not ended.wait(every_s):
        before_s, ahead_s = ahead_s, wall_clock_s() - stopwatch()
        was_set, now_s = abs(ahead_s - before_s) > every_s, wall_clock_s()
        latest = datetime.fromtimestamp(now_s + 2 * every_s, UTC)
        for job in scheduler.get_jobs():
            if was_set or (job.next_run_time is not None and job.next_run_time > latest):
                # It may have been removed by now.
                with suppress(JobLookupError):
                    job.modify(next_run_time=datetime.fromtimestamp(now_s, UTC))
