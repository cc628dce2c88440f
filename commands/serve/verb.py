"""`tradebot serve`: run every job of the timetable in its slots until a signal ends it."""

import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.plain import document, say
from commands.shared.surface import Config, Json, StateDir, caller, console, jsonable, opened_to_leave
from tradebot.errors import ExitCode, OperatorError, TradebotError

if TYPE_CHECKING:
    from datetime import datetime

    from commands.shared.surface import Report
    from jobs.duty import Duty
    from jobs.runner import Done, Line, Pace, Runner
    from jobs.timetable import Slot
    from tradebot.app.wiring import App
    from tradebot.model.record import Job

SPEED = 60.0
"""Engine seconds to a real second on the embedded exchange: a session takes six and a half minutes."""


def run(app: "App", *, by: str, speed: float | None, tell: "Callable[[Line], None]") -> ExitCode:
    """Run what is due until a signal, or in the sandbox until its market ends, and return the exit code.

    Raises TradebotError, exit 6, if another `serve` is running on this folder.
    """
    from tradebot.adapters.state import lock

    with lock.hold(app.folder.path, "serve", wait_s=0.0, name=lock.SERVE_LOCK):
        return _serve(app, f"serve {by}", speed, tell)


def _serve(app: "App", by: str, speed: float | None, tell: "Callable[[Line], None]") -> ExitCode:
    from functools import partial

    from commands.shared.passes import unfinished
    from jobs.duty import Duty
    from jobs.runner import Runner, Station, tick_until
    from tradebot.ports.world import Call

    def cut_short(slot: "Slot", now: "datetime") -> bool:
        return unfinished(app, Call(slot.job, slot.session, slot.name, by), now)

    settings = app.settings
    duty = Duty(app.ledger, settings.timetable, settings.serve.grace_s, app.ensure_calendar, cut_short)
    pace = _pace(app, duty, speed, tell)
    stop = Stop()
    verbs = _verbs(app, by, stop)
    station = Station(verbs, by, app.mode_name, app.facts.record, app.events, tell, time.monotonic)
    runner = Runner(station, duty, pace)
    stop.ask = partial(setattr, runner, "stopping", True)
    note = partial(_note, app, tell)
    with stop.listening():
        note(pace.now, f"started by {by}; Ctrl-C stops it after the current pass")
        runner.begin()
        tick_until(runner.tick, lambda: runner.over)
    note(pace.now, _ending(runner, pace))
    return runner.exit_code


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
    from tradebot.model.event import Severity, SystemEvent

    app.events.emit(SystemEvent(at, "serve", "note", Severity.INFO, None, {"message": message}))
    tell(Line(at, Kind.NOTE, None, None, message, ExitCode.DONE))


def _ending(runner: "Runner", pace: "Pace") -> str:
    if pace.finished:
        return "the market has ended: its last session is over. Next: tradebot init --state-dir NEW"
    if runner.stopping:
        return "stopped by a signal; every order sent is recorded in the ledger"
    return "ended after too many bugs in a row. Next: tradebot events"


class Stop:
    """Handles the two signals: the first one stops after the current pass, the second ends the process at once."""

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


def _verbs(app: "App", by: str, stop: Stop) -> "dict[Job, Callable[[], Done]]":
    from commands.evaluate_exits import verb as evaluate_exits
    from commands.fetch_flow import verb as fetch_flow
    from commands.reconcile import verb as reconcile
    from commands.score import verb as score
    from commands.serve.screen import done
    from commands.trade_once import verb as trade_once
    from tradebot.model.record import Job

    runs: dict[Job, Callable[[], Report]] = {
        Job.FETCH_FLOW: lambda: fetch_flow.run(app, by=by, progress=stop.between_calls),
        Job.SCORE: lambda: score.run(app, by=by),
        Job.EVALUATE_EXITS: lambda: evaluate_exits.run(app, by=by),
        Job.TRADE_ONCE: lambda: trade_once.run(app, by=by),
        Job.RECONCILE: lambda: reconcile.run(app, by=by),
    }
    return {job: lambda verb=verb: done(verb()) for job, verb in runs.items()}  # type: ignore[misc]


def _teller(app: "App", as_json: bool) -> "Callable[[Line], None]":
    """Return what prints one line: a document for programs, a row for people."""
    from commands.serve.screen import row

    screen = console()

    def as_document(line: "Line") -> None:
        found = document("serve", app.mode_name, app.account_tail, line.exit_code, jsonable(line))
        say(json.dumps(found, allow_nan=False))

    def as_row(line: "Line") -> None:
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
            code = run(bot, by=caller(), speed=speed, tell=_teller(bot, as_json))
        raise typer.Exit(int(code))
