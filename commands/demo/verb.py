"""`tradebot demo`: play one session on the embedded exchange, using the same functions as the verbs."""

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.init.verb import Bars, BarStamp, Edge, FlowFolder, Seed, Sessions, Start, Symbols, Venue
from commands.shared.plain import note
from commands.shared.surface import VERBS, Json, Report, StateDir, finish, identity, progress_bar, show_traded_by
from tradebot.errors import ExitCode, OperatorError

if TYPE_CHECKING:
    from tradebot.app.wiring import App
    from tradebot.model.bar import Session
    from tradebot.ports.world import Progress

SESSION_MINUTES, LONGEST = 390, 1440
"""How much of a session is played unless more is asked for, and how long the longest one is, in minutes."""


def run(state_dir: str | None, flags: dict[str, Any], minutes: int, progress: "Progress") -> Report:
    """Make a fresh demo state, play its first session, and check the books against the exchange."""
    from commands.init import verb as init
    from tradebot.adapters.state import state_folder
    from tradebot.app.loading import Options
    from tradebot.app.settings import load
    from tradebot.app.wiring import opened as open_app

    started = time.monotonic()
    path = state_folder.resolve(state_dir, os.environ)
    _refuse_users(path)
    settings = load(_configuration(path), os.environ, flags).settings
    with init.setting_up(path, "demo"):
        _clear(path)
        init.make(path, settings, "demo", flags)
        with open_app(Options(str(path)), os.environ) as app:
            session, played = play(app, minutes, progress)
            show_traded_by(app)
            return report(app, session, played, time.monotonic() - started)


def report(app: "App", session: "Session", minutes: int, elapsed_s: float) -> Report:
    """Report the played session; exit 1 if the books and the exchange disagree."""
    from commands.demo.report import played_data, render

    data = played_data(app, session, minutes, elapsed_s)
    code = ExitCode.ERROR if data.differences else ExitCode.DONE
    return Report("demo", data, render, code, identity(app))


def _refuse_users(path: Path) -> None:
    from tradebot.adapters.state import state_folder

    folder = state_folder.open_state(path) if state_folder.marked(path) else None
    if folder and folder.kind != "demo":
        raise OperatorError(
            f"{path} is the folder of a bot of yours (mode {folder.mode}), and a demo doesn't replace it",
            "tradebot demo --state-dir state/demo",
        )


def _configuration(path: Path) -> Path | None:
    """Return the user's configuration file; a file in an earlier demo's folder belongs to that demo."""
    from tradebot.adapters.state import state_folder
    from tradebot.app.loading import USER_FILE, Options, user_file

    file = user_file(Options(), path, os.environ)
    return None if file == path / USER_FILE and state_folder.marked(path) else file


def _clear(path: Path) -> None:
    """Remove an earlier demo that nobody is working on; keep a configuration that a person has edited."""
    from shutil import rmtree

    from commands.init.own_file import written_here
    from tradebot.adapters.state import lock, state_folder
    from tradebot.app import sandbox
    from tradebot.app.loading import USER_FILE

    _refuse_users(path)
    if not state_folder.marked(path):
        return
    with lock.hold_all(path, "demo"):
        sandbox.stop(path / state_folder.EXCHANGE)
        if (path / USER_FILE).exists() and not written_here(path / USER_FILE):
            note(f"note: your {USER_FILE} was moved to {state_folder.set_aside(path, [USER_FILE])}")
        for folder in state_folder.FOLDERS:
            rmtree(path / folder, ignore_errors=True)
        for name in state_folder.OWN_FILES:
            (path / name).unlink(missing_ok=True)
    state_folder.prepare(path)


def play(app: "App", minutes: int, progress: "Progress") -> "tuple[Session, int]":
    """Tick the engine minute by minute and run what is due; return the session and the minutes played of it.

    The last minute is the session's close, which comes earlier on a half day.
    """
    from commands.demo.day import Day
    from commands.reconcile import verb as reconcile
    from tradebot.timetable.sessions import session_of

    app.engine.tick_to("open")
    if app.settings.sandbox.source != "generated" and app.settings.sandbox.sessions > 1:
        # Recorded bars have no close before their first session, and without one nothing is bought.
        app.engine.tick_to("next_open")
    now = app.now()
    app.ensure_calendar(now)
    session = session_of(app.ledger, now, app.day)
    assert session is not None, "the exchange opened on a day that the calendar has no session for"
    minutes = min(minutes, int((session.close - now).total_seconds()) // 60)
    day = Day(app, session, now)
    app.let_pass = day.meanwhile
    for minute in range(1, minutes + 1):
        day.run(now + timedelta(minutes=minute))
        progress(minute, minutes)
    reconcile.run(app, by="demo")
    return session, minutes


@VERBS.command(
    "demo", epilog="tradebot demo\ntradebot demo --minutes 30\ntradebot demo --edge 0  # flow that predicts nothing"
)
def demo(
    minutes: Annotated[int, typer.Option("--minutes", min=1, max=LONGEST, help="Number of minutes to play.")] = (
        SESSION_MINUTES
    ),
    venue: Venue = None,
    bars: Bars = None,
    bar_stamp: BarStamp = None,
    sessions: Sessions = None,
    start: Start = None,
    seed: Seed = None,
    edge: Edge = None,
    flow_folder: FlowFolder = None,
    symbols: Symbols = None,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Play one trading session on the embedded exchange.

    It needs no account and no keys. At the end it checks the bot's books against the exchange's.
    """
    from commands.init.symbols import symbol_flags
    from commands.init.verb import MarketWish, flags_of, market_flags

    sandbox = market_flags(MarketWish(bars, bar_stamp, sessions, start, seed, edge, flow_folder))
    flags = flags_of("sandbox", sandbox, symbol_flags(symbols, venue), venue)
    with progress_bar("playing the session") as progress:
        report = run(state_dir, flags, minutes, progress)
    finish(report, as_json)
