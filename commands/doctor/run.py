"""Run `tradebot doctor`: check all requirements of trading; each row shows its evidence and its fix."""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from commands.doctor.machine import (
    CheckResult,
    attempt,
    bad,
    failed_check,
    instances,
    keys_checks,
    machine_checks,
    ok,
    skip,
    state,
    warn,
)
from commands.shared.evidence import evidence_of
from commands.shared.light_helpers import NOBODY, Identity, clean
from commands.shared.tables import counted_states, counts, table
from commands.shared.times import show_venue
from commands.shared.verb_options import Report, caller, identity
from commands.strategy.run import MISSING, OFF, WELL, StrategyCheckRow, describe_confinement, look, remedy
from tradebot.adapters.state import state_folder
from tradebot.adapters.state.events import read_through, require_file
from tradebot.adapters.state.state_folder import EVENTS, StateFolder
from tradebot.app.loading import Options, load_for
from tradebot.app.settings import Loaded, Settings
from tradebot.app.wiring import App
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.judging.judgment import HealthState, Judgment, permission
from tradebot.judging.pass_health import judge_passes
from tradebot.model.sentences import pluralize


class DoctorHealth(Struct, frozen=True):
    """The judgments, and how many are in each state; `asked` is True if broker and flow source were contacted."""

    state_dir: str
    asked: bool
    states: dict[str, int]
    judgments: tuple[Judgment, ...]


def show(console: "Console", data: DoctorHealth, bot_identity: Identity) -> None:
    """Print the checked bot, the judgments, and the number in each state."""
    about = f"{bot_identity.mode}, {bot_identity.venue_and_account}, state" if bot_identity.mode else "state"
    contact_text = "broker and flow source contacted" if data.asked else "offline: broker and flow source not contacted"
    console.print(f"[bold]{about}[/bold] {escape(data.state_dir)}; {contact_text}")
    console.print(table(data.judgments))
    console.print(counts(data.states))


def run(
    state_dir: str | None,
    config: str | None,
    environ: Mapping[str, str],
    *,
    offline: bool = False,
    order: bool = False,
    policy: str | None = None,
) -> Report:
    """Check everything and change nothing, except for the test order with `order`; exit 10 if a check fails.

    With `policy`, that learned policy is checked too. A missing or damaged state folder is reported as a failed check.
    Raises OperatorError if the folder's path is a file, or if there is no such policy; exit 3 for a test order with
    real money or in shadow mode.
    """
    options, path = Options(state_dir, config), state_folder.resolve(state_dir, environ)
    folder = state(path, environ)
    rows = list(machine_checks(path, environ))
    if isinstance(folder, TradebotError):
        return _report(path, [failed_check(folder).about("state"), *rows], is_online=False)
    marked = ok(f"a {folder.kind} bot, mode {folder.mode}, account …{folder.tail}", "marker")
    rows.insert(0, marked.about("state"))
    loaded = _load_or_error(folder, options, environ)
    if isinstance(loaded, TradebotError):
        rows.insert(1, failed_check(loaded).about("config"))
        return _report(path, rows, is_online=False, bot_identity=Identity(folder.mode, folder.venue, folder.tail))
    return _check_bot(folder, loaded, environ, rows, offline=offline, order=order, policy=policy)


def _check_bot(
    folder: "StateFolder",
    loaded: "Loaded",
    environ: Mapping[str, str],
    rows: "list[Judgment]",
    *,
    offline: bool,
    order: bool,
    policy: str | None,
) -> Report:
    with closing(App(folder, loaded, environ)) as app:
        show_venue(app.day)
        if order or policy is not None:
            # They import every pass that they rehearse, which takes as long as all other checks.
            from commands.doctor import rehearsals
        if order:
            rehearsals.require_play_money(app)
        if policy is not None:
            rehearsals.require_policy(app, policy)
        rows += [attempt("second instance", lambda: instances(folder, environ))]
        rows += keys_checks(app, environ)
        rows += [
            attempt("strategies", lambda: strategies(app.settings, folder.path, ask=not offline)),
            *books_checks(app),
        ]
        if not offline:
            rows += _query_sources(app, rows)
        if order:
            rows += rehearsals.order_checks(app, caller())
        if policy is not None:
            rows += rehearsals.policy_checks(app, policy, offline=offline)
        return _report(folder.path, rows, is_online=not offline, bot_identity=identity(app))


def _query_sources(app: "App", before: "list[Judgment]") -> "list[Judgment]":
    """Return the rows that need a reply from the broker or the flow source."""
    from commands.doctor.venue import venue_checks

    with_keys = not any(row.subject == "keys" and row.state is HealthState.FAILED for row in before)
    return list(venue_checks(app, with_keys=with_keys))


def _load_or_error(folder: "StateFolder", options: "Options", environ: Mapping[str, str]) -> "Loaded | TradebotError":
    try:
        return load_for(folder, options, environ)
    except OperatorError as wrong:
        return wrong


def _report(path: "Path", rows: "list[Judgment]", *, is_online: bool, bot_identity: Identity = NOBODY) -> Report:
    data = DoctorHealth(str(path), is_online, counted_states(rows), tuple(rows))
    code = ExitCode.FINDINGS if data.states[HealthState.FAILED] else ExitCode.DONE
    return Report("doctor", data, lambda console, _: show(console, data, bot_identity), code, bot_identity)


UNPROTECTED = "Run only plug-ins whose code you trust, or run the bot on Linux 5.13 or later"


def strategies(settings: "Settings", folder: Path, *, ask: bool) -> CheckResult:
    """Check each strategy in use and, with `ask`, run it once on a desk without facts.

    A plug-in with access to the bot's keys still works, so it only causes a warning.
    """
    used = [row for row in look(settings, folder, ask=ask) if row.state != OFF]
    ill = [row for row in used if row.state != WELL]
    if ill:
        finding = "; ".join(map(_fault, ill))
        return bad(finding, f"{ill[0].name}: {remedy(ill[0])}", "strategies", len(used))
    for row in used:
        if row.protections and not row.protections.keep_keys:
            finding = f"{row.name} {describe_confinement(row.protections)}"
            return warn(finding, UNPROTECTED, "strategies", len(used))
    finding = f"{'working' if ask else 'installed, not run'}: {', '.join(row.name for row in used)}"
    return ok(finding, "strategies", len(used))


def _fault(row: StrategyCheckRow) -> str:
    if row.state == MISSING:
        return f"{row.name} is configured, but no installed package provides it"
    return f"{row.name}: {row.state} ({clean(row.observed or '')})"


SUBJECTS = ("config", "disk", "ledger", "journal", "books", "backup", "calendar", "facts", "halts")
"""The parts of health that trading always needs."""


def books_checks(app: "App") -> Iterator[Judgment]:
    """Read all of the bot's own records, and yield the judgments about them."""
    yield from judge_passes(evidence_of(app, thorough=True), SUBJECTS)
    yield permission(app.permission, datetime.now(UTC))
    yield attempt("events", lambda: events(app.folder.path / EVENTS))
    yield attempt("plans", lambda: plans(app.folder.plans))


def events(path: Path) -> CheckResult:
    """Read each line of the events file, and check that it is writable."""
    require_file(path)
    if not path.exists():
        return skip("nothing has happened yet")
    if not os.access(path, os.R_OK | os.W_OK):
        return bad(f"{path} can't be appended to", f"chmod 600 {path}", "file")
    count, torn = read_through(path)
    if torn:
        finding = f"{torn} of {pluralize(count, 'line')} can't be read as an event"
        return warn(finding, f"mv {path} {path}.aside: the next event starts a new file", "lines", count)
    return ok(f"can be appended to; {pluralize(count, 'event')} read", "file")


def plans(path: Path) -> CheckResult:
    """Check that correction plans for the books can be written."""
    if not os.path.lexists(path):
        return skip("there is no folder yet; the first plan creates it")
    if not path.is_dir():
        return bad(f"{path} is not a folder", f"mv {path} {path}.aside", "entry")
    return ok(f"{path} is a folder", "folder")
