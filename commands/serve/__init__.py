"""`tradebot serve`: run every job of the timetable in its slots until a signal ends it."""

import json
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.declaration import VerbPurpose, changes_trading, verb
from commands.shared.light_helpers import OutputError, document, say
from commands.shared.verb_options import (
    Config,
    Json,
    StateDir,
    caller,
    console,
    identity,
    jsonable,
    opened_to_leave,
)
from tradebot.errors import CannotWriteError, ExitCode, OperatorError, TradebotError

if TYPE_CHECKING:
    from commands.serve.log import Log
    from jobs.runner import LogLine
    from tradebot.app.settings import Loaded
    from tradebot.app.wiring import App

LOCK_WAIT_S = 0.5
"""How long to wait for `serve`'s lock: a command that checks whether `serve` runs holds it for a moment."""


def run(
    app: "App",
    *,
    by: str,
    speed: float | None,
    tell: "Callable[[LogLine], None]",
    config: str | None = None,
    load: "Callable[[], Loaded] | None" = None,
    lost: Callable[[], str | None] = lambda: None,
) -> ExitCode:
    """Run due jobs until a signal arrives or, in the sandbox, the market ends; return the exit code.

    `config` is the configuration file that a person named, `load` reloads the configuration, and `lost` returns why the
    last line of the log couldn't be written. Raises TradebotError, exit 6, if another `serve` is running on this
    folder.
    """
    from commands.serve.daemon import Daemon
    from tradebot.adapters.state import state_locks
    from tradebot.model.trading import Mode

    if speed is not None and app.mode is not Mode.SANDBOX:
        raise OperatorError(f"mode {app.mode} trades in real time, so --speed can't be used", "tradebot serve")
    _refuse_training(app)
    running = (
        "If that process is serve, it runs everything that is due: tradebot status. Otherwise, wait for it to finish."
    )
    with state_locks.hold(app.folder.path, "serve", wait_s=LOCK_WAIT_S, name=state_locks.SERVE_LOCK, hint=running):
        return Daemon(app, f"serve {by}", speed, tell, config, load or (lambda: app.loaded), lost).run()


def _refuse_training(app: "App") -> None:
    """Raise OperatorError if a policy is set to training, which never happens inside a trading bot."""
    from tradebot.learning.ensemble import PolicyMode
    from tradebot.strategies.settings import POLICY

    chosen, sections = app.settings.strategies, app.settings.strategies.in_use()
    waits = chosen.in_shadow() | chosen.until_promoted()
    for name, installed in chosen.installed_as().items():
        if installed == POLICY and name not in waits and sections[name].get("mode") == PolicyMode.TRAINING:
            raise OperatorError(
                f"strategies.{name}.mode is training, but serve doesn't train models",
                f"tradebot config set strategies.{name}.mode inference, or set strategies.{name} to null",
            )


def _number(speed: float | None) -> float | None:
    """Return the speed; raise typer.BadParameter for NaN, which a check of minimum and maximum doesn't catch."""
    if speed is not None and math.isnan(speed):
        raise typer.BadParameter("nan is not a number")
    return speed


def _teller(app: "App", as_json: bool, log: "Log | None") -> "Callable[[LogLine], None]":
    """Return a function that prints one line: a document for programs, a row for people, and a line of the log.

    With a log, rows are only printed on a terminal. If output can't be written, it is lost, and `serve` goes on.
    """
    from commands.serve.lanes import row

    screen, one_at_a_time = console(), threading.Lock()
    for_people = log is None or sys.stdout.isatty()

    def tell(line: "LogLine") -> None:
        if log is not None:
            log.line(line)
        with one_at_a_time, suppress(OSError, OutputError):
            if as_json:
                report = document("serve", identity(app), line.exit_code, jsonable(line))
                say(json.dumps(report, allow_nan=False))
            elif for_people:
                screen.print(row(line))
                sys.stdout.flush()

    return tell


def _log(app: "App", target: str | None) -> "Log | None":
    if target is None:
        return None
    from commands.serve.log import log_to

    log = log_to(target, app.settings.serve, identity(app))
    app.hear = log.event
    return log


@contextmanager
def _to_be_started_again() -> Iterator[None]:
    """End with exit code 5 if the disk is full, because a supervisor restarts `serve` after a 5 but not after a 2."""
    try:
        yield
    except CannotWriteError as full:
        raise TradebotError(full.message, full.hint, code=ExitCode.UNAVAILABLE) from full


@verb(
    "serve",
    VerbPurpose.TRADE,
    10,
    {"serve/1": ("jobs.runner:LogLine",)},
    epilog="tradebot serve\ntradebot serve --speed 600  # on the sandbox, ten minutes a second",
)
@changes_trading
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
    log: Annotated[
        str | None,
        typer.Option("--log", metavar="FILE", help="Also write a log of JSON lines; - is stderr."),
    ] = None,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Run every job on schedule until Ctrl-C.

    The jobs are fetching flow, scoring, exits, entries and reconciling. SIGHUP reloads the configuration.
    """
    from tradebot.app.loading import Options, load_for

    with _to_be_started_again(), opened_to_leave(state_dir, config) as bot:
        logged = _log(bot, log)
        tell, lost = _teller(bot, as_json, logged), logged.lost if logged else lambda: None
        load = partial(load_for, bot.folder, Options(state_dir, config), os.environ)
        code = run(bot, by=caller(), speed=speed, tell=tell, config=config, load=load, lost=lost)
    raise typer.Exit(int(code))
