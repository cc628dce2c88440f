"""Save a finished backtest as an ordinary state folder, for all commands that only read.

Every record goes through the ledger's own stores, so rows and journal lines equal those of a bot, except that all of
them are committed at once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from functools import partial
from heapq import merge
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from tradebot.adapters.facts.pass_rows import write_passes
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.state import halt_switch, state_folder
from tradebot.adapters.state.events import JsonlEvents
from tradebot.adapters.state.evidence import BACKTEST
from tradebot.adapters.state.state_folder import EVENTS, StateFolder, write_durably
from tradebot.adapters.text.canonical import time_text
from tradebot.app.baseline import effective
from tradebot.app.loading import USER_FILE
from tradebot.app.settings import Settings
from tradebot.model.event import SystemEvent
from tradebot.model.intent import IntentRecord, IntentState
from tradebot.model.order import Reply, WriteOutcome
from tradebot.model.trading import Baseline, TradingState, TradingStateRecord

CLAIMS_KEPT = timedelta(days=30)
"""How long before the end claims are saved: they only show which slots were late or missed recently."""
REPLIED = {
    IntentState.ACKED: WriteOutcome.ACCEPTED,
    IntentState.REJECTED: WriteOutcome.REJECTED,
    IntentState.UNKNOWN: WriteOutcome.UNKNOWN,
}

Write = tuple[datetime, Callable[[], object]]
"""One write, and when the run executed it."""


class FinishedRun(NamedTuple):
    """A finished run: its books, its records, its events, and the trading time of its end."""

    ledger: MemoryLedger
    facts: MemoryFacts
    events: Sequence[SystemEvent]
    ended_at: datetime


def save(path: Path, run: FinishedRun, settings: Settings, configuration: str, by: str) -> StateFolder:
    """Write a run to a new folder, whose marker is written last; raise OperatorError if something else is there.

    `configuration` becomes the folder's own tradebot.yaml: commands must load the same `settings` from it.
    """
    state_folder.prepare(path)
    began_at = run.ledger.books_opened_at() or run.ended_at
    with closing(SqliteLedger.create(path, run.ledger.account_number, began_at)) as books:
        with books.file.begin_with():
            books.baselines.approve(Baseline(effective(settings), by, began_at.astimezone(UTC)))
            _write_books(books, run.ledger, run.ended_at)
        books.checkpoint_totals()
    write_passes(path, run.facts.to_save())
    log = JsonlEvents(path / EVENTS)
    for event in run.events:
        log.emit(event)
    _write_switch(path, run.ledger.trading_state(), by, began_at)
    write_durably(path / USER_FILE, configuration)
    return state_folder.create(path, settings.mode, run.ledger.account_number, BACKTEST, began_at, settings.venue)


def _write_books(books: SqliteLedger, ledger: MemoryLedger, ended_at: datetime) -> None:
    opened_at, mark, peak = ledger.books_opened_at(), ledger.last_reconcile(), ledger.equity_peak()
    if opened_at is not None:
        books.open_books(ledger.opening_cash(), opened_at, ledger.account_state().settlement)
    # Each kind of row is numbered in the order of writing, even where its times are not in order.
    tables, claimed_from = ledger.tables, ended_at - CLAIMS_KEPT
    kinds: tuple[Iterable[Write], ...] = (
        _intents(books, ledger),
        ((row.applied_at, partial(books.tables.orders.put, row)) for row in tables.orders.after(0).values()),
        ((row.applied_at, partial(books.apply_fill, row)) for row in tables.fills.after(0).values()),
        ((row.at, partial(books.move_cash, row)) for row in tables.cash.after(0).values()),
        ((row.at, partial(books.note_foreign, row)) for row in tables.acknowledged.after(0).values()),
        ((note.at, partial(books.note_trade, note)) for note in ledger.trade_notes().values()),
        _states(books, ledger),
        ((c.at, partial(books.tables.slots.add, c)) for c in tables.slots.after(0).values() if c.at >= claimed_from),
    )
    for _, write in merge(*kinds, key=itemgetter(0)):
        write()
    books.put_sessions(ledger.sessions(date.min, date.max))
    books.put_marks(dict(ledger.tables.marks.after(0).values()))
    if mark is not None:
        books.mark_reconciled(mark)
    if peak is not None:
        books.put_equity_peak(peak)


def _intents(books: SqliteLedger, ledger: MemoryLedger) -> Iterator[Write]:
    for row in ledger.tables.intents.after(0).values():
        intent = row.record.intent
        yield intent.at, partial(books.record_intent_again, intent, row.content)
        yield from _ends(books, row.record)


def _ends(books: SqliteLedger, record: IntentRecord) -> Iterator[Write]:
    intent, at = record.intent, record.updated_at
    if record.state in REPLIED:
        reply = Reply(REPLIED[record.state], None, record.code, record.message)
        yield intent.at, partial(books.record_outcome, intent.client_order_id, reply, at)
    elif record.state is IntentState.ABANDONED:
        yield intent.at, partial(books.abandon, intent.client_order_id, record.message or "", at)
    elif at != intent.at:
        yield intent.at, partial(books.retry, intent.client_order_id, at)


def _states(books: SqliteLedger, ledger: MemoryLedger) -> Iterator[Write]:
    for state in ledger.trading_states():
        assert state.at is not None, "every stored state has a time"
        accepted, causes = state.override, state.override.causes if state.override else state.causes
        record = partial(books.history.record, causes=causes, accepted_at=time_text(accepted.at) if accepted else None)
        yield state.at, partial(record, state.state, state.who, state.why, state.at)


def _write_switch(path: Path, state: TradingStateRecord, by: str, began_at: datetime) -> None:
    """Write the files that say whether entries were open at the run's end."""
    if state.state is TradingState.ACTIVE:
        halt_switch.arm(path, by, state.at or began_at)
    else:
        halt_switch.halt(path, state.who, state.why, state.at or began_at, state.state, state.causes)
