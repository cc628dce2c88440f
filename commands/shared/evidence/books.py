"""What the books are evidence of: ledger, journal, orders, the last comparison, and halts."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradebot.model.trading import hidden_halts
from tradebot.views.health.evidence import ChoreRun, Chores, Halts, Journal, Orders, Unread
from tradebot.views.health.passes import last_run

if TYPE_CHECKING:
    from tradebot.adapters.ledger.ledger import SqliteLedger
    from tradebot.app.wiring import App
    from tradebot.model.bar import Session
    from tradebot.timetable.lines import Line

NO_JOURNAL = "tradebot journal verify"


def books_of(ledger: "SqliteLedger", folder: Path) -> Mapping[str, Callable[[], Any]]:
    """Return how to look at each part of the books, by its name; each may raise TradebotError."""
    return {
        "ledger": lambda: ledger.file.sealed().sequence,
        "journal": lambda: _journal(ledger, folder),
        "orders": lambda: _orders(ledger),
        "books": ledger.last_reconcile,
        "halts": lambda: _halts(ledger),
    }


def chores_of(app: "App", sessions: "Sequence[Session]", now: datetime) -> Chores:
    """Return the last run of each chore, by the slots that were claimed for it, and whether any slot was due."""
    ledger, lines, grace_s = app.ledger_view, app.settings.timetable.chores, app.settings.serve.grace_s
    since = ledger.books_opened_at()
    starts = (slot.start for line in lines for day in sessions for slot in line.slots(day.date, sessions, grace_s))
    due = since is not None and any(since <= start <= now for start in starts)
    runs = (_last_run(ledger, line, now) for line in lines)
    return Chores(len(lines), due, tuple(run for run in runs if run is not None))


def _last_run(ledger: "SqliteLedger", line: "Line", now: datetime) -> ChoreRun | None:
    from jobs.chores import ENDED, FAILED

    ends = [claim for end in (ENDED, FAILED) if (claim := ledger.last_claim(f"{line.job}{end}")) is not None]
    end = max(ends, key=lambda claim: claim.at, default=None)
    well = end is not None and end.job == f"{line.job}{ENDED}"
    return last_run(line, ledger.last_claim(line.job), end, well=well, now=now)


def _journal(ledger: "SqliteLedger", folder: Path) -> Journal | Unread:
    from tradebot.adapters.ledger.journal_reading import last_record
    from tradebot.adapters.state.state_folder import JOURNAL

    sealed, record = ledger.file.sealed(), last_record(folder / JOURNAL)
    if record is None:
        return Unread("its last record can't be read", NO_JOURNAL)
    return Journal(record.head.sequence, sealed.sequence, record.head.hash == sealed.hash)


def _orders(ledger: "SqliteLedger") -> Orders:
    unresolved = ledger.intents(unresolved=True)
    oldest = min((record.intent.at for record in unresolved), default=None)
    return Orders(ledger.file.sealed().sequence, len(unresolved), oldest)


def _halts(ledger: "SqliteLedger") -> Halts:
    from commands.shared.notes import why_in_state

    state = ledger.trading_state()
    hidden = hidden_halts(ledger.halts(), state)
    return Halts(state, why_in_state(state), tuple(halt.why for halt in hidden))
