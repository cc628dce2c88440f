"""What the books are evidence of: ledger, journal, orders, the last comparison, and halts."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradebot.errors import DamagedJournalError
from tradebot.judging.evidence import ChoreRun, Chores, Halts, Ledger, Orders
from tradebot.judging.passes import last_run
from tradebot.model.trading import hidden_halts

if TYPE_CHECKING:
    from tradebot.adapters.ledger.ledger import SqliteLedger
    from tradebot.app.wiring import App
    from tradebot.model.bar import Session
    from tradebot.timetable.lines import Line


def books_of(ledger: "SqliteLedger", *, thorough: bool) -> Mapping[str, Callable[[], Any]]:
    """Return how to look at each part of the books, by its name; each may raise TradebotError.

    Ledger and journal are read through if anything but tradebot has changed them, and in any case if `thorough`.
    """
    whole = cache(lambda: ledger.file.read_through(again=thorough))

    def found() -> Ledger:
        return Ledger(whole(), ledger.file.sealed().sequence)

    def pages() -> Ledger:
        # A damaged journal says nothing against the ledger, whose pages were read before it.
        with suppress(DamagedJournalError):
            return found()
        return Ledger(ledger.file.page_count(), ledger.file.sealed().sequence)

    return {
        "ledger": pages,
        "journal": found,
        "orders": lambda: _orders(ledger),
        "books": ledger.last_reconcile,
        "halts": lambda: _halts(ledger),
    }


def chores_of(app: "App", sessions: "Sequence[Session]", now: datetime) -> Chores:
    """Return the last run of each chore, by the slots that were claimed for it, and whether any slot was due."""
    ledger, lines, grace_s = app.ledger_view, app.settings.timetable.chores, app.settings.serve.grace_s
    since = ledger.books_opened_at()
    starts = (slot.start for line in lines for day in sessions for slot in line.slots(day.date, sessions, grace_s))
    known = sorted(starts)
    due = since is not None and any(since <= start <= now for start in known)
    coming = next((start for start in known if start > now), None)
    runs = (_last_run(ledger, line, now) for line in lines)
    return Chores(len(lines), due, tuple(run for run in runs if run is not None), coming)


def _last_run(ledger: "SqliteLedger", line: "Line", now: datetime) -> ChoreRun | None:
    from jobs.chores import ENDED, FAILED

    ends = [claim for end in (ENDED, FAILED) if (claim := ledger.last_claim(f"{line.job}{end}")) is not None]
    end = max(ends, key=lambda claim: claim.at, default=None)
    well = end is not None and end.job == f"{line.job}{ENDED}"
    return last_run(line, ledger.last_claim(line.job), end, well=well, now=now)


def _orders(ledger: "SqliteLedger") -> Orders:
    unresolved = ledger.intents(unresolved=True)
    records, oldest = ledger.file.sealed().sequence, min(unresolved, key=lambda each: each.intent.at, default=None)
    if oldest is None:
        return Orders(records, 0, None)
    return Orders(records, len(unresolved), oldest.intent.at, oldest.intent.instrument.symbol)


def _halts(ledger: "SqliteLedger") -> Halts:
    from commands.shared.notes import why_in_state

    state = ledger.trading_state()
    hidden = hidden_halts(ledger.halts(), state)
    return Halts(state, why_in_state(state), tuple(halt.why for halt in hidden))


def halts_by_files(folder: Path) -> Halts:
    """Return the trading state without the ledger, by the two files that say which state is in force."""
    from commands.shared.notes import why_in_state
    from tradebot.adapters.state import switch

    state = switch.read(folder)
    return Halts(state, why_in_state(state))
