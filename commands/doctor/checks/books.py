"""Check the bot's own records: the table of judgments, with every byte read. Nothing is changed."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from commands.doctor.checks.check_row import CheckResult, attempt, bad, ok, skip, warn
from commands.shared.evidence.gather import evidence_of
from commands.shared.light_helpers import clean
from commands.strategy.run import MISSING, OFF, WELL, StrategyCheckRow, describe_confinement, look, remedy
from tradebot.adapters.state.events import read_through, require_file
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.app.settings import Settings
from tradebot.app.wiring import App
from tradebot.judging.judgment import Judgment, permission
from tradebot.judging.pass_health import judge_passes
from tradebot.model.text import pluralize

UNPROTECTED = "Run only plug-ins whose code you trust, or run the bot on Linux 5.13 or later"


def strategies(settings: "Settings", folder: Path, *, ask: bool) -> CheckResult:
    """Look for each strategy in use and, if `ask`, run it once on a desk without facts.

    A plug-in that could read our keys still works, so that is only a warning.
    """
    used = [row for row in look(settings, folder, ask=ask) if row.state != OFF]
    ill = [row for row in used if row.state != WELL]
    if ill:
        found = "; ".join(map(_fault, ill))
        return bad(found, f"{ill[0].name}: {remedy(ill[0])}", "strategies", len(used))
    for row in used:
        if row.protections and not row.protections.keep_keys:
            found = f"{row.name} {describe_confinement(row.protections)}"
            return warn(found, UNPROTECTED, "strategies", len(used))
    found = f"{'working' if ask else 'installed, not run'}: {', '.join(row.name for row in used)}"
    return ok(found, "strategies", len(used))


def _fault(row: StrategyCheckRow) -> str:
    if row.state == MISSING:
        return f"{row.name} is configured, but no installed package provides it"
    return f"{row.name}: {row.state} ({clean(row.observed or '')})"


SUBJECTS = ("config", "disk", "ledger", "journal", "books", "backup", "calendar", "facts", "halts")
"""What of the table trading needs, whatever else goes on."""


def books_checks(app: "App") -> Iterator[Judgment]:
    """Yield the judgments about the bot's own records, of which every byte is read."""
    yield from judge_passes(evidence_of(app, thorough=True), SUBJECTS)
    yield permission(app.permission, datetime.now(UTC))
    yield attempt("events", lambda: events(app.folder.path / EVENTS))
    yield attempt("plans", lambda: plans(app.folder.plans))


def events(path: Path) -> CheckResult:
    """Read each line of the events file, and check that another one can be appended."""
    require_file(path)
    if not path.exists():
        return skip("nothing has happened yet")
    if not os.access(path, os.R_OK | os.W_OK):
        return bad(f"{path} can't be appended to", f"chmod 600 {path}", "file")
    count, torn = read_through(path)
    if torn:
        found = f"{torn} of {pluralize(count, 'line')} can't be read as an event"
        return warn(found, f"mv {path} {path}.aside: the next event starts a new file", "lines", count)
    return ok(f"can be appended to; {pluralize(count, 'event')} read", "file")


def plans(path: Path) -> CheckResult:
    """Check that plans for correcting the books can be written."""
    if not os.path.lexists(path):
        return skip("the folder is created with the first plan")
    if not path.is_dir():
        return bad(f"{path} is not a folder", f"mv {path} {path}.aside", "entry")
    return ok(f"{path} is a folder", "folder")
