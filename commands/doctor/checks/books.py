"""Check the bot's own records: ledger, journal, facts, trading state and calendar. Nothing is changed."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from commands.doctor.checks.row import Check, Mark, attempt, skipped
from commands.shared.plain import clean
from tradebot.adapters.state.state_folder import EVENTS, FACTS
from tradebot.text import counted

if TYPE_CHECKING:
    from tradebot.app.wiring import App
    from tradebot.model.trading import TradingStateRecord


def books_checks(app: "App") -> Iterator[Check]:
    """Yield the rows of the records; if the ledger can't be opened, the rows that need it say so."""
    opened = attempt("ledger", lambda: ledger(app))
    yield opened
    if opened.mark is Mark.FAIL:
        yield from (skipped(name, "the ledger can't be read") for name in ("journal", "calendar"))
    else:
        yield attempt("journal", lambda: journal(app))
        yield attempt("calendar", lambda: calendar(app))
    yield attempt("backups", lambda: backups(app.folder.path))
    yield attempt("facts", lambda: facts(app))
    yield attempt("events", lambda: events(app.folder.path / EVENTS))
    yield attempt("plans", lambda: plans(app.folder.plans))
    yield attempt("trading state", lambda: trading_state(app))


def ledger(app: "App") -> Check:
    """Read every page of the ledger, its version and its tables."""
    app.ledger_view.file.check_pages()
    pages = app.ledger_view.file.page_count()
    mark = app.ledger_view.last_reconcile()
    if mark is not None and mark.blocking:
        left = f"left {counted(mark.blocking, 'blocking difference')}"
        found = f"intact; the comparison with the broker at {mark.at:%Y-%m-%d %H:%M} UTC {left}"
        fix = "Run tradebot reconcile, read the findings, then run tradebot reconcile --apply PLAN"
        return Check("ledger", Mark.WARN, found, "pages of ledger.db", pages, fix=fix)
    compared = f"compared with the broker at {mark.at:%Y-%m-%d %H:%M} UTC" if mark else "never compared with the broker"
    return Check("ledger", Mark.OK, f"intact, of this account; {compared}", "pages of ledger.db", pages)


def journal(app: "App") -> Check:
    """Check the journal's whole hash chain, up to the last record that the ledger knows."""
    head = app.ledger_view.file.check_journal()
    return Check("journal", Mark.OK, f"its hash chain is intact up to record {head.sequence}", "records", head.sequence)


def backups(folder: Path) -> Check:
    """Compare every file of the backups with the digests in their manifests."""
    from tradebot.adapters.recovery.backups import REMEDY, damaged, places

    kept = len(places(folder))
    if not kept:
        return skipped("backups", "there is none yet: one is made after each session, and by tradebot backup")
    broken, what = damaged(folder), "backup" if kept == 1 else "backups"
    if not broken:
        return Check("backups", Mark.OK, "unchanged since they were made", what, kept)
    found = f"{len(broken)} of {kept} can't be restored: {clean(broken[0].name)}: {clean(broken[0].why)}"
    return Check("backups", Mark.FAIL, found, what, kept, fix=REMEDY)


def facts(app: "App") -> Check:
    """Check the version and the tables of the facts, and the last reply stored in them."""
    path = app.folder.path / FACTS
    if not path.exists():
        return skipped("facts", "nothing has been fetched or decided yet")
    from tradebot.adapters.facts.schema import summarize

    count, newest = summarize(path)
    if not count:
        return skipped("facts", "its tables are right; no reply of the flow source is stored yet")
    evidence = f"its tables are right; the last reply is from {newest:%Y-%m-%d %H:%M} UTC"
    return Check("facts", Mark.OK, evidence, "answers", count)


def events(path: Path) -> Check:
    """Read each line of the events file, and check that another one can be appended."""
    from tradebot.adapters.state.events import read_through, require_file

    require_file(path)
    if not path.exists():
        return skipped("events", "nothing has happened yet")
    if not os.access(path, os.R_OK | os.W_OK):
        return Check("events", Mark.FAIL, f"{path} can't be appended to", "file", 1, fix=f"chmod 600 {path}")
    count, bad = read_through(path)
    if bad:
        found, fix = (
            f"{bad} of {counted(count, 'line')} can't be read as an event",
            f"mv {path} {path}.aside: the next event starts a new file",
        )
        return Check("events", Mark.WARN, found, "lines", count, fix=fix)
    return Check("events", Mark.OK, f"can be appended to; {counted(count, 'event')} read", "file", 1)


def plans(path: Path) -> Check:
    """Check that plans for correcting the books can be written."""
    if not os.path.lexists(path):
        return skipped("plans", "the folder is created with the first plan")
    if not path.is_dir():
        return Check("plans", Mark.FAIL, f"{path} is not a folder", "entry", 1, fix=f"mv {path} {path}.aside")
    return Check("plans", Mark.OK, f"{path} is a folder", "folder", 1)


def trading_state(app: "App") -> Check:
    """Check permission, and the strictest of ARMED, HALT and the last recorded trading state."""
    from tradebot.adapters.state import switch
    from tradebot.errors import TradebotError
    from tradebot.model.reasons import REASONS

    permission = app.permission
    for reason, found in permission.closed_to_entries(datetime.now(UTC)):
        effect = "no entries are sent" if permission.open else "no orders are sent"
        evidence = f"permission is closed, so {effect}: {reason} ({clean(found)})"
        return Check(
            "trading state",
            Mark.WARN,
            evidence,
            "places: permission, ARMED, HALT, ledger",
            4,
            fix=REASONS[reason].remedy,
        )
    try:
        state = app.ledger_view.trading_state()
    except TradebotError:
        # Without a ledger, the two files still say which state is in force.
        state = switch.read(app.folder.path)
    return _state(state, shadow=app.settings.shadow)


def _state(state: "TradingStateRecord", *, shadow: bool) -> Check:
    from commands.shared.notes import why_in_state

    who = f" by {clean(state.who)}" if state.who else ""
    evidence = f"{state.state}{who}: {why_in_state(state)}" + (
        "; in shadow mode, so no orders are sent" if shadow else ""
    )
    if state.state == "ACTIVE":
        return Check("trading state", Mark.OK, evidence, "places: ARMED, HALT, ledger", 3)
    lost = not state.who and state.at is None
    mark = Mark.FAIL if lost else Mark.WARN
    return Check(
        "trading state", mark, evidence, "places: ARMED, HALT, ledger", 3, fix="tradebot status, then tradebot unhalt"
    )


def calendar(app: "App") -> Check:
    """Check how far ahead the stored sessions reach."""
    from tradebot.timetable.broker_calendar import NEAR_END_DAYS, calendar_end

    now = _trading_time(app)
    ahead = app.ledger_view.sessions(now.date(), now.date() + timedelta(days=400))
    if not ahead:
        found, fix = (
            f"no session from {now.date()} on is stored",
            "Run tradebot reconcile: each pass stores the calendar",
        )
        return Check("calendar", Mark.WARN, found, "sessions", 0, fix=fix)
    reach = calendar_end(app.ledger_view, now) or ahead[-1].date
    if reach < now.date() + timedelta(days=NEAR_END_DAYS):
        found, fix = f"it ends on {reach}", "Run tradebot reconcile: each pass extends the calendar"
        return Check("calendar", Mark.WARN, found, "sessions", len(ahead), fix=fix)
    return Check("calendar", Mark.OK, f"it reaches from {now.date()} to {reach}", "sessions", len(ahead))


def _trading_time(app: "App") -> datetime:
    """Return this machine's time, or in the sandbox the last recorded time, because the exchange isn't asked."""
    from tradebot.model.trading import Mode

    if app.mode is not Mode.SANDBOX:
        return datetime.now(UTC)
    mark, opened = app.ledger_view.last_reconcile(), app.ledger_view.books_opened_at()
    known = [at for at in (mark.at if mark else None, opened, app.folder.created_at) if at is not None]
    return max(known)
