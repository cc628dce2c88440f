"""Check the bot's own records: the table of judgments, with every byte read. Nothing is changed."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from commands.doctor.checks.row import attempt, check
from commands.shared.evidence.gather import evidence_of
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.judging.judgment import Judgment, State
from tradebot.judging.looks import skipped
from tradebot.judging.permission import permission
from tradebot.judging.table import judged
from tradebot.model.text import counted

if TYPE_CHECKING:
    from tradebot.app.wiring import App


SUBJECTS = ("config", "disk", "ledger", "journal", "books", "backup", "calendar", "facts", "halts")
"""What of the table trading needs, whatever else goes on."""


def books_checks(app: "App") -> Iterator[Judgment]:
    """Yield the judgments about the bot's own records, of which every byte is read."""
    yield from judged(evidence_of(app, thorough=True), SUBJECTS)
    yield permission(app.permission, datetime.now(UTC))
    yield attempt("events", lambda: events(app.folder.path / EVENTS))
    yield attempt("plans", lambda: plans(app.folder.plans))


def events(path: Path) -> Judgment:
    """Read each line of the events file, and check that another one can be appended."""
    from tradebot.adapters.state.events import read_through, require_file

    require_file(path)
    if not path.exists():
        return skipped("events", "nothing has happened yet")
    if not os.access(path, os.R_OK | os.W_OK):
        return check("events", State.FAILED, f"{path} can't be appended to", "file", 1, fix=f"chmod 600 {path}")
    count, bad = read_through(path)
    if bad:
        found, fix = (
            f"{bad} of {counted(count, 'line')} can't be read as an event",
            f"mv {path} {path}.aside: the next event starts a new file",
        )
        return check("events", State.DEGRADED, found, "lines", count, fix=fix)
    return check("events", State.OK, f"can be appended to; {counted(count, 'event')} read", "file", 1)


def plans(path: Path) -> Judgment:
    """Check that plans for correcting the books can be written."""
    if not os.path.lexists(path):
        return skipped("plans", "the folder is created with the first plan")
    if not path.is_dir():
        return check("plans", State.FAILED, f"{path} is not a folder", "entry", 1, fix=f"mv {path} {path}.aside")
    return check("plans", State.OK, f"{path} is a folder", "folder", 1)
