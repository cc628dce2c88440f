"""Watch a running `serve` from a dedicated thread: its lanes, its resources, its status note, and its supervisor.

A second counts against a lane only if the watchdog itself was running, so a machine's sleep doesn't count as a stall. A
stalled lane, passes that don't end after a signal, and a process that has grown too large all end the same way: the
process exits, and the next one continues from the ledger, as after a kill. A reload ends the lanes and starts new ones,
so no setting is changed in place. Each start is counted in `serve.starts` before anything else happens, and uncounted
if the process ends well. This makes a crash loop visible, whatever its cause.

SIGTERM and SIGINT end `serve`; SIGHUP makes it reload its configuration. Closing a terminal also sends SIGHUP, and a
`serve` that was started there is expected to end with it.
"""

import faulthandler
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

from msgspec import Struct

from jobs.ticker import TickerLane
from tradebot import __version__
from tradebot.adapters.state import resources
from tradebot.adapters.state.safe_open import written_plain
from tradebot.adapters.state.serve_status import Supervisor, write_serving
from tradebot.adapters.state.state_folder import STALL_TRACE
from tradebot.app.settings_schema import ServeSettings
from tradebot.errors import ExitCode, TradebotError
from tradebot.model.event import EventKind
from tradebot.model.sentences import pluralize
from tradebot.model.serving import ServeNote
from tradebot.ports.stores import Events

STDOUT = 1


class StopRequest:
    """Requests to stop a running `serve`. The first signal stops it after the current passes, the second at once.

    `code` is the resulting exit code.
    """

    def __init__(self) -> None:
        self.ask: Callable[[], None] = lambda: None
        """Stops the running loop after the current passes; set by its caller."""
        self.asked = False
        self.code = ExitCode.DONE
        self.reload_asked = False
        self.reloading = False
        """Whether the passes end only to continue with another configuration."""
        self._at_a_terminal = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals inside the block."""
        self._at_a_terminal = os.isatty(STDOUT)
        handlers = {
            signal.SIGTERM: self._on_signal,
            signal.SIGINT: self._on_signal,
            signal.SIGHUP: self._on_hangup,
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def ending(self) -> bool:
        """Return True if no new pass should start, because of a reload or a stop."""
        return self.asked or self.reloading

    def end(self, code: ExitCode = ExitCode.DONE) -> None:
        """Request a stop after the current passes; the first request determines the exit code."""
        if not self.asked:
            self.asked, self.code = True, code
            self.ask()

    def reload(self) -> None:
        """Request that the current passes end, so that `serve` can continue with another configuration."""
        self.reloading = True
        self.ask()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            # No cleanup is needed: each order is in the ledger before it is sent, and is looked up later.
            os._exit(128 + number)
        self.end()

    def _on_hangup(self, number: int, frame: FrameType | None) -> None:
        if self._at_a_terminal and not os.isatty(STDOUT):
            self.end()
        self.reload_asked = True

    def between_calls(self, done: int, total: int) -> None:
        """Stop a long fetch between two calls, if a stop was requested; the replies so far are already stored."""
        if self.ending:
            why = "stopped by a signal" if self.asked else "cut short by a reload of the configuration"
            raise TradebotError(f"{why} after {done} of {total} calls")


LOOK_S = 0.5
"""Real seconds between two checks."""
HELD_S = 1.5
"""Real seconds of one pass after which the bot counts as not ready; in lock-step, trading time stops meanwhile."""
NOTE_S = 5.0
"""Seconds between two status notes without news; resources are checked as often."""
LONG_AGO_S = float("-inf")
SETTLED = timedelta(days=7)
"""The trading time that contains about five sessions; using more memory than they did counts as growth."""
LOCK_STEP = "lock-step"
"""The name of a sandbox's only lane."""
MB = 1_000_000
SHORT_FROM, SHORT_UNTIL = 0.8, 0.7
"""The fractions of `max_memory_mb` at which memory counts as short, and below which it no longer does."""


class Progress(Struct):
    """How long a lane has made no progress, by a monotonic clock, and whether that was reported.

    `held_s` is how long a single pass has kept the others waiting, even if that pass makes progress.
    """

    still_s: float = 0.0
    held_s: float = 0.0
    stalled: bool = False


class WatchedLane:
    """A lane whose ticks count as progress."""

    def __init__(self, watch: "Watch", name: str, lane: "TickerLane") -> None:
        self._watch = watch
        self._name = name
        self._lane = lane

    def tick(self) -> None:
        """Run due jobs."""
        with self._watch.progress_of(self._name):
            self._lane.tick()

    def close(self) -> None:
        """Close the lane's bot."""
        with self._watch.progress_of(self._name):
            self._lane.close()


class Watch:
    """Checks the lanes every LOOK_S seconds, and ends the process if one of them stalls for too long.

    Time counts against a lane only while this thread runs too, so a sleeping machine doesn't count as a stall.
    `on_look` is called at each check. `end` ends the process at once; that is safe, because everything is in the
    ledger.
    """

    def __init__(
        self,
        folder: Path,
        settings: "ServeSettings",
        stop: "StopRequest",
        supervisor: "Supervisor",
        events: "Events",
        end: Callable[[int], object] = os._exit,
        clock_s: Callable[[], float] = time.monotonic,
        stamp_time: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.settings = settings
        self.on_look: Callable[[], None] = lambda: None
        self.is_ready: Callable[[], bool] = lambda: False
        self._folder = folder
        self._stop = stop
        self._supervisor = supervisor
        self._events = events
        self._end = end
        self._lanes: dict[str, Progress] = {}
        self._here = threading.local()
        self._over = threading.Event()
        self._since = datetime.now(UTC)
        self._ready_at: datetime | None = None
        self._troubles: dict[str, str] = {}
        self.is_short = False
        """Whether memory is short, so that nothing that trading doesn't need should start."""
        self._clock_s = clock_s
        self._stamp_time = stamp_time
        self._looked_s = self._noted_s = clock_s()
        self._began: datetime | None = None
        self._most_bytes = 0
        self._settled_bytes: int | None = None
        self._asked_s: float | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watch the lanes inside the block."""
        thread = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._note()
        thread.start()
        try:
            yield
        finally:
            self._supervisor.tell(STOPPING="1", STATUS="ending")
            self._over.set()
            thread.join()
            self._note()

    @contextmanager
    def lanes(self, *names: str) -> Iterator[None]:
        """Watch lanes with these names inside the block."""
        self._lanes = {name: Progress() for name in names}
        try:
            yield
        finally:
            self._lanes = {}

    @contextmanager
    def progress_of(self, name: str) -> Iterator[None]:
        """Count this thread's work inside the block as progress of a lane, and also the block's start and end."""
        self._here.lane = name
        self.note_progress()
        try:
            yield
        finally:
            self.note_progress()

    def note_progress(self, *, within_pass: bool = False) -> None:
        """Record progress of this thread's lane: it finished a tick, a pass, or one call of a long fetch."""
        lane = self._lanes.get(getattr(self._here, "lane", ""))
        if lane is not None:
            lane.still_s = 0.0
            lane.held_s = lane.held_s if within_pass else 0.0

    def trouble(self, subsystem: str, problem: str | None) -> None:
        """Report a problem in the status note; with None, report that it is over."""
        if self._troubles.get(subsystem) == problem:
            return
        self._noted_s = LONG_AGO_S
        if problem is None:
            self._troubles.pop(subsystem, None)
        else:
            self._troubles[subsystem] = problem

    def look(self) -> None:
        """Check all lanes and resources once."""
        now_s = self._clock_s()
        # More than that has passed only if the process was stopped or the machine slept.
        passed_s, self._looked_s = min(now_s - self._looked_s, 2 * LOOK_S), now_s
        if self._stop.asked:
            self._asked_s = now_s if self._asked_s is None else self._asked_s
            if now_s - self._asked_s >= self.settings.stop_s:
                self._note()
                self._end(int(self._stop.code))
        for name, lane in self._lanes.items():
            lane.still_s += passed_s
            lane.held_s += passed_s
            self._judge(name, lane)
        if self._ready_at is None and self.is_ready():
            self.ready()
        self.on_look()
        if self._ready_at is not None and not any(lane.stalled for lane in self._lanes.values()):
            self._supervisor.tell(WATCHDOG="1")
        if now_s - self._noted_s >= NOTE_S:
            self._noted_s = now_s
            self._note()

    def ready(self) -> None:
        """Record that books and broker have been compared, so that jobs may run."""
        self._ready_at, self._noted_s = self._ready_at or datetime.now(UTC), LONG_AGO_S
        self._supervisor.tell(READY="1", STATUS=self._status())

    def reloading(self) -> None:
        """Tell the service manager that the configuration is being reloaded; it waits for the end of the reload."""
        if self._ready_at is not None:
            # CLOCK_MONOTONIC, by which the manager knows which of its requests this is about.
            self._supervisor.tell(RELOADING="1", MONOTONIC_USEC=str(time.monotonic_ns() // 1000))

    def note_reload(self) -> None:
        """Tell the service manager that the reload is over, whether or not it succeeded."""
        if self._ready_at is not None:
            self._supervisor.tell(READY="1", STATUS=self._status())

    def _watch(self) -> None:
        while not self._over.wait(LOOK_S):
            self.look()

    def _judge(self, name: str, lane: Progress) -> None:
        if name == LOCK_STEP:
            is_held = lane.held_s >= HELD_S
            self.trouble("trading time", "it makes no progress while a pass waits for an answer" if is_held else None)
        stalled = lane.still_s > self.settings.stall_s
        if stalled and not lane.stalled:
            self._trace()
            self._tell_of(EventKind.LANE_STALLED, name, f"no progress since {_ago(lane.still_s):%H:%M:%S} UTC")
            self.trouble(f"lane {name}", f"no progress for {lane.still_s:.0f} s")
        elif lane.stalled and not stalled:
            self._tell_of(EventKind.LANE_RECOVERED, name, "it continues")
            self.trouble(f"lane {name}", None)
        lane.stalled = stalled
        if lane.still_s > self.settings.stall_end_s:
            self._note()
            self._end(int(ExitCode.ERROR))

    def _tell_of(self, kind: EventKind, lane: str, message: str) -> None:
        self._events.emit(kind.at(self._stamp_time(), {"lane": lane, "message": message}))

    def _trace(self) -> None:
        """Write what each thread is doing, as file, line and function, without any values."""
        with suppress(OSError), written_plain(self._folder / STALL_TRACE) as file:
            faulthandler.dump_traceback(file)

    def _note(self) -> None:
        memory, descriptors = resources.memory_bytes(), resources.open_descriptors()
        self._weigh(memory, descriptors)
        if self._settled_bytes is None and memory is not None:
            self._settle(memory)
        noted = ServeNote(
            pid=os.getpid(),
            since=self._since,
            lanes={name: _ago(lane.still_s) for name, lane in self._lanes.items()},
            at=datetime.now(UTC),
            version=__version__,
            started_ticks=resources.started_ticks(),
            boot_id=resources.boot_id(),
            ready_at=self._ready_at,
            troubles=dict(self._troubles),
            memory_bytes=memory,
            descriptors=descriptors,
            settled_bytes=self._settled_bytes,
        )
        write_serving(self._folder, noted)
        if self._ready_at is not None:
            self._supervisor.tell(STATUS=self._status())

    def _settle(self, memory: int) -> None:
        now = self._stamp_time()
        self._began, self._most_bytes = min(self._began or now, now), max(memory, self._most_bytes)
        if now - self._began >= SETTLED:
            self._settled_bytes = self._most_bytes

    def _weigh(self, memory: int | None, descriptors: int | None) -> None:
        limits = self.settings
        if memory is not None:
            self._spare(memory, limits.max_memory_mb)
        over = []
        if memory is not None and memory > limits.max_memory_mb * MB:
            over.append(f"{memory / MB:,.0f} MB of memory, at most {limits.max_memory_mb:,}")
        if descriptors is not None and descriptors > limits.max_descriptors:
            over.append(f"{pluralize(descriptors, 'open file')}, at most {limits.max_descriptors:,}")
        if over and not self._stop.asked:
            details = {"message": "; ".join(over)}
            self._events.emit(EventKind.CEILING_REACHED.at(self._stamp_time(), details))
            self.trouble("ceilings", details["message"])
            self._stop.end(ExitCode.ERROR)

    def _spare(self, memory: int, most_mb: int) -> None:
        """Report whether memory is short; it stays so until usage is clearly below the threshold."""
        share = memory / (most_mb * MB)
        is_short = share >= (SHORT_UNTIL if self.is_short else SHORT_FROM)
        problem = f"{memory / MB:,.0f} MB of {most_mb:,}: no chore begins until it uses less" if is_short else None
        if is_short and not self.is_short:
            self._events.emit(EventKind.MEMORY_SHORT.at(self._stamp_time(), {"message": str(problem)}))
        self.is_short = is_short
        self.trouble("memory", problem)

    def _status(self) -> str:
        troubles = [f"{subsystem}: {problem}" for subsystem, problem in sorted(self._troubles.items())]
        slowest_s = max((lane.still_s for lane in self._lanes.values()), default=0.0)
        lanes = f"{pluralize(len(self._lanes), 'lane')}, the slowest made progress {slowest_s:.0f} s ago"
        return "; ".join([lanes, *troubles])


def _ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)
