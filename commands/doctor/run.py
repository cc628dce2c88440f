"""Run `tradebot doctor`: check everything that trading needs; each row shows its evidence and its fix."""

from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING

from commands.doctor.checks.check_row import attempt, failed_check, ok
from commands.doctor.checks.machine import instances, keys_checks, machine_checks, state
from commands.doctor.checks.order import require_play_money
from commands.doctor.report import DoctorHealth, show
from commands.shared.judgment_table import counted_states
from commands.shared.light_helpers import NOBODY, Identity
from commands.shared.times import show_venue
from commands.shared.verb_options import Report, caller, identity
from tradebot.adapters.state import state_folder
from tradebot.app.loading import load_for
from tradebot.app.wiring import App
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.judging.judgment import HealthState

if TYPE_CHECKING:
    from pathlib import Path

    from tradebot.adapters.state.state_folder import StateFolder
    from tradebot.app.loading import Options
    from tradebot.app.settings import Loaded
    from tradebot.judging.judgment import Judgment


def run(options: "Options", environ: Mapping[str, str], *, offline: bool = False, order: bool = False) -> Report:
    """Check everything and change nothing, except for the test order of `order`; exit 10 if a row fails.

    Raises OperatorError if there is no state; exit 3 for a test order with real money.
    """
    path = state_folder.resolve(options.state_dir, environ)
    folder = state(path, environ)
    rows = list(machine_checks(path, environ))
    if isinstance(folder, TradebotError):
        return _report(path, [failed_check(folder).about("state"), *rows], asked=False)
    marked = ok(f"a {folder.kind} bot, mode {folder.mode}, account …{folder.tail}", "marker")
    rows.insert(0, marked.about("state"))
    loaded = _loaded(folder, options, environ)
    if isinstance(loaded, TradebotError):
        rows.insert(1, failed_check(loaded).about("config"))
        return _report(path, rows, asked=False, whose=Identity(folder.mode, folder.venue, folder.tail))
    return _check_bot(folder, loaded, environ, rows, offline=offline, order=order)


def _check_bot(
    folder: "StateFolder",
    loaded: "Loaded",
    environ: Mapping[str, str],
    rows: "list[Judgment]",
    *,
    offline: bool,
    order: bool,
) -> Report:
    from commands.doctor.checks.books import books_checks, strategies

    with closing(App(folder, loaded, environ)) as app:
        show_venue(app.day)
        if order:
            require_play_money(app)
        rows += [attempt("second instance", lambda: instances(folder, environ))]
        rows += keys_checks(app, environ)
        rows += [
            attempt("strategies", lambda: strategies(app.settings, folder.path, ask=not offline)),
            *books_checks(app),
        ]
        if not offline:
            rows += _asked(app, rows, order)
        return _report(folder.path, rows, asked=not offline, whose=identity(app))


def _asked(app: "App", before: "list[Judgment]", order: bool) -> "list[Judgment]":
    """Return the rows that need a reply from the broker or the flow source."""
    from commands.doctor.checks.venue import venue_checks

    with_keys = not any(row.subject == "keys" and row.state is HealthState.FAILED for row in before)
    rows = list(venue_checks(app, with_keys=with_keys))
    if order:
        from commands.doctor.checks.order import order_checks

        rows += order_checks(app, caller())
    return rows


def _loaded(folder: "StateFolder", options: "Options", environ: Mapping[str, str]) -> "Loaded | TradebotError":
    try:
        return load_for(folder, options, environ)
    except OperatorError as wrong:
        return wrong


def _report(path: "Path", rows: "list[Judgment]", *, asked: bool, whose: Identity = NOBODY) -> Report:
    data = DoctorHealth(str(path), asked, counted_states(rows), tuple(rows))
    code = ExitCode.FINDINGS if data.states[HealthState.FAILED] else ExitCode.DONE
    return Report("doctor", data, lambda console, _: show(console, data, whose), code, whose)
