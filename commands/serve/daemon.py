"""How `serve` runs: its start, its lanes, its reloads, and its end."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import partial

from msgspec import Struct

from commands.serve.lanes import LaneContext, exits_first, lanes
from commands.serve.streaming import StreamLane
from commands.serve.watchdog_thread import LOCK_STEP, StopRequest, Watch, WatchedLane
from commands.serve.web import serve_pages
from commands.tail import TailedFiles
from jobs.backoff import BROKER, Backoff
from jobs.due_slots import SlotTracker
from jobs.runner import TICK_S, LogKind, LogLine, Pace, Runner
from jobs.ticker import TickerLane, tick_lanes, tick_until
from tradebot import __version__
from tradebot.adapters.plugins.plugin import require_installed
from tradebot.adapters.state import serve_status
from tradebot.adapters.state.serve_status import Supervisor
from tradebot.adapters.state.subprocess_runner import OneShots
from tradebot.adapters.time.clock import EngineTime, RealTime
from tradebot.app.baseline import counts_at_start, values_of
from tradebot.app.learned_settings import learned_at
from tradebot.app.settings import Loaded, Settings
from tradebot.app.wiring import App
from tradebot.desk.auto_halt import halt_for
from tradebot.errors import ExitCode, TemporaryError, TradebotError, one_line
from tradebot.model.event import EventKind
from tradebot.model.reasons import Reason
from tradebot.model.sentences import format_yaml_scalar
from tradebot.model.serving import ENDED, STOPPED
from tradebot.model.trading import Mode
from tradebot.ports.stores import Events

FOREVER_S = 10 * 365 * 86_400.0
LAST_S = 5.0
"""How long sending the last notices of a run may take, in seconds."""
LOOK_S = 1.0
"""How often to check whether an unused helper process is needed, in seconds."""


class ServePart(Struct, frozen=True):
    """A helper process that `serve` runs besides its lanes: its start and stop messages, and whether a bot uses it."""

    name: str
    words: Sequence[str]
    last: Sequence[str]
    in_use: "Callable[[Settings], bool]"


NOTICES = ServePart(
    "notices", ("notify", "send", "--follow"), ("notify", "send"), lambda settings: bool(settings.notify.in_use())
)
CHAT = ServePart("chat", ("chat", "listen"), (), lambda settings: settings.chat.telegram is not None)


@contextmanager
def notices_and_chat(
    app: "App", config: str | None, tell: Callable[[LogLine], None], now: "Callable[[], Loaded]"
) -> Iterator[None]:
    """Send notices inside the block and once more before it ends, and listen to the chat, if there is one.

    Each helper reads the configuration only when it starts. So when `now` returns a different one, the helper is
    restarted or stopped.
    """
    ending = threading.Event()
    started = [
        threading.Thread(target=_run, args=(app, config, tell, ending, now, part), name=part.name)
        for part in (NOTICES, CHAT)
    ]
    for thread in started:
        thread.start()
    try:
        yield
    finally:
        ending.set()
        for thread in started:
            thread.join()


def _run(
    app: "App",
    config: str | None,
    tell: Callable[[LogLine], None],
    ending: threading.Event,
    now: "Callable[[], Loaded]",
    part: ServePart,
) -> None:
    run, wait_s = OneShots(app.folder.path, config), float(app.settings.serve.retry_s)
    while not ending.is_set():
        loaded = now()
        if not part.in_use(loaded.settings):
            ending.wait(LOOK_S)
            continue
        ended = run(part.words, FOREVER_S, lambda: ending.is_set() or now() is not loaded)  # noqa: B023 -- it runs now
        if ended.why != STOPPED:
            stop_text = (
                f"{part.name} stopped (exit {ended.code}): {ended.output.splitlines()[-1] if ended.output else ''}"
            )
            tell(LogLine(datetime.now(UTC), LogKind.FAILED, None, None, stop_text, ExitCode.ERROR))
            ending.wait(wait_s)
    if part.last and part.in_use(now().settings):
        run(part.last, LAST_S, lambda: False)


SUBSYSTEM = "config"
LONGEST = 80
MOST = 20
"""How many changed settings are named."""


class Reloading(Struct):
    """Reloads the configuration on request; `taken` is the configuration for the lanes to continue with, or None."""

    load: "Callable[[], Loaded]"
    now: "Loaded"
    stop: "StopRequest"
    watch: "Watch"
    events: "Events"
    stamp_time: Callable[[], datetime] = lambda: datetime.now(UTC)
    taken: "Loaded | None" = None
    learning: Callable[[], object] = lambda: None
    """Returns the settings that learning has put over the others; a change of them causes a reload too."""
    learned: object = None

    def look(self) -> None:
        """Reload the configuration if that was requested or if learned settings changed.

        A valid configuration takes effect once the running passes have ended.
        """
        before, self.learned = self.learned, self.learning()
        if not (self.stop.reload_asked or before != self.learned) or self.stop.ending:
            return
        self.stop.reload_asked = False
        self.watch.reloading()
        try:
            loaded = self.load()
            # One that ran before is told by each pass, and mustn't keep a limit from being lowered.
            running = self.now.settings.strategies.installed_as().items()
            require_installed(dict(loaded.settings.strategies.installed_as().items() - running))
        except TradebotError as invalid:
            problem = f"the configuration wasn't reloaded: {one_line(invalid)}"
            self._tell(EventKind.CONFIG_NOT_RELOADED, problem)
            self.watch.trouble(SUBSYSTEM, problem)
            self.watch.note_reload()
            return
        self.watch.trouble(SUBSYSTEM, None)
        changed = changes(self.now.settings, loaded.settings)
        self._tell(EventKind.CONFIG_RELOADED, describe_change(changed))
        # A file that couldn't be read blocks entries, even if it says what was accepted once it can be.
        if changed or self.now.unread:
            self.taken = loaded
            self.stop.reload()
        else:
            self.watch.note_reload()

    def take(self) -> "Loaded | None":
        """Return a reloaded configuration, once; None if there is none, or if the lanes should end."""
        loaded, self.taken = self.taken, None
        if loaded is not None:
            self.now, self.stop.reloading = loaded, False
        return None if self.stop.asked else loaded

    def _tell(self, kind: EventKind, message: str) -> None:
        self.events.emit(kind.at(self.stamp_time(), {"message": message}))


def changes(before: "Settings", after: "Settings") -> tuple[tuple[str, str, str], ...]:
    """Return each setting that changed: its name, and both values as written in the configuration."""
    was, now = values_of(before), values_of(after)
    names = (name for name in dict.fromkeys((*was, *now)) if was.get(name) != now.get(name))
    return tuple((name, _value_text(was.get(name)), _value_text(now.get(name))) for name in names)


def describe_change(changed: tuple[tuple[str, str, str], ...]) -> str:
    """Describe the changes in a sentence, and name the settings that need a restart to take effect."""
    if not changed:
        return "the configuration was read again, and nothing in it changed"
    named = [f"{name} from {was} to {now}" for name, was, now in changed[:MOST]]
    more = f" and {len(changed) - MOST} more" if len(changed) > MOST else ""
    restart = [name for name, *_ in changed if counts_at_start(Settings, name)]
    later = f"; restart serve for {', '.join(restart)}" if restart else ""
    return f"the configuration was reloaded: {', '.join(named)}{more}{later}"


def _value_text(value: object) -> str:
    text = format_yaml_scalar(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


SPEED = 60.0
"""Seconds on the embedded exchange per real second: a session takes six and a half minutes."""


class Daemon:
    """Runs the jobs of one bot until a signal arrives or, in the sandbox, the market ends.

    `config` is the configuration file that a person named, `load` reloads the configuration, `by` is who started it,
    and `lost` returns why the last line of the log couldn't be written.
    """

    def __init__(
        self,
        app: "App",
        by: str,
        speed: float | None,
        tell: Callable[[LogLine], None],
        config: str | None,
        load: "Callable[[], Loaded]",
        lost: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._app = app
        self._by = by
        self._speed = speed
        self._tell_line = tell
        self._config = config
        self._lost = lost
        self._began = datetime.now(UTC)
        self._starts = 0
        self._stop = StopRequest()
        outside = (self._stop, Supervisor(os.environ), app.events, self._end_at_once)
        self._watch = Watch(app.folder.path, app.settings.serve, *outside, stamp_time=app.stamp_time)
        self._reloading = Reloading(load, app.loaded, self._stop, self._watch, app.events, app.stamp_time)
        self._reloading.learning = partial(learned_at, app.folder.path)
        self._reloading.learned = learned_at(app.folder.path)
        self._watch.on_look = self._reloading.look

    def run(self) -> ExitCode:
        """Run until stopped, and return the exit code; a TradebotError that ends it is recorded and raised again."""
        others = notices_and_chat(self._app, self._config, self._tell_line, lambda: self._reloading.now)
        with self._stop.listening(), self._watch.running(), self._health_pages(), others:
            self._note_start()
            try:
                code = self._run_until_stopped()
            except TradebotError as ended:
                # A manager may not start it again after such an end, and whoever looks later finds no process.
                self._watch.trouble(ENDED, one_line(ended))
                self._forget_start()
                raise
            if code is ExitCode.DONE:
                self._forget_start()
            return code

    def _health_pages(self) -> AbstractContextManager[object]:
        ports = self._app.settings.health.ports
        if not ports:
            return nullcontext()
        return serve_pages(self._app, ports)

    def _run_until_stopped(self) -> ExitCode:
        code = self._run_with_configuration(self._app, first=True)
        while (loaded := self._reloading.take()) is not None:
            self._watch.settings = loaded.settings.serve
            with closing(self._app.twin(loaded)) as again:
                code = self._run_with_configuration(again)
        return max(code, self._stop.code)

    def _run_with_configuration(self, app: "App", *, first: bool = False) -> ExitCode:
        settings = app.settings.serve
        backoff = Backoff(settings.retry_s, settings.retry_most_s, app.events)
        ends = lambda: self._stop.asked  # noqa: E731
        restart_inputs = self._stopping, ends, backoff, self._spares
        context = LaneContext(self._by, self._tell, self._between_calls, self._config, *restart_inputs)
        slot_tracker = context.slot_tracker(app)
        pace = self._pace(app, slot_tracker)
        if pace is None:
            return ExitCode.DONE
        runner = exits_first(app, Runner(context.runner_context(app), slot_tracker, pace, backoff=backoff))
        self._stop.ask, app.turns.ends = partial(setattr, runner, "stopping", True), context.ends
        if first:
            started = f"started by {self._by}; Ctrl-C stops it after the current pass"
            self._note(app, pace.now, started, version=__version__)
            self._halt_if_it_loops(app, pace.now)
        runner.begin()
        if runner.is_reconciled:
            self._watch.ready()
        if not first:
            self._watch.note_reload()
        if isinstance(pace, EngineTime):
            code = self._in_lock_step(app, runner, pace)
        else:
            code = self._in_lanes(app, context, reconciled=runner.is_reconciled)
        if not self._stop.reloading:
            self._note(app, pace.now, self._ending(finished=pace.is_finished))
        return code

    def _in_lock_step(self, app: "App", runner: Runner, pace: EngineTime) -> ExitCode:
        # While an answer of the flow source takes its time, what is due for trading runs.
        app.let_pass = lambda seconds: runner.meanwhile(pace.passing(seconds))
        tails = TailedFiles(app)
        with self._watch.lanes(LOCK_STEP), _streaming(app, self._tell, runner.tick) as tick:

            def watch() -> None:
                with self._watch.progress_of(LOCK_STEP):
                    tick()
                    tails.tick()

            self._catch_up()
            tick_until(watch, lambda: runner.over)
        return runner.exit_code

    def _in_lanes(self, app: "App", context: LaneContext, *, reconciled: bool) -> ExitCode:
        working = lanes(app, context, reconciled=reconciled)

        def ask() -> None:
            for lane in working.values():
                lane.stop()

        self._stop.ask = ask
        self._watch.is_ready = lambda: working["exits"].is_reconciled
        over = lambda: self._stop.ending or any(lane.over for lane in working.values())  # noqa: E731
        every: dict[str, TickerLane] = dict(working)
        if app.settings.unusual_whales.stream:
            every["stream"] = StreamLane(app.twin(), self._tell)
        with self._watch.lanes(*every):
            tick_lanes({name: WatchedLane(self._watch, name, lane) for name, lane in every.items()}, over)
        return max(lane.exit_code for lane in working.values())

    def _catch_up(self) -> None:
        """Repeat a stop request that came before there was a runner to stop."""
        if self._stop.ending:
            self._stop.ask()

    def _pace(self, app: "App", slot_tracker: "SlotTracker") -> "Pace | None":
        """Return the source of trading time; None if a signal came before the broker's time was known.

        That is the broker's clock, once it answers, or the embedded exchange's, which this process advances.
        """
        if not self._runs_in_real_time(app):
            share_s = (self._speed or SPEED) * TICK_S
            return EngineTime(app.engine, share_s, slot_tracker.next_start, partial(self._note, app))
        wait_s = app.settings.serve.retry_s
        while not self._stop.asked:
            try:
                pace = self._clock(app)
                self._watch.trouble(BROKER, None)
                return pace
            except TemporaryError as away:
                message = f"{one_line(away)}; trying again in {wait_s} s"
                self._tell(LogLine(datetime.now(UTC), LogKind.FAILED, None, None, message, away.code))
                self._watch.trouble(BROKER, away.message)
            until_s = time.monotonic() + wait_s
            while time.monotonic() < until_s and not self._stop.asked:
                time.sleep(0.2)
            wait_s = min(2 * wait_s, app.settings.serve.retry_most_s)
        return None

    def _runs_in_real_time(self, app: "App") -> bool:
        return app.mode is not Mode.SANDBOX

    def _clock(self, app: "App") -> RealTime:
        return RealTime(app.now, app.settings.limits.max_clock_disagreement_s)

    def _tell(self, line: LogLine) -> None:
        self._watch.note_progress()
        self._tell_line(line)
        self._watch.trouble("log", self._lost())

    def _between_calls(self, done: int, total: int) -> None:
        self._watch.note_progress(within_pass=True)
        self._stop.between_calls(done, total)

    def _stopping(self) -> bool:
        """Return True if a running chore should end; this call also counts as progress."""
        self._watch.note_progress()
        return self._stop.ending

    def _spares(self) -> Reason | None:
        return Reason.MEMORY_SHORT if self._watch.is_short else None

    def _note(self, app: "App", at: datetime, message: str, **more: str) -> None:
        app.events.emit(EventKind.SERVE_NOTE.at(at, {"message": message, **more}))
        self._tell(LogLine(at, LogKind.NOTE, None, None, message, ExitCode.DONE))

    def _ending(self, *, finished: bool) -> str:
        if finished:
            return "the market has ended: its last session is over. Next: tradebot init --state-dir NEW"
        if self._stop.asked and self._stop.code:
            return "ended for a restart; every order sent is recorded in the ledger. Next: tradebot events"
        if self._stop.asked:
            return "stopped by a signal; every order sent is recorded in the ledger"
        return "ended after too many bugs in a row. Next: tradebot events"

    def _note_start(self) -> None:
        """Record this start durably. If that fails, the disk is full, and then no entry is sent anyway."""
        try:
            self._starts = serve_status.record_start(self._app.folder.path, self._began)
        except OSError as error:
            self._watch.trouble("starts", f"this start can't be recorded: {error.strerror}")

    def _halt_if_it_loops(self, app: "App", now: datetime) -> None:
        if self._starts > serve_status.MOST_STARTS:
            halt_for(
                app.ledger, app.events, Reason.CRASH_LOOP, f"{self._starts} against {serve_status.MOST_STARTS}", now
            )

    def _forget_start(self) -> None:
        with suppress(OSError):
            serve_status.forget_start(self._app.folder.path, self._began)

    def _end_at_once(self, code: int) -> None:
        """End the process during a pass: the next one continues from the ledger, as after a kill."""
        if code == ExitCode.DONE:
            self._forget_start()
        os._exit(code)


@contextmanager
def _streaming(app: "App", tell: Callable[[LogLine], None], tick: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Yield a tick that also follows the flow source's stream, if the configuration says so."""
    if not app.settings.unusual_whales.stream:
        yield tick
        return
    with closing(StreamLane(app.twin(), tell)) as stream:

        def both() -> None:
            tick()
            stream.tick()

        yield both
