"""`tradebot serve`: run every job of the timetable in its slots until a signal ends it."""

import json
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.plain import document, say
from commands.shared.surface import Config, Json, StateDir, caller, console, jsonable, opened_to_leave
from tradebot.errors import ExitCode, OperatorError, TradebotError

if TYPE_CHECKING:
    from datetime import datetime

    from commands.serve.lanes import Shift
    from jobs.duty import Duty
    from jobs.runner import Lane, Line, Pace
    from tradebot.app.wiring import App

SPEED = 60.0
"""Engine seconds to a real second on the embedded exchange: a session takes six and a half minutes."""


def run(
    app: "App", *, by: str, speed: float | None, tell: "Callable[[Line], None]", config: str | None = None
) -> ExitCode:
    """Run what is due until a signal, or in the sandbox until its market ends, and return the exit code.

    Raises TradebotError, exit 6, if another `serve` is running on this folder.
    """
    from tradebot.adapters.state import lock

    with lock.hold(app.folder.path, "serve", wait_s=0.0, name=lock.SERVE_LOCK):
        return _serve(app, f"serve {by}", speed, tell, config)


def _serve(app: "App", by: str, speed: float | None, tell: "Callable[[Line], None]", config: str | None) -> ExitCode:
    from functools import partial

    from commands.serve.lanes import Shift, exits_first
    from jobs.runner import Runner, tick_until
    from tradebot.adapters.time.pace import EngineTime

    stop = Stop()
    shift = Shift(by, tell, stop.between_calls, config, lambda: stop.asked)
    duty = shift.duty(app)
    pace = _pace(app, duty, speed, tell)
    runner = exits_first(app, Runner(shift.station(app), duty, pace))
    stop.ask = partial(setattr, runner, "stopping", True)
    note = partial(_note, app, tell)
    with stop.listening():
        note(pace.now, f"started by {by}; Ctrl-C stops it after the current pass")
        runner.begin()
        if isinstance(pace, EngineTime):
            # While an answer of the flow source takes its time, what is due for trading runs.
            app.let_pass = lambda seconds: runner.meanwhile(pace.passing(seconds))
            with _streaming(app, tell, runner.tick) as tick:
                tick_until(tick, lambda: runner.over)
            code = runner.exit_code
        else:
            code = _in_lanes(app, shift, stop, reconciled=runner.reconciled)
    note(pace.now, _ending(stop, finished=pace.finished))
    return code


@contextmanager
def _streaming(app: "App", tell: "Callable[[Line], None]", tick: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Yield a tick that also follows the flow source's stream, if the configuration says so."""
    if not app.settings.unusual_whales.stream:
        yield tick
        return
    from commands.serve.streaming import StreamLane

    with closing(StreamLane(app.twin(), tell)) as stream:

        def both() -> None:
            tick()
            stream.tick()

        yield both


def _in_lanes(app: "App", shift: "Shift", stop: "Stop", *, reconciled: bool) -> ExitCode:
    """Run the jobs in real time, each lane in a thread of its own; return the exit code."""
    from commands.serve.lanes import lanes
    from commands.serve.streaming import StreamLane
    from jobs.runner import tick_lanes

    working = lanes(app, shift, reconciled=reconciled)

    def ask() -> None:
        for lane in working.values():
            lane.stop()

    stop.ask = ask
    over = lambda: stop.asked or any(lane.over for lane in working.values())  # noqa: E731
    extra: dict[str, Lane] = {}
    if app.settings.unusual_whales.stream:
        extra["stream"] = StreamLane(app.twin(), shift.tell)
    tick_lanes({**working, **extra}, over)
    return max(lane.exit_code for lane in working.values())


def _pace(app: "App", duty: "Duty", speed: float | None, tell: "Callable[[Line], None]") -> "Pace":
    """Return the source of trading time: the broker's clock, or the embedded exchange's, which this process moves."""
    from functools import partial

    from jobs.runner import TICK_S
    from tradebot.adapters.time.pace import EngineTime, RealTime
    from tradebot.model.trading import Mode

    if app.mode is Mode.SANDBOX:
        return EngineTime(app.engine, (speed or SPEED) * TICK_S, duty.next_start, partial(_note, app, tell))
    if speed is not None:
        raise OperatorError(f"mode {app.mode} trades in real time, so --speed can't be used", "tradebot serve")
    return RealTime(app.now, app.settings.limits.max_clock_disagreement_s)


def _note(app: "App", tell: "Callable[[Line], None]", at: "datetime", message: str) -> None:
    """Print a message about the whole run, and record it as an event."""
    from jobs.runner import Kind, Line
    from tradebot.model.event import EventKind

    app.events.emit(EventKind.SERVE_NOTE.at(at, {"message": message}))
    tell(Line(at, Kind.NOTE, None, None, message, ExitCode.DONE))


def _ending(stop: "Stop", *, finished: bool) -> str:
    if finished:
        return "the market has ended: its last session is over. Next: tradebot init --state-dir NEW"
    if stop.asked:
        return "stopped by a signal; every order sent is recorded in the ledger"
    return "ended after too many bugs in a row. Next: tradebot events"


class Stop:
    """Handles the two signals: the first one stops after the current passes, the second ends the process at once."""

    def __init__(self) -> None:
        self.ask: Callable[[], None] = lambda: None
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT inside the block."""
        before = {number: signal.signal(number, self._heard) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            # No cleanup is needed: each order is in the ledger before it is sent, and is looked up later.
            os._exit(128 + number)
        self.asked = True
        self.ask()

    def between_calls(self, done: int, total: int) -> None:
        """End a long fetch between two calls; the replies so far are already stored."""
        if self.asked:
            raise TradebotError(f"stopped by a signal after {done} of {total} calls")


def _number(speed: float | None) -> float | None:
    """Refuse NaN, which a check of minimum and maximum does not catch."""
    if speed is not None and math.isnan(speed):
        raise typer.BadParameter("nan is not a number")
    return speed


def _teller(app: "App", as_json: bool) -> "Callable[[Line], None]":
    """Return what prints one line: a document for programs, a row for people."""
    from commands.serve.screen import row

    screen, one_at_a_time = console(), threading.Lock()

    def as_document(line: "Line") -> None:
        found = document("serve", app.mode_name, app.account_tail, line.exit_code, jsonable(line))
        with one_at_a_time:
            say(json.dumps(found, allow_nan=False))

    def as_row(line: "Line") -> None:
        with one_at_a_time:
            screen.print(row(line))
            sys.stdout.flush()

    return as_document if as_json else as_row


def register(app: typer.Typer) -> None:
    """Register the verb."""

    @app.command("serve", epilog="tradebot serve\ntradebot serve --speed 600  # on the sandbox, ten minutes a second")
    def serve(
        speed: Annotated[
            float | None,
            typer.Option(
                "--speed",
                min=1,
                max=1_000_000,
                callback=_number,
                help="Sandbox only: exchange seconds per real second [60].",
            ),
        ] = None,
        state_dir: StateDir = None,
        config: Config = None,
        as_json: Json = False,
    ) -> None:
        """Run every job on schedule until Ctrl-C.

        The jobs are fetching flow, scoring, exits, entries and reconciling.
        """
        with opened_to_leave(state_dir, config) as bot:
            code = run(bot, by=caller(), speed=speed, tell=_teller(bot, as_json), config=config)
        raise typer.Exit(int(code))
