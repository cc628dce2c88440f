"""The money records of one broker account in SQLite, with the journal beside them.

Every write is one transaction with a full sync. What must not be lost is journalled and synced before the
commit; how a submission ended is journalled without a sync of its own, because the venue can be asked again.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import starmap
from pathlib import Path
from typing import TypeVar

from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.ledger import journal
from tradebot.adapters.ledger.rows import Rows, stored
from tradebot.adapters.ledger.schema import create_tables, translated
from tradebot.adapters.ledger.upkeep import promised_text
from tradebot.adapters.state import switch
from tradebot.adapters.state.state_folder import DAMAGED, JOURNAL, LEDGER
from tradebot.adapters.text.canonical import decimal_text, json_text, parse_time, time_text
from tradebot.adapters.text.codec import encode
from tradebot.errors import OperatorError, TemporaryError
from tradebot.model.bar import Session
from tradebot.model.decision import Decision
from tradebot.model.intent import Intent, IntentState
from tradebot.model.order import Order, Outcome, Reply
from tradebot.model.position import OwnedFill
from tradebot.model.trading import ReconcileMark, SlotClaim, TradingState, TradingStateRecord

T = TypeVar("T")
REMEMBERED = 5_000
STATE_AFTER = {
    Outcome.ACCEPTED: IntentState.ACKED,
    Outcome.REJECTED: IntentState.REJECTED,
    Outcome.UNKNOWN: IntentState.UNKNOWN,
}
SEVERITY = {TradingState.ACTIVE: 0, TradingState.REDUCE_ONLY: 1, TradingState.FLATTEN: 2}
NEVER = datetime.min.replace(tzinfo=UTC)


class SqliteLedger(Rows):
    """The ledger of a state folder; writers hold the folder's lock, readers need none."""

    @classmethod
    def create(cls, folder: Path, account_number: str, at: datetime) -> "SqliteLedger":
        """Begin the books of one account; OperatorError where a ledger or a journal is there already."""
        for name in (LEDGER, JOURNAL):
            if (folder / name).exists():
                raise OperatorError(f"{folder / name} is there already: no new books over old ones.", DAMAGED)
        with translated(folder / LEDGER):
            database = create_tables(folder / LEDGER, account_number, at)
            begun = journal.Journal.create(folder / JOURNAL, {"account": account_number}, at)
            database.execute("UPDATE book SET journal_hash = ?", (begun.head().hash,))
            begun.close()
            with around("ledger.create"):
                database.execute("COMMIT")
        return cls(folder, database, account_number)

    def opening_cash(self) -> Decimal:
        """Return the account's cash when the books began, USD; OperatorError before that."""
        found = self._row("SELECT opening_cash FROM book WHERE account = ?")
        if found is None or found[0] is None:
            raise OperatorError("The books were never opened.", "tradebot reconcile")
        return Decimal(found[0])

    def open_books(self, opening_cash: Decimal, at: datetime) -> None:
        """Write the opening balance, once."""
        with self._write():
            if self.books_opened_at() is not None:
                raise AssertionError("the books are open already")
            self._note("opening", {"cash": decimal_text(opening_cash)}, at)
            self._seal()
            self._execute(
                "UPDATE book SET opening_cash = ?, opened_at = ? WHERE account = ?",
                (decimal_text(opening_cash), time_text(at), self._account),
            )

    def books_opened_at(self) -> datetime | None:
        """Return when the opening balance was written; None before the first reconcile."""
        found = self._row("SELECT opened_at FROM book WHERE account = ?")
        return parse_time(found[0]) if found and found[0] else None

    def promise(self, intent: Intent, verdicts: Sequence[Decision]) -> bool:
        """Write the intent as SENT with its verdicts; False, changing nothing, where its id is there."""
        body, reasons = encode(intent), [encode(verdict) for verdict in verdicts]
        return self._promise(intent, json_text(body), json_text(reasons))

    def _promise(self, intent: Intent, body: str, verdicts: str) -> bool:
        """Write an intent by its text and that of its verdicts."""
        with self._write():
            added = self._execute(
                "INSERT INTO intents"
                " (account, sequence, client_order_id, session, state, intent, verdicts, updated_at)"
                " SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7"
                " FROM intents WHERE account = ?1"
                " ON CONFLICT (account, client_order_id) DO NOTHING",
                (
                    self._account,
                    intent.client_order_id,
                    intent.key.session.isoformat(),
                    IntentState.SENT,
                    body,
                    verdicts,
                    time_text(intent.at),
                ),
            )
            if added:
                self._note("promised", promised_text(body, verdicts), intent.at)
                self._seal()
        return bool(added)

    def settle(self, client_order_id: str, reply: Reply, at: datetime) -> None:
        """Write how the submission or cancel ended, and the order where the venue gave one.

        An unknown answer never takes back a known one. KeyError where the intent was never promised.
        """
        with self._write():
            state = self._state_of(client_order_id)
            known = state in (IntentState.ACKED, IntentState.REJECTED)
            if not (known and reply.outcome is Outcome.UNKNOWN):
                self._move(client_order_id, STATE_AFTER[reply.outcome], reply.code, reply.message, at)
            if reply.order is not None:
                self._apply_order(reply.order, at)
            self._note("settled", {"client_order_id": client_order_id, "reply": encode(reply)}, at)

    def abandon(self, client_order_id: str, why: str, at: datetime) -> None:
        """Give up an unresolved intent that the venue has been proven not to hold."""
        with self._write():
            self._require_unresolved(client_order_id)
            self._note("abandoned", {"client_order_id": client_order_id, "why": why}, at)
            self._seal()
            self._move(client_order_id, IntentState.ABANDONED, None, why, at)

    def retry(self, client_order_id: str, at: datetime) -> None:
        """Write that an unresolved intent is sent once more under its own id; durable before it is."""
        with self._write():
            self._require_unresolved(client_order_id)
            self._note("retried", {"client_order_id": client_order_id}, at)
            self._seal()
            self._move(client_order_id, IntentState.SENT, None, None, at)

    def apply_orders(self, orders: Iterable[Order], at: datetime) -> int:
        """Write the venue's latest word on orders; return how many changed."""
        with self._write():
            return sum(self._apply_order(order, at) for order in orders)

    def apply_fills(self, fills: Iterable[OwnedFill], at: datetime) -> int:
        """Append fills not seen before, by activity id; return how many were new."""
        with self._write():
            added = sum(self._apply_fill(owned, at) for owned in fills)
            if added:
                self._seal()
        return added

    def claim_slot(self, job: str, session: date, slot: str, by: str, at: datetime) -> SlotClaim:
        """Claim one slot of the timetable; the first claim wins for ever."""
        with self._write():
            won = self._execute(
                "INSERT INTO slots (account, job, session, slot, holder, at) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (self._account, job, session.isoformat(), slot, by, time_text(at)),
            )
            ((holder, since),) = self._rows(
                "SELECT holder, at FROM slots WHERE account = ? AND job = ? AND session = ? AND slot = ?",
                (job, session.isoformat(), slot),
            )
        return SlotClaim(job, session, slot, holder, parse_time(since), bool(won))

    def slot_claims(self, session: date) -> Sequence[SlotClaim]:
        """Return the claimed slots of one session, in the order of claiming."""
        found = self._rows(
            "SELECT job, slot, holder, at FROM slots WHERE account = ? AND session = ? ORDER BY at, job, slot",
            (session.isoformat(),),
        )
        return tuple(SlotClaim(job, session, slot, by, parse_time(at), won=False) for job, slot, by, at in found)

    def trading_state(self) -> TradingStateRecord:
        """Return the more restrictive of the switch files and the last row; unreadable is REDUCE_ONLY."""
        files = switch.read(self._folder)
        try:
            row = self._last_state() or files
        except (OperatorError, TemporaryError) as error:
            row = TradingStateRecord(TradingState.REDUCE_ONLY, "", str(error), None)
        return max(row, files, key=lambda record: (SEVERITY[record.state], record.at or NEVER))

    def set_trading_state(
        self, state: TradingState, who: str, why: str, at: datetime, *, over: TradingStateRecord | None = None
    ) -> None:
        """Write a new state: halting touches the files first, ACTIVE arms last and only over whole books.

        Where ACTIVE cannot be written to its end, what was in force before is written once more.
        """
        if state is not TradingState.ACTIVE:
            self._halt(state, who, why, at)
            return
        self.check_whole()
        shown, before, under = switch.seen(self._folder), self.trading_state(), self.halts()
        if over is not None and before != over:
            raise switch.newer_halt()
        try:
            opened = self._open_entries(who, why, at, shown)
        except (OperatorError, TemporaryError):
            for halt in (*under, before):
                if halt.state is not TradingState.ACTIVE:
                    self._halt(halt.state, halt.who, halt.why, halt.at or at)
            raise
        if not opened:
            raise switch.newer_halt()

    def _open_entries(self, who: str, why: str, at: datetime, shown: switch.Seen) -> bool:
        """End the halt that was shown; False where another one has come."""
        if not switch.lift(self._folder, shown):
            return False
        self.record_state("ACTIVE", who, why, at)
        switch.arm(self._folder, who, at)
        return True

    def _halt(self, state: TradingState, who: str, why: str, at: datetime) -> None:
        """Let the latch fall, then write the history, which holds alone where no file can be changed."""
        try:
            held = switch.halt(self._folder, who, why, at, state)
        except OperatorError:
            self.record_state(state, who, why, at)
            return
        kept = self.record_state("FLATTEN" if held == "FLATTEN" else state, who, why, at)
        if kept != held:
            switch.halt(self._folder, who, why, at, kept)

    def halts(self) -> Sequence[TradingStateRecord]:
        """Return the states recorded since entries were last open, oldest first; none where they are open."""
        found = self._rows(
            "SELECT state, who, why, at FROM trading_states WHERE account = ?1 AND sequence >"
            " (SELECT coalesce(max(sequence), 0) FROM trading_states WHERE account = ?1 AND state = 'ACTIVE')"
            " ORDER BY sequence"
        )
        return tuple(starmap(_state_record, found))

    def armed(self) -> bool:
        """Tell whether `init` armed this state and nothing took it away since."""
        return switch.armed(self._folder)

    def sessions(self, start: date, end: date) -> Sequence[Session]:
        """Return the stored calendar between two dates."""
        found = self._rows(
            "SELECT date, open, close FROM sessions WHERE account = ? AND date BETWEEN ? AND ? ORDER BY date",
            (start.isoformat(), end.isoformat()),
        )
        return tuple(Session(date.fromisoformat(day), parse_time(o), parse_time(c)) for day, o, c in found)

    def put_sessions(self, sessions: Iterable[Session]) -> None:
        """Store calendar sessions, replacing those of the same date."""
        with self._write():
            for session in sessions:
                self._execute(
                    "INSERT INTO sessions (account, date, open, close) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET open = excluded.open, close = excluded.close"
                    " WHERE open != excluded.open OR close != excluded.close",
                    (
                        self._account,
                        session.date.isoformat(),
                        time_text(session.open),
                        time_text(session.close),
                    ),
                )

    def mark_reconciled(self, mark: ReconcileMark) -> None:
        """Write the result of a reconcile."""
        with self._write():
            self._execute(
                "INSERT INTO last_reconcile (account, at, blocking, findings) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET at = excluded.at, blocking = excluded.blocking, findings = excluded.findings",
                (self._account, time_text(mark.at), mark.blocking, mark.findings),
            )

    def last_reconcile(self) -> ReconcileMark | None:
        """Return the last reconcile; None where there was none."""
        found = self._row("SELECT at, blocking, findings FROM last_reconcile WHERE account = ?")
        return ReconcileMark(parse_time(found[0]), found[1], found[2]) if found else None

    def _require_unresolved(self, client_order_id: str) -> None:
        state = self._state_of(client_order_id)
        if not state.unresolved:
            raise AssertionError(f"{client_order_id} is {state}, not unresolved")

    def _state_of(self, client_order_id: str) -> IntentState:
        found = self._row("SELECT state FROM intents WHERE account = ? AND client_order_id = ?", (client_order_id,))
        if found is None:
            raise KeyError(client_order_id)
        return IntentState(found[0])

    def _move(
        self, client_order_id: str, state: IntentState, code: str | None, message: str | None, at: datetime
    ) -> None:
        self._execute(
            "UPDATE intents SET state = ?, code = ?, message = ?, updated_at = ?"
            " WHERE account = ? AND client_order_id = ?",
            (state, code, message, time_text(at), self._account, client_order_id),
        )

    def _apply_order(self, order: Order, at: datetime) -> bool:
        found = self._row("SELECT body FROM orders WHERE account = ? AND venue_id = ?", (order.venue_id,))
        if found and not _is_news(stored(Order, found[0]), order):
            return False
        self._execute(
            "INSERT INTO orders (account, sequence, venue_id, terminal, body, applied_at)"
            " SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3, ?4, ?5"
            " FROM orders WHERE account = ?1"
            " ON CONFLICT (account, venue_id) DO UPDATE"
            " SET terminal = excluded.terminal, body = excluded.body, applied_at = excluded.applied_at",
            (self._account, order.venue_id, order.status.terminal, json_text(encode(order)), time_text(at)),
        )
        return True

    def _last_state(self) -> TradingStateRecord | None:
        found = self._row(
            "SELECT state, who, why, at FROM trading_states WHERE account = ? ORDER BY sequence DESC LIMIT 1"
        )
        return _state_record(*found) if found else None


def _state_record(state: str, who: str, why: str, at: str) -> TradingStateRecord:
    try:
        return TradingStateRecord(TradingState(state), who, why, parse_time(at))
    except ValueError as error:
        return TradingStateRecord(TradingState.REDUCE_ONLY, "", str(error), None)


def _is_news(known: Order, told: Order) -> bool:
    """Tell whether an order is other than known, no older, and does not come back from its end."""
    if known.updated_at and told.updated_at and told.updated_at < known.updated_at:
        return False
    return told != known and not (known.status.terminal and not told.status.terminal)
