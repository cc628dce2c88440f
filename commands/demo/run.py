"""Run `tradebot demo`: run sessions on the embedded exchange, using the same functions as the verbs."""

import os
import time
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, NamedTuple

from commands.demo import run_comparison
from commands.demo.report import played_data, render
from commands.demo.run_comparison import FILE, DemoRun
from commands.evaluate_exits import run as evaluate_exits
from commands.fetch_flow import run as fetch_flow
from commands.init import making as init
from commands.init.making import to_copy, written_here
from commands.init.profiles import profile_content
from commands.reconcile import run as reconcile
from commands.score import run as score
from commands.shared.setting_args import assignments, values_of, with_setting_options
from commands.shared.verb_options import (
    Report,
    identity,
    show_traded_by,
)
from commands.trade_once import run as trade_once
from tradebot.adapters.plugins.plugin import require_installed, require_named
from tradebot.adapters.state import state_folder, state_locks
from tradebot.app import sandbox
from tradebot.app.loading import USER_FILE, Options, user_file
from tradebot.app.settings import load, merge
from tradebot.app.wiring import App, open_app
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.bar import Session
from tradebot.model.record import Job
from tradebot.model.sentences import pluralize
from tradebot.timetable.sessions import FETCHING, Slot, due_at, session_of

if TYPE_CHECKING:
    from tradebot.ports.world import Progress

MINUTE = timedelta(minutes=1)
VERBS = {
    Job.FETCH_FLOW: fetch_flow.run,
    Job.SCORE: score.run,
    Job.EVALUATE_EXITS: evaluate_exits.run,
    Job.TRADE_ONCE: trade_once.run,
    Job.RECONCILE: reconcile.run,
}
BESIDE_FETCHING = (Job.EVALUATE_EXITS, Job.RECONCILE)
"""Jobs that don't wait for a slow flow source. Entries wait for the facts of their minute until their slot ends."""


class DemoSession:
    """Runs the slots of one session; `now` is the current trading time."""

    def __init__(self, app: "App", session: "Session", now: datetime) -> None:
        self._app = app
        self._session = session
        self._now = now
        self._begun: set[Slot] = set()
        self._running: Job | None = None

    def run(self, minute: datetime) -> None:
        """Advance to the minute, unless time has already passed it, and run the jobs that are due."""
        self._pass_until(minute)
        self._run(minute, tuple(VERBS))

    def meanwhile(self, seconds: float) -> None:
        """Advance time by the duration of a request.

        While facts are being fetched, exits that are due run too.
        """
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


class DemoOptions(NamedTuple):
    """What a user changes about a demo: the number of sessions, the only strategy to trade, and settings.

    Each text in `changed` is KEY=VALUE. `config` names a file to start from instead of the folder's own.
    """

    sessions: int = 1
    strategy: str | None = None
    changed: Sequence[str] = ()
    config: str | None = None


AS_CONFIGURED = DemoOptions()


def run(
    state_dir: str | None, flags: dict[str, Any], minutes: int, progress: "Progress", wish: DemoOptions = AS_CONFIGURED
) -> Report:
    """Create a fresh demo state, run its sessions, and check the books against the exchange."""
    started = time.monotonic()
    path = state_folder.resolve(state_dir, os.environ)
    _refuse_users(path)
    file, start = _configuration(path, wish.config)
    flags = _with_strategy(file, _with_settings(flags, wish.changed), wish.strategy)
    settings = load(file, os.environ, flags).settings
    require_installed(settings.strategies.installed_as())
    last = run_comparison.last_run(path)
    with init.setting_up(path, "demo"):
        _clear(path)
        init.create_bot(path, settings, "demo", flags, start=start)
        with open_app(Options(str(path)), os.environ) as app:
            played = play(app, wish.sessions, minutes, progress)
            show_traded_by(app)
            return report(app, played, time.monotonic() - started, last=last, configuration=file)


def report(
    app: "App",
    played: "Sequence[PlayedSession]",
    elapsed_s: float,
    *,
    last: "DemoRun | None" = None,
    configuration: Path | None = None,
) -> Report:
    """Report the sessions, compared with the last run if any; exit 1 if books and exchange disagree."""
    data = played_data(app, played, elapsed_s, last, str(configuration) if configuration else None)
    code = ExitCode.ERROR if data.differences else ExitCode.DONE
    return Report("demo", data, render, code, identity(app))


def _with_settings(flags: dict[str, Any], changed: Sequence[str]) -> dict[str, Any]:
    """Return the options with each KEY=VALUE; raise OperatorError for those that a demo has options for."""
    values = values_of(list(assignments(changed)))
    for path, _ in values:
        if path[0] in ("mode", "venue", "shadow"):
            hint = "tradebot demo --venue NAME" if path[0] == "venue" else "tradebot init --mode paper --shadow"
            raise OperatorError(f"--set {path[0]}: a demo always sends orders to the embedded exchange", hint)
    return with_setting_options(flags, values)


def _with_strategy(file: Path | None, flags: dict[str, Any], name: str | None) -> dict[str, Any]:
    """Return the options with one strategy in use, beginning with its profile if it isn't configured."""
    if name is None:
        return flags

    where: dict[str, Any] = {key: flags[key] for key in ("mode", "venue") if key in flags}
    in_use = load(file, os.environ, where).settings.strategies.installed_as()
    require_named(name, in_use.get(name, name))
    merged: dict[str, Any] = {} if name in in_use else profile_content(name)
    merge(merged, flags)
    alone: dict[str, Any] = {other: None for other in (*in_use, *merged.get("strategies", {})) if other != name}
    merge(merged, {"strategies": alone if name in in_use else {name: {}, **alone}})
    return merged


def _refuse_users(path: Path) -> None:
    folder = state_folder.open_state(path) if state_folder.has_marker(path) else None
    if folder and folder.kind != "demo":
        raise OperatorError(
            f"{path} is the folder of a bot of yours (mode {folder.mode}), and a demo doesn't replace it",
            "tradebot demo --state-dir state/demo",
        )


def _configuration(path: Path, config: str | None) -> tuple[Path | None, Path | None]:
    """Return the user's configuration file, and the same file again if the demo's folder needs a copy of it.

    A file that an earlier demo wrote belongs to that demo, until a person changes it.
    """
    file = user_file(Options(None, config), path, os.environ)
    if file == path / USER_FILE and state_folder.has_marker(path) and written_here(file):
        return None, None
    return file, to_copy(file, path) if config else None


def _clear(path: Path) -> None:
    """Remove an earlier demo, except its stored result and a configuration that a person wrote.

    Raise OperatorError if the folder belongs to a bot that isn't a demo, and TradebotError if a process is using it.
    """
    _refuse_users(path)
    if not state_folder.has_marker(path):
        return
    own = path / USER_FILE
    kept_files = {FILE} if not own.exists() or written_here(own) else {FILE, USER_FILE}
    with state_locks.hold_all(path, "demo"):
        sandbox.stop(path / state_folder.EXCHANGE)
        for folder in state_folder.FOLDERS:
            rmtree(path / folder, ignore_errors=True)
        for name in {*state_folder.OWN_FILES} - kept_files:
            (path / name).unlink(missing_ok=True)
    state_folder.prepare(path)


class PlayedSession(NamedTuple):
    """A session: how many of its minutes were run, and the account's final equity in USD."""

    session: "Session"
    minutes: int
    equity: Decimal


def play(app: "App", sessions: int, minutes: int, progress: "Progress") -> "list[PlayedSession]":
    """Run several sessions of the market, for this many minutes each, and return them.

    The last minute of a session is its close, which comes earlier on a half day.
    """
    app.engine.tick_to("open")
    stored = app.settings.sandbox.sessions
    if app.settings.sandbox.source != "generated" and stored > sessions:
        # Recorded bars have no close before their first session, and without one nothing is bought.
        app.engine.tick_to("next_open")
        stored -= 1
    played: list[PlayedSession] = []
    whole = min(sessions, stored)
    for number in range(whole):
        if number:
            app.engine.tick_to("next_open")
        shown = partial(_show_progress, progress, number, whole)
        played.append(_play(app, minutes, shown, is_last=number == whole - 1))
    return played


def _show_progress(progress: "Progress", before: int, whole: int, done: int, most: int) -> None:
    """Show the progress over all sessions, given how much of the current one is done."""
    progress(before * most + done, whole * most)


def _play(app: "App", minutes: int, progress: "Progress", *, is_last: bool) -> PlayedSession:
    """Advance the engine minute by minute through a session that has just opened, and run what is due."""
    now = app.now()
    app.ensure_calendar(now)
    session = session_of(app.ledger, now, app.day)
    assert session is not None, "the exchange opened on a day that the calendar has no session for"
    minutes = min(minutes, int((session.close - now).total_seconds()) // 60)
    day = DemoSession(app, session, now)
    app.let_pass = day.meanwhile
    for minute in range(1, minutes + 1):
        day.run(now + timedelta(minutes=minute))
        progress(minute, minutes)
    if is_last and (wait_s := app.settings.capabilities.tells_ends_after.total_seconds()):
        # The venue reports the outcome of the last orders a moment later.
        app.engine.sleep(wait_s)
    reconcile.run(app, by="demo", is_last=True)
    return PlayedSession(session, minutes, app.reader.view().account.equity)


def held_sessions(recorded: int | None, wanted: int) -> int:
    """Return how many sessions the market needs.

    Recorded data needs one session more, because the first session to trade needs the closes of the day before.
    """
    if recorded is None or wanted == 1:
        return wanted
    if wanted > recorded:
        raise OperatorError(
            f"the recorded bars have {pluralize(recorded, 'session')}, not {wanted}", f"--sessions {recorded}"
        )
    return min(recorded, wanted + 1)
